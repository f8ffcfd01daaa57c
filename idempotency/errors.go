package idempotency

import (
	"errors"
	"fmt"
	"time"
)

// The sentinels; the package comment tells when each is returned.
var (
	ErrConflict   = errors.New("idempotency: key was used with another payload")
	ErrInProgress = errors.New("idempotency: in progress")
	ErrLost       = errors.New("idempotency: lease lost")
	ErrKey        = errors.New("idempotency: invalid key")
	ErrConfig     = errors.New("idempotency: invalid settings")
)

// ConflictError tells that a key was used with another payload. It wraps
// [ErrConflict]. Trying again does not help: put the message aside and tell someone.
type ConflictError struct{ Key Key }

// Error implements error.
func (e *ConflictError) Error() string { return fmt.Sprintf("%v: %s", ErrConflict, e.Key) }

// Unwrap returns [ErrConflict].
func (e *ConflictError) Unwrap() error { return ErrConflict }

// InProgressError tells that someone works on a key. It wraps [ErrInProgress].
type InProgressError struct {
	Key Key
	// RetryAfter is for how long their lease still lasts.
	RetryAfter time.Duration
}

// Error implements error.
func (e *InProgressError) Error() string {
	return fmt.Sprintf("%v: %s, for another %v", ErrInProgress, e.Key, e.RetryAfter)
}

// Unwrap returns [ErrInProgress].
func (e *InProgressError) Unwrap() error { return ErrInProgress }

func violation(field string, value any, want string) error {
	return fmt.Errorf("%w: %s %v: must be %s", ErrConfig, field, value, want)
}
