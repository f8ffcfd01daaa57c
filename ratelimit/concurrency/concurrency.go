// Package concurrency limits how many calls run at the same time, where
// ratelimit limits how many begin. Each call takes a [Ticket], and gives it back:
//
//	ticket, err := limiter.Acquire(ctx, "user:42")
//	if err != nil || !ticket.Allowed {
//		return errBusy
//	}
//	defer ticket.Release()
//
// [Limiter] counts calls for each key. [Adaptive] finds out by itself how many a
// dependency bears. [Bulkheads] give each dependency, or class of work, a budget
// and a queue of its own, so that one that hangs leaves the others alone.
package concurrency

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/internal/keyed"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// Acquirer hands out tickets for calls of the subject that key names.
//
// It answers with a Ticket or with an error, never with both. A denied Ticket has
// Allowed false, and need not be released. It is safe for concurrent use.
type Acquirer interface {
	Acquire(ctx context.Context, key string) (Ticket, error)
}

// Limiter limits the calls in flight for each key of this process. A key without
// calls takes no budget and makes room for others.
type Limiter struct {
	limit    atomic.Int64
	inFlight atomic.Int64
	table    *keyed.Table[int64]
	base     time.Time
	tickets  pool
}

// defaultCapacity is some 40 MB of keys at most, when all of it is used.
const defaultCapacity = 1 << 20

// Option configures [New].
type Option interface{ apply(*options) }

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

type options struct{ capacity int }

// WithCapacity sets how many keys may have calls in flight at the same time; new
// ones beyond are denied. Without it the limit is 1048576.
func WithCapacity(keys int) Option {
	return optionFunc(func(o *options) { o.capacity = keys })
}

// New returns a Limiter that lets at most limit calls of a key run at the same
// time. It refuses a limit or capacity below 1 with a [*ratelimit.FieldError].
func New(limit int64, opts ...Option) (*Limiter, error) {
	o := options{capacity: defaultCapacity}
	for i, opt := range opts {
		if opt == nil {
			return nil, &ratelimit.FieldError{Field: fmt.Sprintf("options[%d]", i), Value: "nil", Reason: "must be given"}
		}
		opt.apply(&o)
	}
	l := &Limiter{base: time.Now()}
	if err := l.SetLimit(limit); err != nil {
		return nil, err
	}
	if o.capacity < 1 {
		return nil, &ratelimit.FieldError{Field: "capacity", Value: o.capacity, Reason: "must be at least 1"}
	}
	table, err := keyed.NewTable(o.capacity, keyed.Refuse, func(_ int, calls *int64) int64 {
		if *calls > 0 {
			return math.MaxInt64
		}
		return 0
	})
	l.table = table
	return l, err
}

// Acquire implements [Acquirer]. It neither waits nor looks at ctx.
func (l *Limiter) Acquire(_ context.Context, key string) (Ticket, error) {
	if key == "" {
		return Ticket{}, ratelimit.ErrKey
	}
	hash := l.table.Hash(key)
	limit := l.limit.Load()
	calls, ok := l.enter(hash, limit)
	if !ok {
		return Ticket{Decision: ratelimit.Decision{Limit: limit}}, nil
	}
	l.inFlight.Add(1)
	return l.tickets.issue(l, limit, calls, hash, 0), nil
}

// enter counts a call, and returns how many there are with it.
func (l *Limiter) enter(hash uint64, limit int64) (int64, bool) {
	shard := l.table.Shard(hash)
	shard.Lock()
	defer shard.Unlock()
	calls := shard.Find(hash)
	if calls == nil {
		calls = shard.Insert(hash, int64(time.Since(l.base)))
	}
	if calls == nil || *calls >= limit {
		return 0, false
	}
	*calls++
	return *calls, true
}

// end implements owner.
func (l *Limiter) end(hash uint64, _ int64, _ Verdict) {
	shard := l.table.Shard(hash)
	shard.Lock()
	*shard.Find(hash)-- // there: the table keeps keys with calls
	shard.Unlock()
	l.inFlight.Add(-1)
}

// SetLimit changes the limit of every key. Calls in flight beyond a lower one run
// on. A limit below 1 is refused and changes nothing.
func (l *Limiter) SetLimit(limit int64) error {
	if limit < 1 {
		return &ratelimit.FieldError{Field: "limit", Value: limit, Reason: "must be at least 1"}
	}
	l.limit.Store(limit)
	return nil
}

// Snapshot is the state of a limiter for tests and dashboards.
type Snapshot struct {
	// Limit is how many calls may be in flight: of a key, in a keyed limiter.
	Limit int64
	// InFlight is how many are, of all keys together.
	InFlight int64
	// Waiting is how many wait for their turn, where they can.
	Waiting int
}

// String formats the snapshot as "3 of 10 in flight, 2 waiting".
func (s Snapshot) String() string {
	return fmt.Sprintf("%d of %d in flight, %d waiting", s.InFlight, s.Limit, s.Waiting)
}

// Snapshot returns the limiter's state.
func (l *Limiter) Snapshot() Snapshot {
	return Snapshot{Limit: l.limit.Load(), InFlight: l.inFlight.Load()}
}

// pool keeps the slots of tickets that were given back.
type pool struct{ slots sync.Pool }

// issue returns an allowed Ticket that ends in o.
func (p *pool) issue(o owner, limit, calls int64, ref uint64, start int64) Ticket {
	s, ok := p.slots.Get().(*slot)
	if !ok {
		s = &slot{pool: p}
	}
	s.owner, s.ref, s.start = o, ref, start
	return Ticket{
		Decision: ratelimit.Decision{Allowed: true, Limit: limit, Remaining: max(limit-calls, 0)},
		slot:     s, turn: s.turn.Load(),
	}
}
