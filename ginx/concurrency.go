package ginx

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
	"github.com/gin-gonic/gin"
)

// Concurrency limits how many requests run at the same time, for the subject that
// key names: a client, a route, or, with a function that returns a constant, all.
// A request beyond is answered with 503 and a Retry-After of one second, as nobody
// knows when another ends; or as [WithRefusal] and [WithDefaultResult] say. With
// [concurrency.Bulkheads] the key is the class.
//
//	r.GET("/report", ginx.Concurrency(limiter, ginx.ByUser()), report)
//
// The ticket is given back when the handlers behind have returned, also by a panic
// or runtime.Goexit. An event stream counts for as long as it lasts; a connection
// that was hijacked only until its handler returns, so keep that one running.
//
// For an adaptive limit, answers of 503 and 504 and missed deadlines are overload,
// and requests that the client left, that panicked or were answered with another 4xx
// or 5xx tell nothing: they may have been quick. Neither do event streams, hijacked
// connections, and what a limit or breaker further in turned away, with or without a
// stand-in.
//
// An acquirer that fails lets requests pass; see [WithFailClosed]. A nil acquirer or
// key is a mistake: every request is answered with 500, and the log says why.
func Concurrency(acquirer concurrency.Acquirer, key KeyFunc, opts ...GuardOption) gin.HandlerFunc {
	g := newGuard(acquirer != nil && key != nil, "acquirer and key of Concurrency", opts)
	return func(c *gin.Context) {
		subject := g.subject(c, key)
		if subject == "" {
			return
		}
		ctx := c.Request.Context()
		ticket, err := acquirer.Acquire(ctx, subject)
		switch {
		case err != nil:
			g.failed(c, err)
		case !ticket.Allowed:
			limited := &ratelimit.LimitedError{Decision: ticket.Decision}
			g.refuse(c, http.StatusServiceUnavailable, "too busy", limited, time.Second)
		default:
			runWith(c, ticket)
		}
	}
}

func runWith(c *gin.Context, ticket concurrency.Ticket) {
	defer ticket.Ignore() // has no effect unless the chain did not return
	ctx, x := c.Request.Context(), begin(c)
	c.Next()
	x.adopt(c)
	switch status := x.status(); {
	case ctx.Err() == context.Canceled, x.hijacked, isStream(c), x.turnedAway(c):
		ticket.Ignore()
	case status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout, ctx.Err() != nil:
		ticket.Drop()
	case status >= http.StatusBadRequest:
		ticket.Ignore()
	default:
		ticket.Release()
	}
}

// isStream tells whether the answer is an event stream, which lasts as long as its
// client pleases.
func isStream(c *gin.Context) bool {
	return strings.HasPrefix(c.Writer.Header().Get("Content-Type"), "text/event-stream")
}
