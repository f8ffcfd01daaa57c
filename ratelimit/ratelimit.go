package ratelimit

import (
	"context"
	"math/rand/v2"
	"time"
)

// Limiter decides whether work of some cost may go on now, for the subject that
// key names.
//
//   - Keys have independent budgets. Any bytes will do but none at all.
//   - A cost of 1 is an ordinary request. A cost of 0 looks at the state,
//     changes nothing, and is always admitted.
//   - It answers with a Decision or with an error, never with both. A denial is a
//     Decision and charges nothing.
//   - A denial's RetryAfter is when the same request would be admitted if nobody
//     took anything meanwhile.
//   - It is safe for concurrent use.
type Limiter interface {
	Take(ctx context.Context, key string, cost int64) (Decision, error)
}

// Waiter is a Limiter that can also wait.
//
// Wait admits waiters of a key in the order in which they came, none overtaken by
// Take. It returns a denial at once when the wait would exceed its bounds or the
// deadline of ctx, and an error that wraps ctx's when ctx ends; either way it
// leaves the budget as if it had not been called.
type Waiter interface {
	Limiter
	Wait(ctx context.Context, key string, cost int64) (Decision, error)
}

// Decision is a Limiter's answer. The zero Decision is a denial.
type Decision struct {
	// Allowed tells whether the request may go on.
	Allowed bool
	// Degraded tells that the limiter's store could not be asked, and a failure
	// policy decided instead.
	Degraded bool
	// Limit is the largest cost that can be granted at once; [Unlimited] when
	// there is no limit.
	Limit int64
	// Remaining is the largest cost that would be granted now.
	Remaining int64
	// RetryAfter is when the denied request may be tried again; 0 when allowed.
	RetryAfter time.Duration
	// ResetAfter is when Remaining is Limit again if nothing is taken.
	ResetAfter time.Duration
	// Rule names the limit or rule that decided; empty where there is but one.
	Rule string
}

// Jittered returns RetryAfter plus a random part of spread, for an answer to
// clients that would otherwise all come back in the same moment. A tenth of the
// limit's period is a good spread.
func (d Decision) Jittered(spread time.Duration) time.Duration {
	if spread <= 0 {
		return d.RetryAfter
	}
	return d.RetryAfter + rand.N(spread)
}

// Unlimited is the Limit and Remaining of a Decision by a rule without a limit.
const Unlimited int64 = 1<<63 - 1

// Allow is the plain yes or no: it takes a cost of 1.
func Allow(ctx context.Context, l Limiter, key string) (bool, error) {
	d, err := l.Take(ctx, key, 1)
	return d.Allowed, err
}

// Retuner is implemented by limiters whose limit can be changed while they run.
type Retuner interface {
	// Quota returns the limit in force.
	Quota() Quota
	// Retune replaces the limit. What keys have used counts on, cut down to a
	// lower burst. A bad quota is refused with [*FieldError]s and changes nothing.
	Retune(Quota) error
}

// Bounded is implemented by limiters that know the most they ever admit, in total
// cost and for one key, in any window: from any moment on until window later, that
// moment not included. Retuning starts a new count.
type Bounded interface {
	Most(window time.Duration) int64
}
