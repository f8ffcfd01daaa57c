package ratelimit

import (
	"errors"
	"fmt"
	"time"
)

// ErrRequest is wrapped by the errors about requests that no limiter could ever
// answer.
var ErrRequest = errors.New("ratelimit: invalid request")

// ErrKey is returned for an empty key: the caller could not tell the subject, and
// all such callers would share one budget.
var ErrKey = fmt.Errorf("%w: empty key", ErrRequest)

// CostError is returned for a cost that is negative or above what the limiter can
// ever grant at once; trying again is useless. It wraps [ErrRequest].
type CostError struct {
	Cost int64
	// Most is the largest cost that the limiter grants.
	Most int64
}

// Error implements error.
func (e *CostError) Error() string {
	if e.Cost < 0 {
		return fmt.Sprintf("%v: cost %d: must not be negative", ErrRequest, e.Cost)
	}
	return fmt.Sprintf("%v: cost %d: at most %d can be granted", ErrRequest, e.Cost, e.Most)
}

// Unwrap returns [ErrRequest].
func (e *CostError) Unwrap() error { return ErrRequest }

// CheckRequest returns the error for a key and cost that a limiter which grants at
// most most at once must refuse, nil when there is none. Limiters call it first.
func CheckRequest(key string, cost, most int64) error {
	switch {
	case key == "":
		return ErrKey
	case cost < 0 || cost > most:
		return &CostError{Cost: cost, Most: most}
	default:
		return nil
	}
}

// ErrLimited is wrapped by every [LimitedError]. Both have a method Refused, by which
// a circuit breaker further out knows that the other side did not fail: no call was
// made.
var ErrLimited error = refusal("ratelimit: limited")

type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) Refused() bool   { return true }

// LimitedError is a denial where only an error fits.
type LimitedError struct {
	Decision Decision
}

// Error implements error.
func (e *LimitedError) Error() string {
	if e.Decision.Rule == "" {
		return fmt.Sprintf("%v: retry after %v", ErrLimited, e.Decision.RetryAfter.Round(time.Millisecond))
	}
	return fmt.Sprintf("%v by %q: retry after %v", ErrLimited, e.Decision.Rule, e.Decision.RetryAfter.Round(time.Millisecond))
}

// Refused returns true.
func (e *LimitedError) Refused() bool { return true }

// Unwrap returns [ErrLimited].
func (e *LimitedError) Unwrap() error { return ErrLimited }

// FieldError tells what is wrong with one setting.
type FieldError struct {
	// Field is the setting's name, with the path to it where settings nest.
	Field string
	// Value is what it was set to.
	Value any
	// Reason says what it must be.
	Reason string
}

// Error implements error.
func (e *FieldError) Error() string {
	return fmt.Sprintf("ratelimit: %s %v: %s", e.Field, e.Value, e.Reason)
}
