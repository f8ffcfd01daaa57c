package ginx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Error is a failure together with what the client may know about it. Create it
// deep in a service and wrap it with %w on the way: the edge finds it.
//
// An Error can serve as a sentinel: errors.Is matches by Code and Msg, whatever
// cause or status a copy carries.
type Error struct {
	// Code is the business code; 0, which would read as success, becomes
	// [CodeSystem] on the way out.
	Code int
	// Msg is shown to the client.
	Msg string
	// HTTPStatus is the HTTP status; 0 is 200, as business failures have it.
	HTTPStatus int
	// Cause goes to the log only; nil for none.
	Cause error
}

// NewError returns an Error that answers HTTP 200 with code and msg.
func NewError(code int, msg string) *Error { return &Error{Code: code, Msg: msg} }

// InvalidField returns the Error for a request field that breaks a rule: HTTP
// 400 with [CodeClient] and the message "field problem". Use it in Validate
// methods; field is the name that the client knows.
func InvalidField(field, problem string) *Error {
	return badRequest(field+" "+problem, nil)
}

// WithCause returns a copy of e that carries err for the log.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.Cause = err
	return &c
}

// WithStatus returns a copy of e that answers with the HTTP status.
func (e *Error) WithStatus(status int) *Error {
	c := *e
	c.HTTPStatus = status
	return &c
}

// Error describes e for the log, its cause included.
func (e *Error) Error() string {
	switch {
	case e == nil:
		return "ginx: nil *Error"
	case e.Cause != nil:
		return fmt.Sprintf("%s (code %d): %v", e.Msg, e.Code, e.Cause)
	default:
		return fmt.Sprintf("%s (code %d)", e.Msg, e.Code)
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Cause
}

// Is tells whether target is an Error with the same Code and Msg.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t != nil && e != nil && t.Code == e.Code && t.Msg == e.Msg
}

// StatusClientClosedRequest is recorded for a request whose client went away
// before the answer. No client ever reads it; nginx uses the same number.
const StatusClientClosedRequest = 499

var (
	errNoReason     = errors.New("ginx: aborted without an error")
	errUnauthorized = NewError(CodeClient, "login required").WithStatus(http.StatusUnauthorized)
)

func badRequest(msg string, cause error) *Error {
	return &Error{Code: CodeClient, Msg: msg, HTTPStatus: http.StatusBadRequest, Cause: cause}
}

// refused tells whether err says that a limit or a breaker further in turned a call
// away, see [circuitbreaker.Classify].
func refused(err error) bool {
	said, ok := errors.AsType[interface {
		error
		Refused() bool
	}](err)
	return ok && said.Refused()
}

// verdict is what the client learns about an error.
type verdict struct {
	code, status int
	msg          string
}

// judge maps an error to the answer. A client that went away comes first: what
// its cancellation broke underneath, however wrapped, is nobody's failure.
func judge(ctx context.Context, err error) verdict {
	if ctx.Err() == context.Canceled && errors.Is(err, context.Canceled) {
		return verdict{CodeClient, StatusClientClosedRequest, "client closed request"}
	}
	var e *Error
	switch {
	case errors.As(err, &e) && e != nil:
		v := verdict{e.Code, statusOr(e.HTTPStatus, http.StatusOK), e.Msg}
		if v.code == CodeOK {
			v.code = CodeSystem
		}
		return v
	case refused(err):
		return verdict{CodeSystem, http.StatusServiceUnavailable, "service unavailable"}
	case errors.Is(err, context.DeadlineExceeded):
		return verdict{CodeSystem, http.StatusGatewayTimeout, "timeout"}
	default:
		return verdict{CodeSystem, http.StatusInternalServerError, systemMessage}
	}
}
