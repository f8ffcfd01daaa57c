package observe_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/observe"
)

// printer is the smallest useful Observer.
type printer struct{ prefix string }

func (p printer) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	return ctx, func(r observe.Result) {
		fmt.Println(p.prefix, op.Kind.Component, op.Kind.Action, op.Values[0], r.Outcome)
	}
}

var chargeKind = observe.Kind{
	Component: "billing", Action: "charge", Help: "Charges made.",
	Role: observe.Client, StartLabels: []string{"currency"},
}

func charge(ctx context.Context, o observe.Observer, fail error) error {
	ctx, end := o.Start(ctx, observe.Operation{Kind: &chargeKind, Values: observe.Values{"eur"}})
	_ = ctx // what is called next runs under it
	end(observe.Result{Outcome: observe.OutcomeOf(fail), Err: fail})
	return fail
}

func ExampleMulti() {
	o := observe.Multi(printer{"metrics"}, nil, printer{"traces"})
	_ = charge(context.Background(), o, errors.New("card declined"))
	// Output:
	// traces billing charge eur failed
	// metrics billing charge eur failed
}

func ExampleNop() {
	_ = charge(context.Background(), observe.Nop(), nil)
	// Output:
}

func ExampleOrNop() {
	var configured observe.Observer // nobody configured one
	_ = charge(context.Background(), observe.OrNop(configured), nil)
	// Output:
}

func ExampleEmit() {
	retries := observe.Kind{Component: "billing", Action: "retry", Form: observe.Instant, StartLabels: []string{"currency"}}
	observe.Emit(context.Background(), printer{"metrics"},
		observe.Operation{Kind: &retries, Values: observe.Values{"eur"}}, observe.Result{})
	// Output: metrics billing retry eur ok
}

func ExampleKind_Validate() {
	bad := observe.Kind{Component: "billing", Action: "charge", EndLabels: []string{"outcome"}}
	fmt.Println(bad.Validate())
	// Output: observe: Kind billing.charge: EndLabels: "outcome" is reserved for backends
}
