package ginx

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/gin-gonic/gin"
)

// Breaker asks gate before each request, and tells it how the request ended. While
// the gate refuses, requests are answered with 503 and the Retry-After that it
// knows, at least a second; or as [WithRefusal] and [WithDefaultResult] say.
//
//	r.Group("/search", ginx.Breaker(breaker))
//
// A status of 500 and more is a failure; so is a panic, which goes on, and a deadline
// of the request that passed without an answer, unless it was less than 20 ms away
// to begin with. Everything below 500 is a success: client mistakes are answers, and
// a business error is what its HTTP status says. Neutral is what tells nothing about
// the handlers: a request that the client left, and one that a limit or a breaker
// further in turned away, be it as middleware or below a handler whose error says so,
// see [circuitbreaker.Classify].
//
// A client that is slow to send its body holds its ticket meanwhile, be it that of a
// probe: a ReadTimeout of the server below the breaker's Lease keeps such clients from
// deciding that the handlers are still ill.
//
// Give routes that fail on their own a breaker of their own: [BreakerPerRoute]. Event
// streams end late and hijacked connections unseen; [WithSkipRoutes] leaves them out.
// A nil gate is a mistake: every request is answered with 500, and the log says why.
func Breaker(gate circuitbreaker.Gate, opts ...GuardOption) gin.HandlerFunc {
	g := newGuard(gate != nil, "gate of Breaker", opts)
	return func(c *gin.Context) {
		if !g.passes(c) {
			g.run(c, gate)
		}
	}
}

// BreakerPerRoute is [Breaker] with a breaker of the group for each method and route
// template, as in "GET /articles/:id"; requests that match no route share one. Routes
// that find no room in the group run without: make it as large as there are routes.
func BreakerPerRoute(group *circuitbreaker.Group, opts ...GuardOption) gin.HandlerFunc {
	g := newGuard(group != nil, "group of BreakerPerRoute", opts)
	return func(c *gin.Context) {
		if g.passes(c) {
			return
		}
		gate, err := group.Get(routeOf(c))
		if err != nil {
			_ = c.Error(err)
			return
		}
		g.run(c, gate)
	}
}

// minBudget is how much time a request must have for missing its deadline to count;
// as much as breakers ask for by default.
const minBudget = 20 * time.Millisecond

func (g *guard) run(c *gin.Context, gate circuitbreaker.Gate) {
	ticket, err := gate.Allow()
	if err != nil {
		var wait time.Duration
		if open, ok := errors.AsType[*circuitbreaker.OpenError](err); ok {
			wait = open.RetryAfter()
		}
		g.refuse(c, http.StatusServiceUnavailable, "service unavailable", err, wait)
		return
	}
	ctx := c.Request.Context()
	deadline, ok := ctx.Deadline()
	hurried := ok && time.Until(deadline) < minBudget
	x := begin(c)
	x.run(c, func() { ticket.Done(x.health(ctx, c, hurried)) })
}

// health is what the end of a request tells about its handlers.
func (x *exchange) health(ctx context.Context, c *gin.Context, hurried bool) circuitbreaker.Outcome {
	status := x.status()
	late := ctx.Err() == context.DeadlineExceeded
	switch {
	case x.left(status):
		return circuitbreaker.Neutral
	case x.panicked, x.aborted:
		return circuitbreaker.Failure
	case x.came.Err() == context.Canceled, x.turnedAway(c):
		return circuitbreaker.Neutral
	case status >= http.StatusInternalServerError, late && unanswered(c):
		if late && hurried {
			return circuitbreaker.Neutral
		}
		return circuitbreaker.Failure
	default:
		return circuitbreaker.Success
	}
}
