package smsx

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
	// Deferred tells that no vendor has it yet: it was stored durably, to be sent
	// later. Outcome is Accepted then, Provider whoever stored it, and MessageID its
	// key there.
	Deferred bool
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
