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
// "ratelimit/wait" too, and a [Retuner] stays one.
//
// The limiter of a rule does not know its name, as package rules puts that in the
// Decision later. To report it, the limiter that a factory returns must be the one
// that Observe returned.
//
// With an observer that is nil or [observe.Nop] it returns next itself.
func Observe(next Limiter, name string, o observe.Observer) Limiter {
	if o == nil || o == observe.Nop() {
		return next
	}
	return (&observed{next: next, name: name, observer: o}).full()
}

type observed struct {
	next     Limiter
	name     string
	rule     string // of the decisions that name none
	observer observe.Observer
}

// full returns l with what next can do besides.
func (l *observed) full() Limiter {
	waiter, waits := l.next.(Waiter)
	tuned, tunes := l.next.(Retuner)
	switch {
	case waits && tunes:
		return &observedTunedWaiter{observedWaiter{l, waiter}, tuned}
	case waits:
		return &observedWaiter{l, waiter}
	case tunes:
		return &observedTuned{l, tuned}
	default:
		return l
	}
}

// ForRule returns a Limiter that reports the decisions that name no rule as those of
// the given one. It is for package rules.
func (l *observed) ForRule(rule string) Limiter {
	named := *l
	named.rule = rule
	return named.full()
}

// Take implements [Limiter].
func (l *observed) Take(ctx context.Context, key string, cost int64) (Decision, error) {
	return l.report(ctx, &takeKind, l.next.Take, key, cost)
}

type observedTuned struct {
	*observed
	Retuner
}

type observedTunedWaiter struct {
	observedWaiter
	Retuner
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
	rule := d.Rule
	if rule == "" {
		rule = l.rule
	}
	r = observe.Result{Outcome: outcome(d, err), Err: err, Values: observe.Values{rule}}
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
