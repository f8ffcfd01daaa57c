package failover

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrUnavailable is wrapped by the error of a call that no provider was asked for,
	// because all of them are judged ill or drained.
	ErrUnavailable = errors.New("failover: no provider available")
	// ErrBudget is wrapped by the error of a call that could have been tried elsewhere,
	// had the retry budget allowed it.
	ErrBudget = errors.New("failover: retry budget spent")
	// ErrDrained is wrapped by the reason for which a drained provider was not asked.
	ErrDrained = errors.New("failover: drained by an operator")
	// ErrUnknownCandidate is wrapped by [Group.SetMode] for a name that no candidate has.
	ErrUnknownCandidate = errors.New("failover: unknown candidate")
)

// Attempt is what one provider had to do with a failed call.
type Attempt struct {
	// Name is the candidate's.
	Name string
	// Tried tells that it was called. If not, Err is the reason, and Outcome Rejected.
	Tried bool
	// Outcome is what became of it.
	Outcome Outcome
	// Err is what it said.
	Err error
}

// CallError is the error of a call that no provider accepted.
type CallError struct {
	// Group is the group's name.
	Group string
	// Attempts tells of each provider that was called or passed over, in order.
	Attempts []Attempt
	// Cause is why no other was tried, if that is not in the last attempt: the error
	// of the caller's context, [ErrBudget] or [ErrUnavailable]; or nil.
	Cause error
}

// Error names each provider and its reason.
func (e *CallError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "failover: %q failed", e.Group)
	if e.Cause != nil {
		fmt.Fprintf(&b, " (%v)", e.Cause)
	}
	for i, a := range e.Attempts {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		verb := a.Outcome.String()
		if !a.Tried {
			verb = "not tried"
		}
		fmt.Fprintf(&b, "%s%s %s: %v", sep, a.Name, verb, a.Err)
	}
	return b.String()
}

// Unwrap returns the cause and what each provider said, for errors.Is and errors.As.
func (e *CallError) Unwrap() []error {
	errs := make([]error, 0, len(e.Attempts)+1)
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	for _, a := range e.Attempts {
		errs = append(errs, a.Err)
	}
	return errs
}

// RetryAfter tells when a provider that was not asked may be again: the least that
// any of their judges said, and 0 when none did.
func (e *CallError) RetryAfter() (least time.Duration) {
	for _, a := range e.Attempts {
		var says interface{ RetryAfter() time.Duration }
		if !a.Tried && errors.As(a.Err, &says) {
			if d := says.RetryAfter(); d > 0 && (least == 0 || d < least) {
				least = d
			}
		}
	}
	return least
}

// Outcome tells what became of the call as a whole: [Unknown] if it is that for any
// attempt, [Final] if any provider said so, else [Rejected]. A group inside a group
// is so classified by itself.
func (e *CallError) Outcome() Outcome {
	overall := Rejected
	for _, a := range e.Attempts {
		if a.Tried && a.Outcome == Unknown {
			return Unknown
		}
		if a.Tried && a.Outcome == Final {
			overall = Final
		}
	}
	return overall
}

// Refused tells circuit breakers further out whether no provider was called at all: then
// limits and breakers in between refused, and nothing was learned. One that was called
// and failed makes it a failure, whatever kept the others from being tried.
func (e *CallError) Refused() bool {
	for _, a := range e.Attempts {
		if a.Tried {
			return false
		}
	}
	return true
}

// violations gathers what is wrong with settings.
type violations []error

func (v *violations) require(ok bool, field string, value any, want string) {
	if !ok {
		*v = append(*v, fmt.Errorf("failover: %s %v: must be %s", field, value, want))
	}
}
