package ratelimit

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Bucket is one token bucket, without keys: the budget of a whole process, or of
// whatever its owner holds one for. A call costs one clock reading and one atomic
// compare-and-swap, and never allocates. As a [Limiter] it treats all keys alike.
type Bucket struct {
	clock clock
	state atomic.Pointer[bucketState]

	retuning sync.Mutex
}

// bucketState belongs to one quota; retuning seals it and starts another.
type bucketState struct {
	gcra
	tat atomic.Int64
}

// sealed is the tat of a state that was replaced: nothing conforms to it, so only
// the path of denials needs to look out for it. It leaves room for a spacing on top.
const sealed = 1 << 62

// NewBucket returns a full bucket. Of the options it knows [WithBurst] and
// [WithClock].
//
// In any window of length t it admits at most burst + t × rate; with the default
// burst that is 1.1 times the rate's count in any period. A bad rate is refused
// with [*FieldError]s.
func NewBucket(rate Rate, opts ...Option) (*Bucket, error) {
	o := newOptions(opts)
	g, err := newGCRA(Quota{Rate: rate, Burst: o.burst})
	if err := errors.Join(err, o.validate()); err != nil {
		return nil, err
	}
	b := &Bucket{clock: o.newClock()}
	b.state.Store(&bucketState{gcra: g})
	return b, nil
}

// Allow takes one token, and reports whether there was one.
func (b *Bucket) Allow() bool {
	now := b.clock.read()
	for {
		s := b.state.Load()
		tat := s.tat.Load()
		next := max(tat, now) + s.spacing
		if next-s.tolerance > now {
			if tat == sealed {
				runtime.Gosched() // the new state is about to be stored
				continue
			}
			return false
		}
		if s.tat.CompareAndSwap(tat, next) {
			return true
		}
	}
}

// Take implements [Limiter]. It looks neither at ctx nor, but to refuse an empty
// one, at key.
func (b *Bucket) Take(_ context.Context, key string, cost int64) (Decision, error) {
	now := b.clock.read()
	for {
		s := b.state.Load()
		if key == "" || cost < 0 || cost > s.q.Burst {
			return Decision{}, CheckRequest(key, cost, s.q.Burst)
		}
		tat := s.tat.Load()
		if tat == sealed {
			runtime.Gosched()
			continue
		}
		next := max(tat, now) + cost*s.spacing
		if next-s.tolerance > now {
			return s.denied(tat, next, now), nil
		}
		if cost == 0 || s.tat.CompareAndSwap(tat, next) {
			return s.allowed(next, now), nil
		}
	}
}

// takeUpTo takes as many of n tokens as there are.
func (b *Bucket) takeUpTo(n int64) int64 {
	now := b.clock.read()
	for {
		s := b.state.Load()
		tat := s.tat.Load()
		if tat == sealed {
			runtime.Gosched()
			continue
		}
		base := max(tat, now)
		granted := min(n, s.whole(max(now+s.tolerance-base, 0)))
		if granted <= 0 {
			return 0
		}
		if s.tat.CompareAndSwap(tat, base+granted*s.spacing) {
			return granted
		}
	}
}

// Quota implements [Retuner].
func (b *Bucket) Quota() Quota { return b.state.Load().q }

// Retune implements [Retuner].
func (b *Bucket) Retune(q Quota) error {
	g, err := newGCRA(q)
	if err != nil {
		return err
	}
	b.retuning.Lock()
	defer b.retuning.Unlock()
	old := b.state.Load()
	next := &bucketState{gcra: g}
	tat := old.tat.Swap(sealed) // no token is taken from here until next is stored
	g.convert(old.gcra, &tat, b.clock.read())
	next.tat.Store(tat)
	b.state.Store(next)
	return nil
}

// Most implements [Bounded], for all keys together.
func (b *Bucket) Most(window time.Duration) int64 { return b.state.Load().most(window) }
