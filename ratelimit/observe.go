package ratelimit

import (
	"context"

	"github.com/bulwark-go/bulwark/observe"
)

var (
	takeKind = observe.Kind{
		Component: "ratelimit", Action: "take", Help: "Decisions of rate limiters.",
		StartLabels: []string{"limiter"}, EndLabels: []string{"rule"},
	}
	waitKind = observe.Kind{
		Component: "ratelimit", Action: "wait", Help: "Waits for rate limiters.",
		StartLabels: []string{"limiter"}, EndLabels: []string{"rule"},
	}
)

// Observe returns a Limiter that reports each decision of next to o, as an
// operation "ratelimit/take" labelled by limiter, which is name, and rule, which is
// the Decision's: both from closed sets, and never a key. A denial is Rejected, an
// admission by a failure policy Degraded. A [Waiter] stays one, and reports
// "ratelimit/wait" too.
//
// With an observer that is nil or [observe.Nop] it returns next itself.
func Observe(next Limiter, name string, o observe.Observer) Limiter {
	if o == nil || o == observe.Nop() {
		return next
	}
	watched := &observed{next: next, name: name, observer: o}
	if w, ok := next.(Waiter); ok {
		return &observedWaiter{observed: watched, waiter: w}
	}
	return watched
}

type observed struct {
	next     Limiter
	name     string
	observer observe.Observer
}

// Take implements [Limiter].
func (l *observed) Take(ctx context.Context, key string, cost int64) (Decision, error) {
	return l.report(ctx, &takeKind, l.next.Take, key, cost)
}

type observedWaiter struct {
	*observed
	waiter Waiter
}

// Wait implements [Waiter].
func (l *observedWaiter) Wait(ctx context.Context, key string, cost int64) (Decision, error) {
	return l.report(ctx, &waitKind, l.waiter.Wait, key, cost)
}

func (l *observed) report(
	ctx context.Context, kind *observe.Kind,
	decide func(context.Context, string, int64) (Decision, error), key string, cost int64,
) (d Decision, err error) {
	ctx, end := l.observer.Start(ctx, observe.Operation{Kind: kind, Values: observe.Values{l.name}})
	r := observe.Result{Outcome: observe.Panicked}
	defer func() { end(r) }()
	d, err = decide(ctx, key, cost)
	r = observe.Result{Outcome: outcome(d, err), Err: err, Values: observe.Values{d.Rule}}
	return d, err
}

func outcome(d Decision, err error) observe.Outcome {
	switch {
	case err != nil:
		return observe.OutcomeOf(err)
	case !d.Allowed:
		return observe.Rejected
	case d.Degraded:
		return observe.Degraded
	default:
		return observe.OK
	}
}
