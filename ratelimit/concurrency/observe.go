package concurrency

import (
	"context"

	"github.com/bulwark-go/bulwark/observe"
)

var acquireKind = observe.Kind{
	Component: "concurrency", Action: "acquire", Help: "Tickets asked of concurrency limiters.",
	StartLabels: []string{"limiter"},
}

// Observe returns an Acquirer that reports each ticket asked of next to o, as an
// operation "concurrency/acquire" labelled by limiter, which is name, from a closed
// set. It lasts as long as the wait for the ticket; a denial is Rejected.
//
// With an observer that is nil or [observe.Nop] it returns next itself.
func Observe(next Acquirer, name string, o observe.Observer) Acquirer {
	if o == nil || o == observe.Nop() {
		return next
	}
	return &observed{next: next, name: name, observer: o}
}

type observed struct {
	next     Acquirer
	name     string
	observer observe.Observer
}

// Acquire implements [Acquirer].
func (a *observed) Acquire(ctx context.Context, key string) (t Ticket, err error) {
	// The ticket outlives the operation: the call runs under the caller's context.
	inner, end := a.observer.Start(ctx, observe.Operation{Kind: &acquireKind, Values: observe.Values{a.name}})
	r := observe.Result{Outcome: observe.Panicked}
	defer func() { end(r) }()
	t, err = a.next.Acquire(inner, key)
	r = observe.Result{Outcome: observe.OutcomeOf(err), Err: err}
	if err == nil && !t.Allowed {
		r.Outcome = observe.Rejected
	}
	return t, err
}
