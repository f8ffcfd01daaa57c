package ginx

import (
	"context"
	"errors"

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
	// ran is the context the handler had: the one with the span.
	ran context.Context
	// err is why the request failed, for the log; nil when it did not.
	err error
	// code is the business code; it means nothing unless replied is set.
	code     int
	replied  bool
	hijacked bool
	// access is set when AccessLog writes the line, logger when anybody does.
	access, logger, logged bool
}

// begin returns the request's exchange, a new one when there is none.
func begin(c *gin.Context) *exchange {
	if x := exchangeOf(c); x != nil {
		return x
	}
	x := &exchange{ResponseWriter: c.Writer, came: c.Request.Context()}
	c.Writer = x
	c.Set(exchangeKey{}, x)
	return x
}

func exchangeOf(c *gin.Context) *exchange {
	v, _ := c.Get(exchangeKey{})
	x, _ := v.(*exchange)
	return x
}

func (x *exchange) reply(c *gin.Context, code int) {
	x.code, x.replied, x.ran = code, true, c.Request.Context()
}

func (x *exchange) fail(c *gin.Context, code int, err error) {
	if x.err != nil {
		err = errors.Join(x.err, err)
	}
	x.err = err
	x.reply(c, code)
}
