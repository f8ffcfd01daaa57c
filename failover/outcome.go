package failover

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// Outcome is what became of a call, as far as can be told. It decides whether the
// call may be tried elsewhere. The zero Outcome is Unknown, the careful answer.
type Outcome uint8

// The outcomes.
const (
	// Unknown: it may have been carried out, or still be. A timeout, as a rule.
	Unknown Outcome = iota
	// Accepted: it was carried out. A nil error, and nothing else.
	Accepted
	// Rejected: it was certainly not carried out, and another provider may do better.
	Rejected
	// Final: it was certainly not carried out, and no other provider should be asked:
	// the request itself is at fault, or somebody must be left alone. It does not
	// count against the provider.
	Final

	outcomes
)

var outcomeNames = [outcomes]string{"unknown", "accepted", "rejected", "final"}

// String returns the outcome's name; "invalid" for a value out of range.
func (o Outcome) String() string {
	if o >= outcomes {
		return "invalid"
	}
	return outcomeNames[o]
}

// Classifier finds the outcome in the error of a call, which is not nil. ctx is the
// context that the call of [Do] came with. It must be safe for concurrent use.
type Classifier func(ctx context.Context, err error) Outcome

// Classify is the default [Classifier]:
//
//   - an error with a method Outcome() Outcome, such as one made by [Mark], says so
//     itself, unless it says Accepted;
//   - an error that came up before anything was sent is Rejected: one of looking up
//     or dialling an address, a refused connection, the refusal of a circuit breaker
//     or of a limiter;
//   - anything else is Unknown.
func Classify(_ context.Context, err error) Outcome {
	var says interface{ Outcome() Outcome }
	if errors.As(err, &says) {
		if o := says.Outcome(); o == Rejected || o == Final {
			return o
		}
		return Unknown
	}
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case refused(err), errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &dns),
		errors.As(err, &op) && op.Op == "dial":
		return Rejected
	default:
		return Unknown
	}
}

// refused tells whether err is a refusal on this side, by a breaker or a limiter of the
// provider's own: nothing was sent, and it says nothing about the provider's health.
func refused(err error) bool {
	return errors.Is(err, circuitbreaker.ErrOpen) || errors.Is(err, ratelimit.ErrLimited)
}

// Mark returns err with an outcome for [Classify] to find. It returns nil for a nil
// err.
func Mark(err error, o Outcome) error {
	if err == nil {
		return nil
	}
	return &marked{err, o}
}

type marked struct {
	error
	outcome Outcome
}

func (m *marked) Unwrap() error    { return m.error }
func (m *marked) Outcome() Outcome { return m.outcome }

// TimedOut tells whether err is a time-out: a missed deadline, of a context or of a
// connection, however deeply wrapped, or any error that says Timeout() true.
func TimedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// BrokenConnection tells whether err is the end of a connection that nobody meant to
// end: an unexpected EOF, a reset, a broken pipe. It is meant for [WithFailures],
// to take out a provider that hangs up.
func BrokenConnection(err error) bool {
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}
