package ginx

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
)

type exchangeKey struct{}

// exchange is what ginx learns about one request on its way. The outermost of
// AccessLog, ErrorLog and Observe begins it; wrappers, Abort and Recovery add to
// it. It is also the response writer in front of gin's, see writer.go.
//
// It belongs to the request's goroutine, as gin's writer does.
type exchange struct {
	gin.ResponseWriter
	// came is the context the request came with: nothing but the client's
	// leaving cancels it, while inner middleware cancels its own at will.
	came context.Context
	// ran is the context the handler had, the one with the span; nil before.
	ran context.Context
	// err is why the request failed, for the log; nil when it did not.
	err error
	// code is the business code; it means nothing unless replied is set.
	code    int
	replied bool
	// hijacked, panicked and aborted are endings that no status tells.
	hijacked, panicked, aborted bool
	// access is set when AccessLog writes the line, watched when anybody does.
	access, watched, logged bool
	// response is nil unless response bodies are logged.
	response *capture
}

// begin returns the request's exchange, a new one when there is none in sight.
func begin(c *gin.Context) *exchange {
	x, hidden := find(c)
	if x != nil {
		return x
	}
	x = &exchange{ResponseWriter: c.Writer, came: c.Request.Context()}
	c.Writer = x
	if hidden {
		c.Set(exchangeKey{}, x)
	}
	return x
}

// exchangeOf returns the request's exchange, nil when nobody began one.
func exchangeOf(c *gin.Context) *exchange {
	x, hidden := find(c)
	if !hidden {
		return x
	}
	v, _ := c.Get(exchangeKey{})
	if x, ok := v.(*exchange); ok {
		return x
	}
	x = &exchange{ResponseWriter: c.Writer, came: c.Request.Context()}
	c.Set(exchangeKey{}, x)
	return x
}

// find looks for the exchange among the response writers, which costs less than
// gin's map of keys. A writer without Unwrap, as some compressors are, may hide
// one: what happens in front of it is then noted under a key, for adopt.
func find(c *gin.Context) (x *exchange, hidden bool) {
	var w http.ResponseWriter = c.Writer
	for {
		switch t := w.(type) {
		case *exchange:
			return t, false
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil, true
		}
		if _, ok := w.(gin.ResponseWriter); !ok {
			return nil, false // below gin's own writer: nobody began one
		}
	}
}

// adopt takes over what was noted where x was hidden.
func (x *exchange) adopt(c *gin.Context) {
	if len(c.Keys) == 0 {
		return
	}
	v, _ := c.Get(exchangeKey{})
	other, ok := v.(*exchange)
	if !ok || other == x {
		return
	}
	if !x.replied {
		x.err, x.ran, x.code, x.replied = other.err, other.ran, other.code, other.replied
	}
	x.hijacked = x.hijacked || other.hijacked
	x.panicked = x.panicked || other.panicked
	x.aborted = x.aborted || other.aborted
	x.logged = x.logged || other.logged
}

// reply notes the answer of a wrapper or of Render.
func (x *exchange) reply(c *gin.Context, code int) {
	x.code, x.replied, x.ran = code, true, c.Request.Context()
}

// fail notes why there is no better answer.
func (x *exchange) fail(c *gin.Context, code int, err error) {
	if x.err != nil {
		err = errors.Join(x.err, err)
	}
	x.err = err
	x.reply(c, code)
}

// failPanic notes a panic once, however many layers see it pass.
func (x *exchange) failPanic(c *gin.Context, value any) {
	switch {
	case x.panicked || x.aborted:
	case isAbort(value):
		x.aborted = true
		x.fail(c, CodeSystem, http.ErrAbortHandler)
	default:
		x.panicked = true
		x.fail(c, CodeSystem, newPanicError(value))
	}
}

var errGoexit = errors.New("ginx: handler ended its goroutine")

// run runs the rest of the chain and then end, however the chain ends: a panic
// is noted and goes on, and runtime.Goexit, which a failing test calls, counts as
// a failure.
func (x *exchange) run(c *gin.Context, end func()) {
	done := false
	defer func() {
		x.adopt(c)
		if done {
			end()
			return
		}
		p := recover()
		if p == nil {
			x.panicked = true
			x.fail(c, CodeSystem, errGoexit)
			end()
			return
		}
		x.failPanic(c, p)
		end()
		panic(p)
	}()
	c.Next()
	done = true
}

// status is the status to record. It differs from the writer's where the writer
// was not asked (hijacked), where nobody is left to read it (499), and after a
// panic, even behind a 200 that has left already.
func (x *exchange) status() int {
	switch {
	case x.hijacked:
		return http.StatusSwitchingProtocols
	case x.panicked:
		return http.StatusInternalServerError
	case x.Written():
		return x.Status()
	case x.came.Err() == context.Canceled:
		return StatusClientClosedRequest
	case x.aborted:
		return http.StatusInternalServerError
	default:
		return x.Status()
	}
}

// left tells whether the client went away, be it in the middle of the answer, as
// what proxies do then, panic(http.ErrAbortHandler), shows.
func (x *exchange) left(status int) bool {
	return status == StatusClientClosedRequest || x.aborted && x.came.Err() == context.Canceled
}

// context returns the context to look for a trace in.
func (x *exchange) context(c *gin.Context) context.Context {
	if x.ran != nil {
		return x.ran
	}
	return c.Request.Context()
}

// cause returns why the request failed; gin's own list of errors is where
// handlers that do not know ginx leave theirs.
func (x *exchange) cause(c *gin.Context) error {
	if x.err != nil || len(c.Errors) == 0 {
		return x.err
	}
	all := make([]error, len(c.Errors))
	for i, e := range c.Errors {
		all[i] = e.Err
	}
	return errors.Join(all...)
}
