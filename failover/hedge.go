package failover

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// errLost is why the context of a slower call ends.
var errLost = errors.New("failover: another provider was faster")

// Hedge is DoIdempotent with less waiting: when a provider has not answered within
// [Config.HedgeAfter], the next one is asked as well, if the retry budget allows it.
// The first acceptance wins; the contexts of the others end, and what comes of those
// is no failure of their providers. An attempt that fails is followed by the next one
// at once.
//
// fn runs in several goroutines at a time. Hedge does not wait for those that lost, or
// that are under way when ctx ends: fn should return soon after its context ends. A
// panic in fn is raised again in the caller's goroutine; one that comes when there is
// an answer already is contained, and counted in [Snapshot.LatePanics].
func Hedge[P, T any](ctx context.Context, c Caller[P], fn func(context.Context, P) (T, error)) (result T, err error) {
	g, w := c.open()
	r := round{core: g.core, set: g.core.settings.Load(), class: repeatable, watch: w, winner: -1}
	ctx, end := w.call(ctx)
	returned := false
	if end != nil {
		defer func() { end(r.result(returned)) }()
	}
	race, lose := context.WithCancelCause(ctx)
	defer lose(errLost)
	h := hedging[P, T]{round: &r, group: g, fn: fn, arrivals: make(chan arrival[T], min(r.set.MaxAttempts, len(g.values)+1))}
	result = h.run(ctx, race)
	returned = true
	return result, r.err()
}

// hedging is one call at several providers.
type hedging[P, T any] struct {
	round    *round
	group    *Group[P]
	fn       func(context.Context, P) (T, error)
	arrivals chan arrival[T] // has room for every attempt, so that late ones block nobody
	running  []int           // candidates
}

// arrival is what one attempt came to.
type arrival[T any] struct {
	index    int
	result   T
	outcome  Outcome
	err      error
	panicked any
	left     bool // through a panic or Goexit
}

// run begins attempts and waits for them, in the caller's goroutine.
func (h *hedging[P, T]) run(ctx, race context.Context) (last T) {
	if !h.begin(ctx, race) {
		return last
	}
	timer := time.NewTimer(h.round.set.HedgeAfter)
	defer timer.Stop()
	for len(h.running) > 0 {
		select {
		case a := <-h.arrivals:
			last = a.result
			if h.arrived(ctx, a) || !h.begin(ctx, race) && len(h.running) == 0 {
				return last
			}
		case <-timer.C:
			h.begin(ctx, race)
			timer.Reset(h.round.set.HedgeAfter)
		case <-ctx.Done():
			h.leave(ctx.Err())
			return last
		}
	}
	return last
}

// begin starts one more attempt, if there may be one.
func (h *hedging[P, T]) begin(ctx, race context.Context) bool {
	r := h.round
	if !r.next(ctx) {
		return false
	}
	inner, cancel := r.begin(race)
	h.running = append(h.running, r.leg.index)
	go h.attempt(ctx, race, inner, cancel, r.leg)
	return true
}

// arrived takes one attempt's result and reports whether the call is over.
func (h *hedging[P, T]) arrived(ctx context.Context, a arrival[T]) bool {
	for i, index := range h.running {
		if index == a.index {
			h.running = append(h.running[:i], h.running[i+1:]...)
			break
		}
	}
	if a.left {
		if a.panicked != nil {
			panic(a.panicked)
		}
		runtime.Goexit()
	}
	h.round.note(a.index, a.outcome, a.err)
	return h.round.over(ctx)
}

// leave names those that nobody waits for any longer.
func (h *hedging[P, T]) leave(cause error) {
	for _, index := range h.running {
		h.round.note(index, Unknown, cause)
	}
	h.round.cause = cause
}

// attempt makes one call, in a goroutine of its own.
func (h *hedging[P, T]) attempt(ctx, race, inner context.Context, cancel context.CancelFunc, l leg) {
	a := arrival[T]{index: l.index, left: true}
	defer func() {
		if cancel != nil {
			cancel()
		}
		if a.left {
			a.panicked = recover()
			l.abandon()
			if race.Err() != nil {
				l.core.latePanics.Add(1)
			}
		}
		h.arrivals <- a
	}()
	result, err := h.fn(inner, h.group.values[l.index])
	l.lost = err != nil && errors.Is(context.Cause(race), errLost)
	a.result, a.err = result, err
	a.outcome = l.settle(ctx, err)
	a.left = false
}
