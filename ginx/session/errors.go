package session

import (
	"errors"
	"net/http"

	"github.com/bulwark-go/bulwark/ginx"
)

// The reasons to refuse. Test for them with errors.Is.
var (
	// ErrMissing: there is no token.
	ErrMissing = errors.New("session: no token")
	// ErrInvalid: the token or cookie was never good here: malformed, forged, of
	// the wrong kind, not yet valid, or of another user agent.
	ErrInvalid = errors.New("session: invalid token")
	// ErrExpired: the token, or its session, is past its end.
	ErrExpired = errors.New("session: expired")
	// ErrRevoked: the session was ended, or the store knows nothing of it.
	ErrRevoked = errors.New("session: revoked")
	// ErrReused: a spent refresh token came again; the session has been ended.
	ErrReused = errors.New("session: refresh token reused")
	// ErrUnavailable: the store did not answer.
	ErrUnavailable = errors.New("session: store unavailable")
	// ErrTooLarge: the fields do not fit into a cookie. Nothing was changed.
	ErrTooLarge = errors.New("session: too large for a cookie")
)

// isRefusal tells whether err is about the token, rather than about us.
func isRefusal(err error) bool {
	for _, refusal := range []error{ErrMissing, ErrInvalid, ErrExpired, ErrRevoked, ErrReused} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// refuse attaches what a client may know of err; nil stays nil.
func refuse(err error) error {
	switch {
	case isRefusal(err):
		return ginx.NewError(ginx.CodeClient, "login required").WithStatus(http.StatusUnauthorized).WithCause(err)
	case errors.Is(err, ErrUnavailable):
		return ginx.NewError(ginx.CodeSystem, "system error").WithStatus(http.StatusServiceUnavailable).WithCause(err)
	}
	return err
}
