package guard

import (
	"context"

	"github.com/bulwark-go/bulwark/observe"
)

var (
	takeKind = observe.Kind{
		Component: "otp_guard", Action: "take", Help: "Sends that a guard decided about.", EndLabels: []string{"result"},
	}
	earnKind   = observe.Kind{Component: "otp_guard", Action: "earn", Help: "Verified numbers that a guard was told of."}
	refundKind = observe.Kind{Component: "otp_guard", Action: "refund", Help: "Charged sends that were certainly not sent."}
)

// Observe returns a Store that reports what next does to o as "otp_guard/take",
// "otp_guard/earn" and "otp_guard/refund", the first labelled by result: "allowed",
// "known", a [Reason] or "error". What is refused is Rejected. Nothing reported tells
// a number or an address. With an observer that is nil or [observe.Nop] it returns
// next.
func Observe(next Store, o observe.Observer) Store {
	if observe.IsNop(o) {
		return next
	}
	return &observed{next, o}
}

type observed struct {
	next     Store
	observer observe.Observer
}

func (s *observed) Take(ctx context.Context, send Send, l Limits) (d Decision, err error) {
	ctx, end := s.observer.Start(ctx, observe.Operation{Kind: &takeKind})
	r := observe.Result{Outcome: observe.Panicked}
	defer func() { end(r) }()
	d, err = s.next.Take(ctx, send, l)
	r = observe.Result{Outcome: observe.OutcomeOf(err), Err: err, Values: observe.Values{label(d, err)}}
	if err == nil && !d.Allowed {
		r.Outcome = observe.Rejected
	}
	return d, err
}

func label(d Decision, err error) string {
	switch {
	case err != nil:
		return "error"
	case d.Known:
		return "known"
	case d.Allowed:
		return "allowed"
	default:
		return string(d.Reason)
	}
}

func (s *observed) Earn(ctx context.Context, send Send, l Limits) error {
	return s.observe(ctx, &earnKind, func(ctx context.Context) error { return s.next.Earn(ctx, send, l) })
}

func (s *observed) Refund(ctx context.Context, send Send, l Limits) error {
	return s.observe(ctx, &refundKind, func(ctx context.Context) error { return s.next.Refund(ctx, send, l) })
}

func (s *observed) observe(ctx context.Context, kind *observe.Kind, do func(context.Context) error) (err error) {
	ctx, end := s.observer.Start(ctx, observe.Operation{Kind: kind})
	r := observe.Result{Outcome: observe.Panicked}
	defer func() { end(r) }()
	err = do(ctx)
	r = observe.Result{Outcome: observe.OutcomeOf(err), Err: err}
	return err
}
