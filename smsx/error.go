package smsx

import (
	"context"
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// SendError says that not all numbers were accepted. It is [ErrUnknown] when the
// outcome of one is unknown, else [ErrPartial] when one was accepted, else
// [ErrRejected].
//
// It tells package failover by itself what may be done with the message as a whole:
// see [SendError.Outcome].
type SendError struct {
	// Receipt is the one that Send returned beside it.
	Receipt Receipt
	// Cause is what went wrong, if it was no answer of the vendor; may be nil.
	Cause error
}

// Err returns what a [Service] returns beside the receipt: nil when all numbers
// were accepted, else a [*SendError] with the cause, which may be nil.
func (r Receipt) Err(cause error) error {
	for _, res := range r.Results {
		if res.Outcome != Accepted {
			return &SendError{Receipt: r, Cause: cause}
		}
	}
	if len(r.Results) == 0 {
		return &SendError{Receipt: r, Cause: cause}
	}
	return nil
}

func (e *SendError) kind() error {
	kind, accepted := ErrRejected, false
	for _, r := range e.Receipt.Results {
		accepted = accepted || r.Outcome == Accepted
		if r.Outcome == Unknown {
			return ErrUnknown
		}
	}
	switch {
	case len(e.Receipt.Results) == 0:
		kind = ErrUnknown
	case accepted:
		kind = ErrPartial
	}
	return kind
}

// Outcome tells what may be done with the message as a whole, for package failover
// and whoever else asks errors:
//
//   - Unknown when a number's outcome is, or when one was accepted: sending all of
//     it again would double something;
//   - Rejected when nothing was sent and another provider may take a number;
//   - Final when nothing was sent and no provider should be asked.
func (e *SendError) Outcome() failover.Outcome {
	if !errors.Is(e.kind(), ErrRejected) {
		return failover.Unknown
	}
	for _, r := range e.Receipt.Results {
		if r.Reason.Elsewhere() {
			return failover.Rejected
		}
	}
	return failover.Final
}

// Timeout tells whether the vendor did not answer in time, as the cause says it.
func (e *SendError) Timeout() bool { return e.Cause != nil && failover.TimedOut(e.Cause) }

// Error names the first number that was not accepted, masked.
func (e *SendError) Error() string {
	text := e.kind().Error()
	for _, r := range e.Receipt.Results {
		if r.Outcome != Accepted {
			text += fmt.Sprintf(": %s: %v is %v: %v (%q)", r.Provider, r.Number, r.Outcome, r.Reason, r.Code)
			break
		}
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the sentinel and the cause.
func (e *SendError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.kind()}
	}
	return []error{e.kind(), e.Cause}
}

// OutcomeOf tells what an error of Send means for the message as a whole, for
// those who send to one number: Accepted when nil, Rejected when nothing was sent.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Accepted
	case errors.Is(err, ErrUnknown) || errors.Is(err, ErrPartial):
		return Unknown
	case errors.Is(err, ErrRejected) || errors.Is(err, ErrMessage) || errors.Is(err, ErrExpired):
		return Rejected
	default:
		return Unknown
	}
}

// Fault tells whether an error of Send speaks against the provider: it did not
// answer, does not work, or turns this account away. What is wrong with a message or
// a number does not, nor do the refusals of a limiter or a breaker of ours, nor a
// caller who left. Breakers and judges of providers count by it.
func Fault(err error) bool {
	switch {
	case err == nil, errors.Is(err, ErrMessage), errors.Is(err, ErrExpired), errors.Is(err, context.Canceled),
		errors.Is(err, ratelimit.ErrLimited), errors.Is(err, circuitbreaker.ErrOpen):
		return false
	}
	var failed *SendError
	if !errors.As(err, &failed) || len(failed.Receipt.Results) == 0 {
		return true
	}
	for _, r := range failed.Receipt.Results {
		if r.Outcome == Unknown || r.Outcome == Rejected && r.Reason.fault() {
			return true
		}
	}
	return false
}

// fault tells whether a rejection for the reason speaks against the provider.
func (r Reason) fault() bool { return r.Elsewhere() && r != ReasonTemplate }
