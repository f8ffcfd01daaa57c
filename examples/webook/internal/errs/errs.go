// Package errs lists the business errors that clients may see, in one table,
// because front ends test for the codes. Family 4 is the caller's mistake, family
// 5 ours; 01 is the module users.
package errs

import (
	"net/http"

	"github.com/bulwark-go/bulwark/ginx"
)

// Codes of the users module.
const (
	CodeInvalidInput   = 401001
	CodeBadCredentials = 401002
	CodeDuplicateEmail = 401003
	CodeLoginRefused   = 401004
	CodeBadCode        = 401005
	CodeTooManyCodes   = 401006
	CodeBusy           = 501001
)

// InvalidInput returns the error for a field that breaks its rule. The message is
// shown to people: it names the rule, never the value.
func InvalidInput(msg string) error { return ginx.NewError(CodeInvalidInput, msg) }

// BadCredentials is the one answer to an unknown user and to a wrong password:
// two answers would tell who has an account.
func BadCredentials() error {
	return ginx.NewError(CodeBadCredentials, "wrong e-mail or password")
}

// DuplicateEmail says that the e-mail has an account already.
func DuplicateEmail(cause error) error {
	return ginx.NewError(CodeDuplicateEmail, "this e-mail is already registered").WithCause(cause)
}

// LoginRefused says that a login through WeChat does not hold: begun elsewhere, too
// long ago, or finished already.
func LoginRefused(cause error) error {
	return ginx.NewError(CodeLoginRefused, "this login has expired, please begin again").WithCause(cause)
}

// BadCode is the one answer to a code that is wrong, expired, used, tried too often
// or never sent: to tell them apart helps only who guesses.
func BadCode() error { return ginx.NewError(CodeBadCode, "wrong or expired code") }

// TooManyCodes says that the phone has to wait for another code.
func TooManyCodes(cause error) error {
	return ginx.NewError(CodeTooManyCodes, "codes are sent too often, please try again later").WithCause(cause)
}

// LoginNeeded says that the session's account no longer exists.
func LoginNeeded(cause error) error {
	return ginx.NewError(ginx.CodeClient, "please log in").WithStatus(http.StatusUnauthorized).WithCause(cause)
}

// Unavailable says that a part of ours is away for now.
func Unavailable(cause error) error {
	return ginx.NewError(ginx.CodeSystem, "system error").WithStatus(http.StatusServiceUnavailable).WithCause(cause)
}

// Busy says that we shed the request to keep the database standing.
func Busy(cause error) error {
	return ginx.NewError(CodeBusy, "busy, please try again").WithStatus(http.StatusServiceUnavailable).WithCause(cause)
}
