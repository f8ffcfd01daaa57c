package async

import (
	"errors"
	"fmt"
)

// The sentinels; the package comment tells when each is returned.
var (
	ErrConfig      = errors.New("async: invalid settings")
	ErrNotAccepted = errors.New("async: not accepted")
	ErrUnknown     = errors.New("async: unknown whether it was carried out")
	ErrFull        = errors.New("async: backlog is full")
	ErrExpired     = errors.New("async: no longer worth delivering")
	ErrEnded       = errors.New("async: a request with this key has ended without being delivered")
	ErrLost        = errors.New("async: lease lost")
)

// NotAcceptedError tells that a request was neither delivered nor stored. It wraps
// [ErrNotAccepted], Cause and Err.
type NotAcceptedError struct {
	// Reason tells why the request was to be stored.
	Reason Reason
	// Cause is the error of the limiter, the judge or send that led here; nil when
	// there was none.
	Cause error
	// Err tells why the request was not stored. When it is the store's, a store that
	// lost its answer may hold the request all the same: trying again with the same
	// key is safe, without one it may be delivered twice.
	Err error
}

// Error implements error.
func (e *NotAcceptedError) Error() string {
	text := fmt.Sprintf("%v: %s", ErrNotAccepted, e.Reason)
	if e.Cause != nil {
		text += fmt.Sprintf(" (%v)", e.Cause)
	}
	return fmt.Sprintf("%s, and not stored: %v", text, e.Err)
}

// Unwrap returns what the error wraps.
func (e *NotAcceptedError) Unwrap() []error {
	errs := []error{ErrNotAccepted, e.Err}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	return errs
}

func violation(field string, value any, want string) error {
	return fmt.Errorf("async: %s %v: must be %s", field, value, want)
}
