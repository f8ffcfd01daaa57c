package observe

import (
	"context"
	"errors"
)

// Outcome is how an operation ended, from a closed set: it is a label wherever
// there are labels. The zero Outcome is OK.
type Outcome uint8

// The outcomes.
const (
	// OK: it did what was asked.
	OK Outcome = iota
	// Failed: the other side, or we, failed.
	Failed
	// Timeout: our own deadline for it ran out.
	Timeout
	// Canceled: the caller no longer wanted it. Not a failure of the other side.
	Canceled
	// Rejected: governance refused to try: limited, broken, shed.
	Rejected
	// Degraded: a fallback answered instead.
	Degraded
	// Skipped: nothing was to be done: a duplicate, a stale item, a cache hit.
	Skipped
	// Panicked: user code panicked; the panic went on.
	Panicked

	outcomes
)

var outcomeNames = [outcomes]string{
	"ok", "failed", "timeout", "canceled", "rejected", "degraded", "skipped", "panicked",
}

// String returns the outcome's label value; "unknown" for a value out of range.
func (o Outcome) String() string {
	if o >= outcomes {
		return "unknown"
	}
	return outcomeNames[o]
}

// OutcomeOf classifies err by the rule that holds across the module: nil is OK,
// [context.Canceled] is Canceled, [context.DeadlineExceeded] is Timeout and
// anything else is Failed. Packages with finer knowledge classify themselves.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return OK
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	default:
		return Failed
	}
}
