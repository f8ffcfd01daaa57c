package quota

import (
	"context"

	"github.com/bulwark-go/bulwark/observe"
)

var (
	reserveKind = observe.Kind{
		Component: "sms_quota", Action: "reserve", Help: "Charging messages to a month's quota.", EndLabels: []string{"verdict"},
	}
	commitKind = observe.Kind{Component: "sms_quota", Action: "commit", Help: "Charges of messages that were sent."}
	refundKind = observe.Kind{Component: "sms_quota", Action: "refund", Help: "Tries that certainly sent nothing."}
)

// Observe returns a Quota that reports what next does to o as "sms_quota/reserve",
// "sms_quota/commit" and "sms_quota/refund", the first labelled by verdict, a
// [Verdict] or "error". What is not granted is Rejected. No account and no ID is
// reported. With an observer that is nil or [observe.Nop] it returns next.
func Observe(next Quota, o observe.Observer) Quota {
	if observe.IsNop(o) {
		return next
	}
	return &observed{next, o}
}

type observed struct {
	next     Quota
	observer observe.Observer
}

func (q *observed) Reserve(ctx context.Context, c Charge) (d Decision, err error) {
	ctx, end := q.observer.Start(ctx, observe.Operation{Kind: &reserveKind})
	r := observe.Result{Outcome: observe.Panicked}
	defer func() { end(r) }()
	d, err = q.next.Reserve(ctx, c)
	switch {
	case err != nil:
		r = observe.Result{Outcome: observe.OutcomeOf(err), Err: err, Values: observe.Values{"error"}}
	case d.Verdict == Granted:
		r = observe.Result{Values: observe.Values{d.Verdict.String()}}
	default:
		r = observe.Result{Outcome: observe.Rejected, Values: observe.Values{d.Verdict.String()}}
	}
	return d, err
}

func (q *observed) Commit(ctx context.Context, t Ticket, units int64) error {
	return q.settle(ctx, &commitKind, func(ctx context.Context) error { return q.next.Commit(ctx, t, units) })
}

func (q *observed) Refund(ctx context.Context, t Ticket) error {
	return q.settle(ctx, &refundKind, func(ctx context.Context) error { return q.next.Refund(ctx, t) })
}

func (q *observed) settle(ctx context.Context, kind *observe.Kind, f func(context.Context) error) (err error) {
	ctx, end := q.observer.Start(ctx, observe.Operation{Kind: kind})
	r := observe.Result{Outcome: observe.Panicked}
	defer func() { end(r) }()
	err = f(ctx)
	r = observe.Result{Outcome: observe.OutcomeOf(err), Err: err}
	return err
}
