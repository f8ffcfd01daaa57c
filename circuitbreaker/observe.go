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
	quiet    bool // nobody listens
}

// Observe returns a gate that reports every call of next to o, from admission to
// end, under name; a refused one ends at once as [observe.Rejected]. [Do] hands its
// context to o, so that spans find their parent; Allow alone has none to hand on.
func Observe(next Gate, name string, o observe.Observer) *Observed {
	o = observe.OrNop(o)
	return &Observed{
		next:     next,
		op:       observe.Operation{Kind: &callKind, Values: observe.Values{name}},
		observer: o,
		quiet:    o == observe.Nop(),
	}
}

// Allow implements [Gate].
func (o *Observed) Allow() (Ticket, error) {
	var t Ticket
	_, err := o.admit(context.Background(), &t)
	return t, err
}

// admit returns the observer's context, to run the call under.
func (o *Observed) admit(ctx context.Context, t *Ticket) (context.Context, error) {
	if o.quiet {
		return allow(ctx, o.next, t)
	}
	ctx, end := o.observer.Start(ctx, o.op)
	ctx, err := allow(ctx, o.next, t)
	if err != nil {
		outcome := observe.Failed
		if errors.Is(err, ErrOpen) {
			outcome = observe.Rejected
		}
		end(observe.Result{Outcome: outcome, Err: err})
		return ctx, err
	}
	if inner := t.end; inner != nil { // observed twice
		outer := end
		end = func(r observe.Result) { inner(r); outer(r) }
	}
	t.end = end
	return ctx, nil
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
