package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/internal/keyed"
)

// slack is how much of the lateness of timers a queue makes up for. Without any,
// a thousand calls a second would come out as some nine hundred.
const slack = int64(time.Millisecond)

// LeakyBucket is a queue for each key that lets requests go one by one, a spacing
// apart: the rate's period divided by its count, times the cost of the one before.
// Take admits when nobody need wait; Wait queues.
//
// In any window of length t it admits at most 1 + (t + 1 ms) × rate for requests
// of cost 1: the millisecond is how far a late timer is made up for.
//
// Waiting requests hold no budget: one that gives up simply leaves the queue, and
// those behind it move up.
type LeakyBucket struct {
	clock   clock
	maxWait int64
	queue   int
	table   *keyed.Table[leak]
	shards  []gcra // by shard, guarded by its lock

	retuning sync.Mutex
}

var (
	_ Waiter  = (*LeakyBucket)(nil)
	_ Retuner = (*LeakyBucket)(nil)
	_ Bounded = (*LeakyBucket)(nil)
)

// leak is one key's queue. The time before tat belongs to those who went.
type leak struct {
	tat         int64
	first, last *waiting
	count       int32
	cost        int64 // of all who wait
}

type waiting struct {
	cost, arrived int64
	prev, next    *waiting
	// wake tells the waiter to look again: it has become the first, or the rate
	// has changed. It holds one, and nobody blocks on sending.
	wake chan struct{}
}

// NewLeakyBucket returns a LeakyBucket. Of the options it knows [WithMaxWait],
// [WithMaxWaiting], [WithCapacity], [WithEviction] and [WithClock]; a clock of the
// caller's must run at the speed of timers. A bad rate or option is refused with
// [*FieldError]s.
func NewLeakyBucket(rate Rate, opts ...Option) (*LeakyBucket, error) {
	o := newOptions(opts)
	g, err := newLeak(Quota{Rate: rate, Burst: o.burst})
	if err := errors.Join(err, o.validate()); err != nil {
		return nil, err
	}
	b := &LeakyBucket{clock: o.newClock(), maxWait: int64(o.maxWait), queue: o.queue}
	b.table, err = keyed.NewTable(o.capacity, o.full, until)
	if err != nil {
		return nil, err
	}
	b.shards = make([]gcra, b.table.ShardCount())
	for i := range b.shards {
		b.shards[i] = g
	}
	return b, nil
}

// newLeak checks the quota of a leaky bucket, whose costs may be up to its count.
func newLeak(q Quota) (gcra, error) {
	if q.Burst != 0 && q.Burst != 1 {
		return gcra{}, &FieldError{"burst", q.Burst, "must be 0 or 1: a leaky bucket has no burst"}
	}
	q.Burst = 1
	return newGCRA(q)
}

func until(_ int, l *leak) int64 {
	if l.first != nil {
		return math.MaxInt64
	}
	return l.tat
}

// Take implements [Limiter]. A cost may be up to the rate's count.
func (b *LeakyBucket) Take(_ context.Context, key string, cost int64) (Decision, error) {
	hash := b.table.Hash(key)
	shard := b.table.Shard(hash)
	shard.Lock()
	defer shard.Unlock()
	g := b.shards[shard.Index]
	if err := CheckRequest(key, cost, g.q.Rate.Count); err != nil {
		return Decision{}, err
	}
	now := b.clock.read()
	l := shard.Find(hash)
	if l == nil && cost > 0 {
		l = shard.Insert(hash, now)
	}
	if l == nil {
		if cost > 0 { // no room to track it
			return Decision{Limit: g.q.Rate.Count, RetryAfter: g.q.Rate.Per}, nil
		}
		l = new(leak)
	}
	return g.admit(l, now, cost), nil
}

// admit lets a cost go when nobody has to wait, and else tells how long it would.
func (g gcra) admit(l *leak, now, cost int64) Decision {
	d := Decision{Limit: g.q.Rate.Count}
	free := l.tat <= now && l.first == nil
	switch d.Allowed = free || cost == 0; {
	case !d.Allowed:
		d.RetryAfter = time.Duration(max(l.tat, now) + g.lasting(l.cost) - now)
	case cost > 0:
		l.tat = now + cost*g.spacing
		free = false
	}
	if free {
		d.Remaining = d.Limit
	}
	d.ResetAfter = time.Duration(max(l.tat+g.lasting(l.cost)-now, 0))
	return d
}

// Quota implements [Retuner]; its Burst is 1.
func (b *LeakyBucket) Quota() Quota {
	shard := b.table.Shard(0)
	shard.Lock()
	defer shard.Unlock()
	return b.shards[shard.Index].q
}

// Retune implements [Retuner]. Who waits, waits for the new rate from then on, also
// when that is longer than [WithMaxWait], which is about the time to be expected at
// the begin of a wait.
func (b *LeakyBucket) Retune(q Quota) error {
	g, err := newLeak(q)
	if err != nil {
		return err
	}
	b.retuning.Lock()
	defer b.retuning.Unlock()
	for shard := range b.table.Shards() {
		shard.Lock()
		now := b.clock.read()
		for l := range shard.Values() {
			// What is left of the current spacing shrinks or grows with it, to no
			// more than the largest cost there is now.
			if l.tat > now {
				left := float64(l.tat-now) / float64(b.shards[shard.Index].spacing) * float64(g.spacing)
				l.tat = now + min(int64(math.Ceil(min(left, float64(longest)))), g.q.Rate.Count*g.spacing)
			}
			l.first.signal()
		}
		b.shards[shard.Index] = g
		shard.Rescan()
		shard.Unlock()
	}
	return nil
}

// Most implements [Bounded], for requests of cost 1.
func (b *LeakyBucket) Most(window time.Duration) int64 {
	if window <= 0 {
		return 0
	}
	shard := b.table.Shard(0)
	shard.Lock()
	defer shard.Unlock()
	return plus(1, plus(int64(window)-1, slack)/b.shards[shard.Index].spacing)
}

// Snapshot returns the limiter's state.
func (b *LeakyBucket) Snapshot() Snapshot {
	s := Snapshot{Quota: b.Quota(), Keys: b.table.Len()}
	for shard := range b.table.Shards() {
		shard.Lock()
		for l := range shard.Values() {
			s.Waiting += int(l.count)
		}
		shard.Unlock()
	}
	return s
}

// errWait prefixes the error of a context that ended while waiting.
func errWait(ctx context.Context) error {
	return fmt.Errorf("ratelimit: wait: %w", context.Cause(ctx))
}
