package redislimit

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

//go:embed leakybucket.lua
var leakyBucketLua string

var leakyBucketScript = newScript(leakyBucketLua)

const (
	defaultMaxWait    = time.Second // most callers have given up by then
	defaultMaxWaiting = 1024
)

// WithMaxWait sets how long a [LeakyBucket] lets a request wait, from 1 ms to an
// hour; all instances must use the same. Without it that is 1 s.
func WithMaxWait(d time.Duration) Option {
	return optionFunc(func(o *options) { o.maxWait = d })
}

// WithMaxWaiting sets how many turns may be ahead of a request that waits in a
// [LeakyBucket], the one under way included: each takes some 100 bytes in Redis.
// Without it that is 1024.
func WithMaxWaiting(n int) Option {
	return optionFunc(func(o *options) { o.maxWaiting = n })
}

// LeakyBucket is a queue for each key, in Redis, that lets the requests of all
// instances go one by one, a spacing apart: the rate's period divided by its count,
// times the cost of the one before. Take admits when nobody need wait; Wait queues.
//
// A request that waits has its turn from the begin, by Redis's clock, and then
// sleeps here until it comes: one round trip, whoever else waits and wherever. It
// goes later than its turn by the way back from Redis, never before. In any window
// of length t at most 1 + t × rate turns of cost 1 begin.
//
// A request that gives up gives its turn back: exactly, when nobody queued behind
// it, or all who did have given up as well. While somebody is behind, that turn
// passes unused: those who sleep elsewhere are not woken to move up.
type LeakyBucket struct {
	rdb       redis.UniversalClient
	keys      keyspace
	script    *script
	pace      atomic.Pointer[pace]
	maxWait   time.Duration
	most      int64
	budget    time.Duration
	onFailure func(context.Context, error)

	name  string // of this instance; random
	count atomic.Uint64
}

var (
	_ ratelimit.Waiter  = (*LeakyBucket)(nil)
	_ ratelimit.Retuner = (*LeakyBucket)(nil)
	_ ratelimit.Bounded = (*LeakyBucket)(nil)
)

// pace is a quota and what follows from it.
type pace struct {
	*bucket
	longest int64 // µs that a queue can last: the longest wait and the largest cost
}

func newPace(q ratelimit.Quota, maxWait time.Duration) (*pace, error) {
	if q.Burst != 0 && q.Burst != 1 {
		return nil, &ratelimit.FieldError{Field: "burst", Value: q.Burst, Reason: "must be 0 or 1: a leaky bucket has no burst"}
	}
	q.Burst = 1
	b, err := newBucket(q)
	if err != nil {
		return nil, err
	}
	return &pace{bucket: b, longest: wholeMicros(maxWait) + q.Rate.Count*b.spacing}, nil
}

// NewLeakyBucket returns a LeakyBucket. It knows [WithMaxWait], [WithMaxWaiting],
// and, for giving back, [WithBudget] and [WithOnFailure]. The rate is at most one in
// a microsecond. A bad rate or option is refused with [*ratelimit.FieldError]s.
func NewLeakyBucket(rdb redis.UniversalClient, rate ratelimit.Rate, opts ...Option) (*LeakyBucket, error) {
	o := newOptions("leaky", opts)
	p, err := newPace(ratelimit.Quota{Rate: rate, Burst: o.burst}, o.maxWait)
	if err := errors.Join(err, o.validate(rdb)); err != nil {
		return nil, err
	}
	b := &LeakyBucket{
		rdb: rdb, keys: o.keys, script: leakyBucketScript, maxWait: o.maxWait, most: int64(o.maxWaiting),
		budget: o.budget, onFailure: o.onFailure, name: rand.Text()[:16] + "-",
	}
	b.pace.Store(p)
	return b, nil
}

// notWaited names the turns of Take. They need no names of their own: each is over
// before Take gives the next.
const notWaited = "take"

// Take implements [ratelimit.Limiter]. A cost may be up to the rate's count. While
// somebody waits, or the last turn is under way, it denies.
func (b *LeakyBucket) Take(ctx context.Context, key string, cost int64) (ratelimit.Decision, error) {
	p := b.pace.Load()
	if err := ratelimit.CheckRequest(key, cost, p.q.Rate.Count); err != nil {
		return ratelimit.Decision{}, err
	}
	wait, given, err := b.ask(ctx, p, b.keys.key(key), notWaited, cost, 0)
	if err != nil {
		return ratelimit.Decision{}, err
	}
	d := ratelimit.Decision{Allowed: given || cost == 0, Limit: p.q.Rate.Count, ResetAfter: wait}
	switch {
	case given:
		d.ResetAfter = micros(cost * p.spacing)
	case !d.Allowed:
		d.RetryAfter = wait
	case wait == 0:
		d.Remaining = d.Limit
	}
	return d, nil
}

// Wait implements [ratelimit.Waiter] in one round trip; a second gives the turn of
// a request that gave up back. Turns follow each other in the order in which Redis
// met the requests of all instances. It denies at once when too many are ahead, or
// when the wait would exceed [WithMaxWait] or the deadline of ctx.
//
// The error wraps that of ctx or of the client, or is a [*StateError]. Where the
// client failed, Redis may have given a turn nevertheless, which then passes
// unused.
func (b *LeakyBucket) Wait(ctx context.Context, key string, cost int64) (ratelimit.Decision, error) {
	if ctx.Err() != nil {
		return ratelimit.Decision{}, errWait(ctx)
	}
	p := b.pace.Load()
	if err := ratelimit.CheckRequest(key, cost, p.q.Rate.Count); err != nil {
		return ratelimit.Decision{}, err
	}
	if cost == 0 {
		return b.Take(ctx, key, 0)
	}
	patience := b.maxWait
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, max(time.Until(deadline), 0))
	}
	at, turn := b.keys.key(key), b.name+strconv.FormatUint(b.count.Add(1), 36)
	wait, given, err := b.ask(ctx, p, at, turn, cost, int64(patience/time.Microsecond))
	switch {
	case err != nil:
		if ctx.Err() != nil { // Redis may have given it
			b.giveBack(ctx, at, turn)
		}
		return ratelimit.Decision{}, err
	case !given:
		return ratelimit.Decision{Limit: p.q.Rate.Count, RetryAfter: max(wait, time.Microsecond), ResetAfter: wait}, nil
	}
	if !sleep(ctx, wait) {
		b.giveBack(ctx, at, turn)
		return ratelimit.Decision{}, errWait(ctx)
	}
	return ratelimit.Decision{Allowed: true, Limit: p.q.Rate.Count, ResetAfter: micros(cost * p.spacing)}, nil
}

// ask is the round trip for a turn.
func (b *LeakyBucket) ask(
	ctx context.Context, p *pace, at, turn string, cost, patience int64,
) (wait time.Duration, given bool, err error) {
	call := append(b.script.call(at, 5), turn, cost*p.spacing, patience, b.most, p.longest)
	reply, err := b.script.run(ctx, b.rdb, call, 2)
	if err != nil {
		return 0, false, err
	}
	return micros(min(max(reply[0], 0), p.longest)), reply[1] == 1, nil
}

// giveBack removes a turn, whatever became of the request's context.
func (b *LeakyBucket) giveBack(ctx context.Context, at, turn string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.budget)
	defer cancel()
	err := b.rdb.ZRem(ctx, at, turn).Err()
	if err != nil && b.onFailure != nil {
		b.onFailure(ctx, fmt.Errorf("redislimit: give back a turn: %w", err))
	}
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errWait is the error of a context that ended while waiting.
func errWait(ctx context.Context) error {
	return fmt.Errorf("redislimit: wait: %w", context.Cause(ctx))
}

// Quota implements [ratelimit.Retuner]; its Burst is 1.
func (b *LeakyBucket) Quota() ratelimit.Quota { return b.pace.Load().q }

// Retune implements [ratelimit.Retuner], for this instance. Who waits keeps its
// turn.
func (b *LeakyBucket) Retune(q ratelimit.Quota) error {
	p, err := newPace(q, b.maxWait)
	if err != nil {
		return err
	}
	b.pace.Store(p)
	return nil
}

// Most implements [ratelimit.Bounded], for the turns of all instances, and for
// requests of cost 1.
func (b *LeakyBucket) Most(window time.Duration) int64 { return b.pace.Load().most(window) }
