package saramax

import (
	"errors"
	"fmt"
)

// Verdict is what a handler says of one record. The zero Verdict is [Done]. The four
// verdicts match those of Kafka's share groups: accept, release, reject, and, for
// Skip, an accept that is counted apart.
type Verdict struct {
	action Action
	cause  error
}

// Action is what happens to a record after its verdict.
type Action uint8

// The actions.
const (
	// ActionDone: the record is worked off.
	ActionDone Action = iota
	// ActionRetry: the record is handled again, as the retry policy says, and is
	// dead-lettered in the end.
	ActionRetry
	// ActionDeadLetter: no attempt can succeed; the record goes to the dead-letter
	// topic now.
	ActionDeadLetter
	// ActionSkip: the record is none of the handler's business; it is passed, and
	// counted as skipped.
	ActionSkip
)

var actionNames = []string{"done", "retry", "dead_letter", "skip"}

// String returns the action's name, "invalid" for a value out of range.
func (a Action) String() string {
	if int(a) >= len(actionNames) {
		return "invalid"
	}
	return actionNames[a]
}

// Done says that the record is worked off.
func Done() Verdict { return Verdict{} }

// Retry says that cause may go away: handle the record again, later.
func Retry(cause error) Verdict { return Verdict{ActionRetry, orUnknown(cause)} }

// DeadLetter says that no attempt can succeed: put the record aside now.
func DeadLetter(cause error) Verdict { return Verdict{ActionDeadLetter, orUnknown(cause)} }

// Skip says that the record is none of the handler's business.
func Skip() Verdict { return Verdict{action: ActionSkip} }

// Action tells what happens to the record.
func (v Verdict) Action() Action { return v.action }

// Cause is why, for [Retry] and [DeadLetter]; else nil.
func (v Verdict) Cause() error { return v.cause }

// errUnknown stands for a cause that the handler did not give.
var errUnknown = errors.New("saramax: no cause given")

func orUnknown(cause error) error {
	if cause == nil {
		return errUnknown
	}
	return cause
}

// ErrSkip is returned, or wrapped, by a handler of single records whose verdict is
// [Skip].
var ErrSkip = errors.New("saramax: record skipped")

// Permanent marks err as one that no further attempt can mend, so that [VerdictOf]
// makes [DeadLetter] of it. Permanent of nil is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return fmt.Sprintf("saramax: permanent: %v", e.err) }
func (e *permanentError) Unwrap() error { return e.err }

// VerdictOf reads a handler's error: nil is [Done], what wraps [ErrSkip] is [Skip],
// what wraps an error of [Permanent] is [DeadLetter], and anything else is [Retry],
// since an error that nobody vouches for may go away.
func VerdictOf(err error) Verdict {
	var permanent *permanentError
	switch {
	case err == nil:
		return Done()
	case errors.Is(err, ErrSkip):
		return Skip()
	case errors.As(err, &permanent):
		return DeadLetter(err)
	default:
		return Retry(err)
	}
}
