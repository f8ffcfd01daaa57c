package circuitbreaker

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/observe"
)

var callKind = observe.Kind{
	Component:   "circuitbreaker",
	Action:      "call",
	Help:        "Calls through a circuit breaker, with those that it refused.",
	Role:        observe.Client,
	StartLabels: []string{"name"},
}

// Observed reports every call that comes to a gate. Create it with [Observe]. It is
// as safe for concurrent use as the gate.
type Observed struct {
	next     Gate
	op       observe.Operation
	observer observe.Observer
}

// Observe returns a gate that reports every call of next to o, from admission to
// end, under name; a refused one ends at once as [observe.Rejected]. [Do] hands its
// context to o, so that spans find their parent; Allow alone has none to hand on.
func Observe(next Gate, name string, o observe.Observer) *Observed {
	return &Observed{
		next:     next,
		op:       observe.Operation{Kind: &callKind, Values: observe.Values{name}},
		observer: observe.OrNop(o),
	}
}

// Allow implements [Gate].
func (o *Observed) Allow() (Ticket, error) {
	_, ticket, err := o.allow(context.Background())
	return ticket, err
}

// allow returns the observer's context, to run the call under.
func (o *Observed) allow(ctx context.Context) (context.Context, Ticket, error) {
	ctx, end := o.observer.Start(ctx, o.op)
	ctx, ticket, err := allow(ctx, o.next)
	if err != nil {
		outcome := observe.Failed
		if errors.Is(err, ErrOpen) {
			outcome = observe.Rejected
		}
		end(observe.Result{Outcome: outcome, Err: err})
		return ctx, Ticket{}, err
	}
	if inner := ticket.end; inner != nil { // observed twice
		outer := end
		end = func(r observe.Result) { inner(r); outer(r) }
	}
	ticket.end = end
	return ctx, ticket, nil
}

// result says it in the observer's words.
func (e ending) result() observe.Result {
	r := observe.Result{Err: e.err}
	switch {
	case e.panicked:
		r.Outcome = observe.Panicked
	case e.outcome == Neutral:
		r.Outcome = observe.Canceled
	case e.outcome == Failure && observe.OutcomeOf(e.err) == observe.Timeout:
		r.Outcome = observe.Timeout
	case e.outcome == Failure:
		r.Outcome = observe.Failed
	}
	return r
}
