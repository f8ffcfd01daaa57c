package failover

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/observe"
)

var (
	callKind = observe.Kind{
		Component:   "failover",
		Action:      "call",
		Help:        "Calls through a group of providers, and which provider accepted them.",
		Role:        observe.Client,
		StartLabels: []string{"group"},
		EndLabels:   []string{"candidate"},
	}
	attemptKind = observe.Kind{
		Component:   "failover",
		Action:      "attempt",
		Help:        "Attempts at single providers of a group.",
		Role:        observe.Client,
		StartLabels: []string{"group", "candidate"},
	}
)

// noCandidate is the label of a call that nobody accepted.
const noCandidate = "none"

// Observed reports every call through a group, and every attempt at a provider as
// part of it. Create it with [Observe]. It is safe for concurrent use.
type Observed[P any] struct {
	group *Group[P]
	watch *watch
}

// Observe returns a Caller that reports to o the calls that go through it to next.
func Observe[P any](next Caller[P], o observe.Observer) *Observed[P] {
	group, inner := next.open()
	if observe.IsNop(o) {
		return &Observed[P]{group: group, watch: inner}
	}
	if inner != nil { // observed twice
		o = observe.Multi(o, inner.observer)
	}
	return &Observed[P]{group: group, watch: &watch{observer: o, group: group.core.settings.Load().Name}}
}

func (o *Observed[P]) open() (*Group[P], *watch) { return o.group, o.watch }

// watch reports the calls of a group. A nil watch reports nothing.
type watch struct {
	observer observe.Observer
	group    string
}

// call reports that a call begins.
func (w *watch) call(ctx context.Context) (context.Context, observe.End) {
	if w == nil {
		return ctx, nil
	}
	return w.observer.Start(ctx, observe.Operation{Kind: &callKind, Values: observe.Values{w.group}})
}

// attempt reports that an attempt begins.
func (w *watch) attempt(ctx context.Context, candidate string) (context.Context, observe.End) {
	if w == nil {
		return ctx, nil
	}
	return w.observer.Start(ctx, observe.Operation{Kind: &attemptKind, Values: observe.Values{w.group, candidate}})
}

// result says in the observer's words what a whole call came to.
func (r *round) result(returned bool) observe.Result {
	result := observe.Result{Values: observe.Values{noCandidate}}
	switch {
	case r.winner >= 0:
		result.Values[0] = r.core.members[r.winner].name
	case !returned:
		result.Outcome = observe.Panicked
	default:
		result.Err = r.err()
		result.Outcome = observe.OutcomeOf(result.Err)
		if r.made == 0 && errors.Is(r.cause, ErrUnavailable) {
			result.Outcome = observe.Rejected
		}
	}
	return result
}

// observed says in the observer's words what an attempt came to.
func observed(outcome Outcome, verdict circuitbreaker.Outcome, err error) observe.Outcome {
	switch {
	case outcome == Accepted:
		return observe.OK
	case refused(err):
		return observe.Rejected
	case verdict == circuitbreaker.Neutral:
		return observe.Canceled
	case TimedOut(err):
		return observe.Timeout
	default:
		return observe.Failed
	}
}
