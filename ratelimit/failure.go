package ratelimit

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Guard keeps calls from a store that is away. A circuit breaker is one, with an
// adapter of a few lines.
type Guard interface {
	// Allow returns an error while the store must not be called. Otherwise done
	// must be called once with how the call ended: nil when the store answered,
	// an error that is [context.Canceled] when nothing was learned of it, any
	// other when it failed.
	Allow() (done func(error), err error)
}

// defaultBudget is what a limiter may add to a request before it is the problem.
const defaultBudget = 50 * time.Millisecond

// WithGuard sets a failure policy's guard. Without it the policy leaves the store
// alone for a second after three failures in a row, and then tries it with one
// call in each second until it answers.
func WithGuard(g Guard) Option {
	return optionFunc(func(o *options) { o.guard = g })
}

// WithBudget sets how long a failure policy waits for the store, which must heed
// its context for that. Without it that is 50 ms.
func WithBudget(d time.Duration) Option {
	return optionFunc(func(o *options) { o.budget = d })
}

// WithOnFailure sets a function that a failure policy calls with the error of each
// failed call to the store, and with the guard's while that keeps calls away. It
// runs on the request's goroutine, with no lock held.
func WithOnFailure(f func(context.Context, error)) Option {
	return optionFunc(func(o *options) { o.onFailure = f })
}

// FailOpen returns a Limiter that admits while next fails: for limits that protect
// less than an outage of all would cost. It knows [WithGuard], [WithBudget],
// [WithOnFailure] and [WithClock]; a bad one is refused with [*FieldError]s.
//
// Like all failure policies it passes on the errors that wrap [ErrRequest], and
// those of a caller that gave up. Neither says anything about the store, except
// that it left a deadline unanswered which gave it half of the budget or more. And it is
// a [Retuner] if next is one.
func FailOpen(next Limiter, opts ...Option) (Limiter, error) {
	return newPolicy(next, newOptions(opts), func(*clock) fallback { return failOpen{} })
}

// FailClosed returns a Limiter that denies while next fails: for limits that
// protect something worth an outage, such as codes against being guessed. A denial
// of that sort is Degraded, and may be tried again after a second. It knows the
// same options as [FailOpen].
func FailClosed(next Limiter, opts ...Option) (Limiter, error) {
	return newPolicy(next, newOptions(opts), func(*clock) fallback { return failClosed{} })
}

// policy asks next, and its fallback when next fails.
type policy struct {
	next      Limiter
	guard     Guard
	budget    time.Duration
	onFailure func(context.Context, error)
	clock     clock
	fallback  fallback
}

// question is what a store is asked about a request.
type question struct {
	cost   int64 // of the request
	charge int64 // cost, and what else is to be settled
	// settles tells that the charge is for what was decided here, too; reserved
	// that the cost was taken from a local share before.
	settles, reserved bool
}

// fallback decides instead of a store.
type fallback interface {
	// cutOff notes that the guard keeps all calls from the store.
	cutOff()
	// instead decides about a request that the store could not be asked about.
	instead(key string, cost int64) (Decision, error)
	// before returns what to ask the store, or a denial that needs no asking.
	before(key string, cost int64) (question, *Decision)
	// answered notes the store's decision.
	answered(key string, asked question, d Decision)
}

func newPolicy(next Limiter, o options, build func(*clock) fallback) (Limiter, error) {
	err := o.validate()
	if next == nil {
		err = errors.Join(err, &FieldError{"next", "nil", "must be given"})
	}
	if err != nil {
		return nil, err
	}
	p := &policy{next: next, guard: o.guard, budget: o.budget, onFailure: o.onFailure, clock: o.newClock()}
	if p.guard == nil {
		p.guard = &storeGuard{clock: o.newClock()}
	}
	p.fallback = build(&p.clock)
	if tuned, ok := next.(Retuner); ok {
		return &tunedPolicy{policy: p, Retuner: tuned}, nil
	}
	return p, nil
}

// tunedPolicy is a policy whose limit is next's, and changed there: the fallbacks ask
// for it each time.
type tunedPolicy struct {
	*policy
	Retuner
}

// Take implements [Limiter].
func (p *policy) Take(ctx context.Context, key string, cost int64) (Decision, error) {
	q, denial := p.fallback.before(key, cost)
	if denial != nil {
		return *denial, nil
	}
	d, failed, err := p.ask(ctx, key, q.charge)
	if !failed {
		if err == nil {
			p.fallback.answered(key, q, d)
		}
		return d, err
	}
	if p.onFailure != nil {
		p.onFailure(ctx, err)
	}
	if err := CheckRequest(key, cost, Unlimited); err != nil {
		return Decision{}, err
	}
	d, err = p.fallback.instead(key, cost)
	d.Degraded = err == nil
	return d, err
}

// ask asks the store, and tells whether it failed.
func (p *policy) ask(ctx context.Context, key string, cost int64) (d Decision, failed bool, err error) {
	done, err := p.guard.Allow()
	if err != nil {
		p.fallback.cutOff()
		return Decision{}, true, err
	}
	verdict := errAbrupt
	defer func() { done(verdict) }() // also when next panics
	fair := p.fair(ctx)
	limited, cancel := context.WithTimeout(ctx, p.budget)
	defer cancel()
	d, err = p.next.Take(limited, key, cost)
	switch {
	case err == nil, errors.Is(err, ErrRequest):
		verdict = nil
		return d, false, err
	case fair && errors.Is(ctx.Err(), context.DeadlineExceeded):
		verdict = err // or callers in a hurry would wait for a store that hangs, again and again
		return Decision{}, false, err
	case ctx.Err() != nil:
		verdict = context.Canceled // the caller's end
		return Decision{}, false, err
	default:
		verdict = err
		return Decision{}, true, err
	}
}

// fair tells whether missing the deadline of ctx would tell something of the store.
func (p *policy) fair(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) >= p.budget/2
}

// errAbrupt is the guard's verdict on a limiter that panicked.
var errAbrupt = errors.New("ratelimit: store call ended abruptly")

type failOpen struct{}

func (failOpen) cutOff() {}

func (failOpen) instead(string, int64) (Decision, error) {
	return Decision{Allowed: true, Limit: Unlimited, Remaining: Unlimited}, nil
}
func (failOpen) before(_ string, cost int64) (question, *Decision) {
	return question{cost: cost, charge: cost}, nil
}
func (failOpen) answered(string, question, Decision) {}

type failClosed struct{ failOpen }

func (failClosed) instead(string, int64) (Decision, error) {
	return Decision{RetryAfter: pause}, nil
}

const (
	patience = 3           // failures in a row until a storeGuard keeps calls away
	pause    = time.Second // between its trials
)

// errAway is a storeGuard's error.
var errAway = errors.New("ratelimit: store is away")

// storeGuard is the guard that a policy has by itself.
type storeGuard struct {
	clock clock

	mu       sync.Mutex
	failures int
	trial    int64 // when the next call may try
}

// Allow implements [Guard]. A trial that never ends delays the next by nothing.
func (g *storeGuard) Allow() (func(error), error) {
	now := g.clock.read()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failures >= patience {
		if now < g.trial {
			return nil, errAway
		}
		g.trial = now + int64(pause)
	}
	return g.done, nil
}

func (g *storeGuard) done(err error) {
	now := g.clock.read()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.failures = 0
	case errors.Is(err, context.Canceled):
	default:
		if g.failures++; g.failures == patience {
			g.trial = now + int64(pause)
		}
	}
}
