package circuitbreaker

import (
	"context"
	"fmt"
	"time"
)

// State is where a breaker stands. The zero State is Closed.
type State uint8

// The states, in the order they follow each other in.
const (
	// Closed: every call passes, and detectors listen.
	Closed State = iota
	// Open: no call passes.
	Open
	// HalfOpen: a few probes pass, never more at a time than [Config.Probes].
	HalfOpen
	// Ramping: a share of calls passes that doubles with each clean step.
	Ramping

	states
)

var stateNames = [states]string{"closed", "open", "half-open", "ramping"}

// String returns the state's name, "unknown" for a value out of range.
func (s State) String() string {
	if s >= states {
		return "unknown"
	}
	return stateNames[s]
}

// Mode is what an operator made of a breaker. The zero Mode is Automatic.
type Mode uint8

// The modes.
const (
	// Automatic: the breaker decides.
	Automatic Mode = iota
	// ForcedOpen: no call passes, whatever the detectors say. Back in Automatic,
	// the breaker probes first.
	ForcedOpen
	// ForcedClosed: every call passes and nothing is judged. Back in Automatic,
	// the breaker is closed and has heard of nothing.
	ForcedClosed
	// Shadow: the breaker decides as ever, but every call passes; those it would
	// have refused are counted in [Snapshot.Shadowed], and not judged.
	Shadow

	modes
)

var modeNames = [modes]string{"automatic", "forced-open", "forced-closed", "shadow"}

// String returns the mode's name, "unknown" for a value out of range.
func (m Mode) String() string {
	if m >= modes {
		return "unknown"
	}
	return modeNames[m]
}

func (m Mode) check() error {
	if m >= modes {
		return fmt.Errorf("circuitbreaker: mode %d: must be below %d", m, modes)
	}
	return nil
}

// Outcome is how a call ended, as far as health is concerned. The zero Outcome is
// Success.
type Outcome uint8

// The outcomes.
const (
	Success Outcome = iota
	// Failure: the other side failed.
	Failure
	// Neutral: nothing was learned about the other side, for example because the
	// caller gave up. The call counts as never made.
	Neutral
)

// Gate admits calls, or does not. [Breaker], [Throttle] and [Observed] are gates.
type Gate interface {
	// Allow returns the ticket of an admitted call, which must be ended with one
	// of its methods, or an error that wraps [ErrOpen]. It does not wait.
	Allow() (Ticket, error)
}

// ErrOpen is wrapped by every refusal. Trying again at once is pointless: the
// refusal came from this side. It has a method Refused, see [Classify].
var ErrOpen error = refusal("circuitbreaker: open")

// refusal is an error of which breakers further out know that no call was made.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) Refused() bool   { return true }

// OpenError is a refusal. It may be shared by many calls; do not change it.
type OpenError struct {
	// Name is the breaker's, or its group's, and Key the one in the group.
	Name, Key string
	// State and Mode are those it refused in. A [Throttle] says Ramping.
	State State
	Mode  Mode

	set   *settings
	until time.Duration // 0: not known
}

// Error implements error.
func (e *OpenError) Error() string {
	what := e.State.String()
	if e.Mode == ForcedOpen {
		what = e.Mode.String()
	}
	name := e.Name
	if e.Key != "" {
		name += "/" + e.Key
	}
	text := fmt.Sprintf("circuitbreaker: %q refused the call: %s", name, what)
	if e.until == 0 {
		return text
	}
	return text + fmt.Sprintf(", next change in %v", e.RetryAfter().Round(time.Millisecond))
}

// Unwrap returns [ErrOpen].
func (e *OpenError) Unwrap() error { return ErrOpen }

// RetryAfter returns how long it takes from now until the breaker may admit more
// calls than it does; 0 when that is due, or not known, as while a probe is under
// way.
func (e *OpenError) RetryAfter() time.Duration {
	if e.until == 0 {
		return 0
	}
	return max(e.until-e.set.now(), 0)
}

// Refused returns true: no call was made. See [Classify].
func (e *OpenError) Refused() bool { return true }

// Retryable returns false, for retry policies that ask errors.
func (e *OpenError) Retryable() bool { return false }

// Do runs fn if gate admits it, and reports to gate how it ended, also when fn
// panics or leaves through runtime.Goexit; both count as failures and go on. It
// returns what fn returned, or the gate's error, or ctx's error when ctx had ended
// before.
//
// How the error of fn counts is decided by the gate's classifier. Besides, running
// into ctx's deadline does not count when ctx had less than [Config.MinBudget] left
// at the start: the hurry was the caller's.
func Do[T any](ctx context.Context, gate Gate, fn func(context.Context) (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	var ticket Ticket
	var err error
	if b, ok := gate.(*Breaker); ok { // the usual case is worth a nanosecond
		err = b.admit(&ticket)
	} else {
		ctx, err = allow(ctx, gate, &ticket)
	}
	if err != nil {
		return zero, err
	}
	hurried := ticket.hurried(ctx)
	returned := false
	defer func() {
		if !returned {
			ticket.abandon()
		}
	}()
	result, err := fn(ctx)
	ticket.report(ctx, err, hurried)
	returned = true // the classifier, too
	return result, err
}

// allow asks gate for ticket, and hands ctx to a gate that can use it. Filling in
// the ticket in place is what keeps it cheap.
func allow(ctx context.Context, gate Gate, ticket *Ticket) (context.Context, error) {
	switch g := gate.(type) {
	case *Breaker:
		return ctx, g.admit(ticket)
	case *Observed:
		return g.admit(ctx, ticket)
	default:
		var err error
		*ticket, err = g.Allow()
		return ctx, err
	}
}
