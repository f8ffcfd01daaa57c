package ratelimit

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/bulwark-go/bulwark/internal/keyed"
)

// Queue makes a [Waiter] of any Limiter, one over a remote store for example: in
// this process, the requests of a key wait in line, and the first asks the limiter
// again when its denial said to.
//
// A request that waits holds no budget: one that gives up simply leaves the line.
// Lines of other processes compete for the same budget without an order.
type Queue struct {
	next    Limiter
	maxWait time.Duration
	longest int
	clock   clock
	table   *keyed.Table[leak]
}

var _ Waiter = (*Queue)(nil)

// NewQueue returns a Queue in front of next. It knows [WithMaxWait],
// [WithMaxWaiting] and [WithCapacity], which counts the keys with requests that
// wait. Bad options are refused with [*FieldError]s.
func NewQueue(next Limiter, opts ...Option) (*Queue, error) {
	o := newOptions(opts)
	err := o.validate()
	if next == nil {
		err = errors.Join(err, &FieldError{"next", "nil", "must be given"})
	}
	if err != nil {
		return nil, err
	}
	q := &Queue{next: next, maxWait: o.maxWait, longest: o.queue, clock: clock{base: time.Now()}}
	q.table, err = keyed.NewTable(o.capacity, keyed.Refuse, until)
	return q, err
}

// Take implements [Limiter]. While others wait for the key it denies, and its
// RetryAfter is a guess.
func (q *Queue) Take(ctx context.Context, key string, cost int64) (Decision, error) {
	if cost <= 0 || !q.waited(key) {
		return q.next.Take(ctx, key, cost)
	}
	d, err := q.next.Take(ctx, key, 0)
	if err != nil {
		return Decision{}, err
	}
	d.Allowed, d.Remaining, d.RetryAfter = false, 0, max(d.ResetAfter, least)
	return d, nil
}

// waited tells whether a request waits for the key.
func (q *Queue) waited(key string) bool {
	hash := q.table.Hash(key)
	shard := q.table.Shard(hash)
	shard.Lock()
	defer shard.Unlock()
	l := shard.Find(hash)
	return l != nil && l.first != nil
}

// Wait implements [Waiter]. It denies when too many wait already, or when the wait
// would exceed [WithMaxWait] or the deadline of ctx. An error of the limiter is
// returned to the request that met it; those behind try for themselves.
func (q *Queue) Wait(ctx context.Context, key string, cost int64) (Decision, error) {
	if ctx.Err() != nil {
		return Decision{}, errWait(ctx)
	}
	if err := CheckRequest(key, cost, math.MaxInt64); err != nil {
		return Decision{}, err
	}
	p := q.join(key)
	if p == nil {
		return Decision{RetryAfter: q.maxWait}, nil
	}
	defer p.leave()
	end := time.Now().Add(q.maxWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(end) {
		end = deadline
	}
	return q.wait(ctx, p, end, key, cost)
}

// least is the shortest pause between two questions, for limiters that do not say
// when to come back.
const least = time.Millisecond

// wait asks the limiter whenever p is the first place, until end.
func (q *Queue) wait(ctx context.Context, p *place, end time.Time, key string, cost int64) (Decision, error) {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	for {
		first := p.first()
		pause := time.Until(end) // who is not the first has nothing to do before
		if first {
			d, err := q.next.Take(ctx, key, cost)
			pause = max(d.RetryAfter, least)
			if err != nil || d.Allowed || time.Until(end) < pause {
				return d, err
			}
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
			if !first {
				return Decision{RetryAfter: q.maxWait}, nil
			}
		case <-p.wake:
		case <-ctx.Done():
			return Decision{}, errWait(ctx)
		}
	}
}

// place is one in the line of a key.
type place struct {
	waiting
	hash  uint64
	shard *keyed.Shard[leak]
}

// join returns a place in the line, nil when there is no room.
func (q *Queue) join(key string) *place {
	p := &place{waiting: waiting{wake: make(chan struct{}, 1)}, hash: q.table.Hash(key)}
	p.shard = q.table.Shard(p.hash)
	p.shard.Lock()
	defer p.shard.Unlock()
	l := p.shard.FindOrInsert(p.hash, q.clock.read())
	if l == nil || int(l.count) >= q.longest {
		return nil
	}
	l.push(&p.waiting)
	return p
}

func (p *place) first() bool {
	p.shard.Lock()
	defer p.shard.Unlock()
	return p.shard.Find(p.hash).first == &p.waiting
}

func (p *place) leave() {
	p.shard.Lock()
	defer p.shard.Unlock()
	p.shard.Find(p.hash).remove(&p.waiting)
}

// Waiting returns how many requests wait now, of all keys together.
func (q *Queue) Waiting() (n int) {
	for shard := range q.table.Shards() {
		shard.Lock()
		for l := range shard.Values() {
			n += int(l.count)
		}
		shard.Unlock()
	}
	return n
}
