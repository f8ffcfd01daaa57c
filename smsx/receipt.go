package smsx

import (
	"errors"
	"fmt"
)

// Outcome is what became of a message to one number. The zero Outcome is Unknown,
// the careful answer.
type Outcome uint8

// The outcomes.
const (
	// Unknown may have been sent: sending again may double it.
	Unknown Outcome = iota
	// Accepted was taken by the vendor.
	Accepted
	// Rejected was certainly not sent: sending again doubles nothing.
	Rejected
)

// String names the outcome.
func (o Outcome) String() string {
	switch o {
	case Accepted:
		return "accepted"
	case Rejected:
		return "rejected"
	default:
		return "unknown"
	}
}

// Reason is the class of a vendor's code. The zero Reason is ReasonUnknown.
type Reason uint8

// The nine reasons.
const (
	// ReasonUnknown is a code that we do not know.
	ReasonUnknown Reason = iota
	// ReasonAccepted is success.
	ReasonAccepted
	// ReasonNumber is a number that can't receive: wrong, blocked, or not served.
	ReasonNumber
	// ReasonNumberLimit is a number that has had too many messages.
	ReasonNumberLimit
	// ReasonAccountLimit is an account that sends too fast or too much.
	ReasonAccountLimit
	// ReasonTemplate is a template, signature or argument that isn't allowed.
	ReasonTemplate
	// ReasonBalance is an account without money.
	ReasonBalance
	// ReasonAuth is a wrong key, signature or permission.
	ReasonAuth
	// ReasonDown is a vendor that does not work, or can't be reached.
	ReasonDown
)

var reasons = [...]string{"unknown", "accepted", "number", "number_limit", "account_limit", "template", "balance", "auth", "down"}

// String names the reason, fit for a label.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return reasons[ReasonUnknown]
}

// Elsewhere tells whether another provider may take what was rejected for this
// reason: all but a number that can't receive or has had enough.
func (r Reason) Elsewhere() bool {
	return r != ReasonNumber && r != ReasonNumberLimit && r != ReasonAccepted
}

// Result is what became of a message to one number.
type Result struct {
	// Number is the receiver.
	Number Number
	// Outcome is whether it was sent.
	Outcome Outcome
	// Provider is who said so; empty when nobody was asked.
	Provider string
	// Code is the vendor's own word, and empty when it did not answer.
	Code string
	// Reason is the class of Code.
	Reason Reason
	// MessageID is the vendor's id of the message, if it gave one.
	MessageID string
}

// Receipt says what became of a message, number by number. A zero Receipt says
// nothing, and so that nothing is known.
type Receipt struct {
	// Results are in the order of Message.Numbers.
	Results []Result
}

// Same returns the receipt of m with the same result for each number.
func Same(m Message, r Result) Receipt {
	results := make([]Result, len(m.Numbers))
	for i, n := range m.Numbers {
		results[i] = r
		results[i].Number = n
	}
	return Receipt{Results: results}
}

// SendError says that not all numbers were accepted. It is [ErrUnknown] when the
// outcome of one is unknown, else [ErrPartial] when one was accepted, else
// [ErrRejected].
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
