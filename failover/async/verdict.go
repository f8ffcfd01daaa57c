package async

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// Verdict is what the end of a call says about the request. The zero Verdict is
// Uncertain.
type Verdict uint8

// The verdicts.
const (
	// Uncertain: it may have been carried out.
	Uncertain Verdict = iota
	// Succeeded: it was carried out.
	Succeeded
	// Failed: it was definitely not carried out; another attempt may do.
	Failed
	// Hopeless: it was definitely not carried out and never will be.
	Hopeless
)

var verdictNames = []string{"uncertain", "succeeded", "failed", "hopeless"}

// String returns the verdict's name, "invalid" for a value out of range.
func (v Verdict) String() string { return nameOf(verdictNames, int(v)) }

// Classifier reads the error of send. It must not panic.
type Classifier func(error) Verdict

// Classify is the default [Classifier]:
//
//   - nil has Succeeded;
//   - what wraps an error of [Never] is Hopeless;
//   - what wraps an error of [NotDone], [ratelimit.ErrLimited] or
//     [circuitbreaker.ErrOpen] has Failed: it never reached the other side, or was
//     turned away there;
//   - anything else is Uncertain, time-outs and broken connections above all: an
//     error that nobody vouches for is no proof that nothing happened.
func Classify(err error) Verdict {
	var known *knownError
	switch {
	case err == nil:
		return Succeeded
	case errors.As(err, &known):
		return known.verdict
	case errors.Is(err, ratelimit.ErrLimited), errors.Is(err, circuitbreaker.ErrOpen):
		return Failed
	default:
		return Uncertain
	}
}

// knownError is an error whose verdict is known.
type knownError struct {
	error
	verdict Verdict
}

func (e *knownError) Unwrap() error { return e.error }

// NotDone marks err as a definite refusal after which another attempt may do: the
// connection was refused, the provider answered that it is overloaded. It is nil
// for a nil err.
func NotDone(err error) error { return known(err, Failed) }

// Never marks err as a definite refusal for good: the number does not exist. It is
// nil for a nil err.
func Never(err error) error { return known(err, Hopeless) }

func known(err error, v Verdict) error {
	if err == nil {
		return nil
	}
	return &knownError{err, v}
}

// reasonOf tells why a request with a failed call is stored.
func reasonOf(v Verdict, err error) Reason {
	switch {
	case v == Uncertain:
		return Unclear
	case errors.Is(err, ratelimit.ErrLimited):
		return Limited
	case errors.Is(err, circuitbreaker.ErrOpen):
		return Judged
	default:
		return Turned
	}
}

// health says how a call counts for the judge: an answer that this one request will
// never do is a sign of life.
func health(classify Classifier) circuitbreaker.Classifier {
	return func(ctx context.Context, err error) circuitbreaker.Outcome {
		if classify(err) == Hopeless {
			return circuitbreaker.Success
		}
		if errors.Is(err, ratelimit.ErrLimited) {
			return circuitbreaker.Neutral
		}
		return circuitbreaker.Classify(ctx, err)
	}
}
