package circuitbreaker

import (
	"context"
	"errors"
	"time"
)

// Classifier decides how the error of a call counts. ctx is the context the call
// ran under.
type Classifier func(ctx context.Context, err error) Outcome

// Classify is the default [Classifier]:
//
//   - nil is a Success;
//   - an error is Neutral when ctx was cancelled, whatever the error says: then the
//     caller gave up, be it a user, a failed sibling or a won hedge;
//   - an error that wraps [context.Canceled] is Neutral: no answer was waited for;
//   - an error whose method Refused() bool returns true is Neutral: no call was made;
//   - any other error is a Failure, deadlines and time-outs included.
//
// The method is how limits and breakers further in say that it was them and not the
// other side: [ErrOpen] has it, and so have the denials of package ratelimit. Give it
// to errors of your own that mean the same. Of several in a tree of errors the
// outermost decides, so that an error which sums up calls of which only some were
// made can return false.
//
// An error that only reads like "context canceled", under a context that lives, is
// a Failure: it came from the other side.
func Classify(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, context.Canceled), refused(err):
		return Neutral
	default:
		return Failure
	}
}

// refused tells whether err says that no call was made.
func refused(err error) bool {
	said, ok := errors.AsType[interface {
		error
		Refused() bool
	}](err)
	return ok && said.Refused()
}

// outcome classifies err, and lets a caller's own hurry pass.
func (s *settings) outcome(ctx context.Context, err error, hurried bool) Outcome {
	outcome := s.classify(ctx, err)
	if outcome == Failure && hurried && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Neutral
	}
	return outcome
}

// retryAfter finds the time that the other side asked to be left alone for in err:
// that of an error with a RetryAfter method. 0 is none.
func retryAfter(err error) time.Duration {
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		return max(asked.RetryAfter(), 0)
	}
	return 0
}
