package failover

import (
	"context"
	"errors"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

// class is what may be done with a call.
type class uint8

const (
	once       class = iota // not again after Unknown
	repeatable              // again after Unknown
)

// round is one call on its way through the providers. It belongs to one goroutine.
type round struct {
	core  *core
	set   *settings
	class class
	watch *watch

	leg      leg // the attempt under way
	tried    uint64
	avoid    uint64 // domains that have shown themselves unfit
	made     int    // attempts
	attempts []Attempt
	cause    error
	winner   int // candidate that accepted; -1: none
}

// next chooses a provider for the next attempt and has its judge admit it. It reports
// false when there is to be none; r.cause then tells why.
func (r *round) next(ctx context.Context) bool {
	if r.cause = ctx.Err(); r.cause != nil {
		return false
	}
	from := r.core.all &^ r.tried &^ r.core.drained.Load()
	if r.made >= r.set.MaxAttempts || r.made > 0 && from == 0 {
		return false
	}
	if r.made == 0 {
		r.core.budget.deposit(r.set)
	} else if !r.core.budget.spend(r.set) {
		r.cause = ErrBudget
		return false
	}
	if r.admit(from) || r.made == 0 && r.lastResort() {
		r.made++
		return true
	}
	if r.made > 0 {
		r.core.budget.refund()
	} else {
		r.cause = ErrUnavailable
	}
	return false
}

// admit makes the first of a set that its judge admits the attempt under way.
func (r *round) admit(from uint64) bool {
	stands := position(r.core.sticky.Load())
	out := r.set.policy == sticky && r.core.drained.Load()&bit(stands.index()) != 0
	for from != 0 {
		i := r.core.pick(r.set, from, r.avoid)
		from &^= bit(i)
		r.tried |= bit(i)
		r.leg = leg{core: r.core, set: r.set, index: i, began: stands}
		var err error
		if r.leg.ticket, err = r.core.health[i].breaker.Allow(); err == nil {
			if out {
				r.core.move(stands, i, "the provider is out")
				r.leg.began = position(r.core.sticky.Load())
			}
			return true
		}
		r.attempts = append(r.attempts, Attempt{Name: r.core.members[i].name, Outcome: Rejected, Err: err})
		r.avoid |= r.core.mates[i]
		out = out || r.set.policy == sticky && i == stands.index() && isOut(err)
	}
	return false
}

// isOut tells whether a judge refuses every call, rather than just many.
func isOut(err error) bool {
	var open *circuitbreaker.OpenError
	return errors.As(err, &open) && (open.State == circuitbreaker.Open || open.Mode == circuitbreaker.ForcedOpen)
}

// lastResort makes a call to the least bad provider the attempt under way, if one is
// due. Its judge has no part in it: that one probes when its own time has come.
func (r *round) lastResort() bool {
	from := r.core.all &^ r.core.drained.Load()
	if from == 0 || !r.core.resortDue(r.set) {
		return false
	}
	i := r.core.pick(r.set, r.core.leastBad(from), 0)
	r.leg = leg{core: r.core, set: r.set, index: i, began: position(r.core.sticky.Load())}
	return true
}

// resortDue reports whether a last resort is due, to one caller each time.
func (c *core) resortDue(set *settings) bool {
	now, due := int64(c.now(set)), c.nextResort.Load()
	return now >= due && c.nextResort.CompareAndSwap(due, now+int64(set.LastResortEvery))
}

// leastBad returns those of a set with the fewest failures in a row.
func (c *core) leastBad(from uint64) uint64 {
	best, least := uint64(0), ^uint32(0)
	for i := range c.health {
		if from&bit(i) == 0 {
			continue
		}
		switch streak := c.health[i].streak.Load(); {
		case streak < least || best == 0:
			best, least = bit(i), streak
		case streak == least:
			best |= bit(i)
		}
	}
	return best
}

// begin starts the attempt under way, and returns the context to make it under.
func (r *round) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := r.set.AttemptTimeout
	if deadline, ok := ctx.Deadline(); ok {
		remaining := time.Until(deadline)
		r.leg.hurried = r.set.MinBudget > 0 && remaining < r.set.MinBudget
		if share := r.slice(remaining); share > 0 && (limit == 0 || share < limit) {
			limit = share
		}
	}
	ctx = r.leg.start(ctx, r.watch)
	if limit == 0 {
		return ctx, nil
	}
	return context.WithTimeout(ctx, limit)
}

// slice returns how much of the remaining time the attempt under way may use; 0 is all
// of it.
func (r *round) slice(remaining time.Duration) time.Duration {
	another := r.made < r.set.MaxAttempts && r.core.all&^r.tried&^r.core.drained.Load() != 0
	if r.class == once || !another || remaining <= 0 || r.set.AttemptShare == 1 {
		return 0 // a time-out at the caller's own deadline might come before it
	}
	return time.Duration(r.set.AttemptShare * float64(remaining))
}

// settle takes what the attempt under way has come to.
func (r *round) settle(ctx context.Context, err error) {
	r.note(r.leg.index, r.leg.settle(ctx, err), err)
}

// note remembers an attempt for the error, and who won.
func (r *round) note(i int, outcome Outcome, err error) {
	if outcome == Accepted {
		r.winner = i
		return
	}
	r.avoid |= r.core.mates[i]
	r.attempts = append(r.attempts, Attempt{Name: r.core.members[i].name, Tried: true, Outcome: outcome, Err: err})
}

// abandon takes an attempt that did not return.
func (r *round) abandon() { r.leg.abandon() }

// over reports whether the attempt just settled was the last one.
func (r *round) over(ctx context.Context) bool {
	if r.winner >= 0 {
		return true
	}
	if r.cause = ctx.Err(); r.cause != nil {
		return true
	}
	switch r.attempts[len(r.attempts)-1].Outcome {
	case Rejected:
		return false
	case Unknown:
		return r.class == once
	default:
		return true
	}
}

// err returns the error of the whole call.
func (r *round) err() error {
	if r.winner >= 0 {
		return nil
	}
	e := &CallError{Group: r.set.Name, Attempts: r.attempts, Cause: r.cause}
	for i, m := range r.core.members {
		if r.tried&bit(i) == 0 && r.core.drained.Load()&bit(i) != 0 {
			e.Attempts = append(e.Attempts, Attempt{Name: m.name, Outcome: Rejected, Err: ErrDrained})
		}
	}
	return e
}
