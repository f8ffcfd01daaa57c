package otp

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrLimited means that a subject has to wait for a code; see [LimitedError].
	ErrLimited = errors.New("otp: limited")
	// ErrRejected is what a [Sender] returns, or wraps, when it is certain that
	// nothing was sent and nothing will be.
	ErrRejected = errors.New("otp: rejected by the provider")
	// ErrNoExpiry means that what the store holds of a subject never ends: somebody
	// else wrote it, or took its expiry away. It is a fault of the system, never the
	// subject's; delete the key.
	ErrNoExpiry = errors.New("otp: stored without expiry")
	// ErrFull means that a memory store has no room for another subject.
	ErrFull = errors.New("otp: store is full")
	// ErrSubject means that a subject is no phone number.
	ErrSubject = errors.New("otp: not a phone number with a country code")
	// ErrPurpose means that a purpose is empty or longer than 64 bytes.
	ErrPurpose = errors.New("otp: purpose must have 1 to 64 bytes")
)

// LimitedError tells for how long. It is [ErrLimited].
type LimitedError struct {
	// RetryAfter is when to ask again at the earliest.
	RetryAfter time.Duration
	// Locked tells that the failure budget is spent, not that codes come too fast.
	Locked bool
}

// Error implements error.
func (e *LimitedError) Error() string {
	return fmt.Sprintf("otp: limited, retry after %v", e.RetryAfter)
}

// Unwrap returns [ErrLimited].
func (e *LimitedError) Unwrap() error { return ErrLimited }

// FieldError is a bad argument or field of a [Config].
type FieldError struct {
	// Field is its name, Value what it holds (never a secret), and Reason what is wrong.
	Field  string
	Value  any
	Reason string
}

// Error implements error.
func (e *FieldError) Error() string {
	return fmt.Sprintf("otp: %s = %v %s", e.Field, e.Value, e.Reason)
}
