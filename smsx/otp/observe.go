package otp

import (
	"context"

	"github.com/bulwark-go/bulwark/observe"
)

var (
	issueKind = observe.Kind{
		Component: "otp", Action: "issue", Help: "Asking the store for one-time codes.", EndLabels: []string{"result"},
	}
	verifyKind = observe.Kind{
		Component: "otp", Action: "verify", Help: "Guesses at one-time codes.", EndLabels: []string{"result"},
	}
	refundKind = observe.Kind{Component: "otp", Action: "refund", Help: "One-time codes that were certainly not sent."}
)

// Observe returns a Store that reports what next does to o as "otp/issue",
// "otp/verify" and "otp/refund", the first two labelled by result, an [Outcome] or
// "error". What is refused or wrong is Rejected. Nothing reported tells a subject, a
// purpose or a code. With an observer that is nil or [observe.Nop] it returns next.
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

func (s *observed) Issue(ctx context.Context, name string, in Issue) (out Issued, err error) {
	ctx, end := s.observer.Start(ctx, observe.Operation{Kind: &issueKind})
	r := observe.Result{Outcome: observe.Panicked}
	defer func() { end(r) }()
	out, err = s.next.Issue(ctx, name, in)
	r = result(out.Outcome, err)
	return out, err
}

func (s *observed) Verify(ctx context.Context, name string, in Guess) (out Outcome, err error) {
	ctx, end := s.observer.Start(ctx, observe.Operation{Kind: &verifyKind})
	r := observe.Result{Outcome: observe.Panicked}
	defer func() { end(r) }()
	out, err = s.next.Verify(ctx, name, in)
	r = result(out, err)
	return out, err
}

func (s *observed) Refund(ctx context.Context, name, id string) (err error) {
	ctx, end := s.observer.Start(ctx, observe.Operation{Kind: &refundKind})
	r := observe.Result{Outcome: observe.Panicked}
	defer func() { end(r) }()
	err = s.next.Refund(ctx, name, id)
	r = observe.Result{Outcome: observe.OutcomeOf(err), Err: err}
	return err
}

func result(o Outcome, err error) observe.Result {
	switch {
	case err != nil:
		return observe.Result{Outcome: observe.OutcomeOf(err), Err: err, Values: observe.Values{"error"}}
	case o == Granted || o == Verified:
		return observe.Result{Values: observe.Values{o.String()}}
	default:
		return observe.Result{Outcome: observe.Rejected, Values: observe.Values{o.String()}}
	}
}
