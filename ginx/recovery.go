package ginx

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"
)

// maxStack bounds the stack in a log line: the frames that matter come first.
const maxStack = 8 << 10

// panicError is a panic on its way to the log.
type panicError struct {
	value any
	stack []byte
}

func newPanicError(value any) *panicError {
	stack := debug.Stack()
	return &panicError{value: value, stack: stack[:min(len(stack), maxStack)]}
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func (p *panicError) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

func isAbort(value any) bool {
	err, ok := value.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// Recovery answers a handler's panic with a system error, HTTP 500. The panic
// and its stack go into the line of [AccessLog] or [ErrorLog], whichever side of
// Recovery that stands on; without either they go to gin.DefaultErrorWriter.
//
// A panic after the first byte of the answer ends the connection, by
// http.ErrAbortHandler: the client must not take half an answer for a whole one.
// A handler's own http.ErrAbortHandler goes through to net/http untouched.
func Recovery() gin.HandlerFunc {
	return func(c *gin.Context) {
		done := false
		defer func() {
			if done {
				return
			}
			if p := recover(); p != nil {
				recovered(c, p)
			}
		}()
		c.Next()
		done = true
	}
}

func recovered(c *gin.Context, value any) {
	c.Abort()
	x := exchangeOf(c)
	if x != nil {
		x.failPanic(c, value)
	}
	if isAbort(value) {
		panic(value)
	}
	if x == nil || !x.watched {
		p := newPanicError(value)
		_, _ = fmt.Fprintf(gin.DefaultErrorWriter, "ginx: %v\n%s\n", p, p.stack)
	}
	if c.Writer.Written() {
		panic(http.ErrAbortHandler)
	}
	answer(c, verdict{CodeSystem, http.StatusInternalServerError, systemMessage})
}
