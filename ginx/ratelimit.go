package ginx

import (
	"net/http"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/gin-gonic/gin"
)

// RateLimit asks limiter about each request, for the subject that key names, at a
// cost of 1. A request over the limit is answered with 429, or as [WithRefusal] and
// [WithDefaultResult] say, and no handler behind runs.
//
//	r.Use(ginx.RateLimit(limiter, ginx.ByIP()))                                // before the login, so that guessing is limited
//	r.POST("/code", ginx.RateLimit(codes, ginx.ByUser(), ginx.WithFailClosed()), …)
//
// Every answer tells the client how it stands, by the RateLimit and RateLimit-Policy
// headers of draft-ietf-httpapi-ratelimit-headers, and a refusal when to come back,
// by Retry-After: whole seconds, never too few. With a limiter that is a
// [ratelimit.Retuner] the policy tells the rate, at most a second late when it changes,
// with another what can be taken at once. While a failure policy decides there is
// nothing to tell, and what [ratelimit.FailClosed] denies then is answered with 503,
// for the client did nothing wrong; who is over its [ratelimit.Share] gets 429.
//
// A limiter that fails lets requests pass; see [WithFailClosed]. A nil limiter or
// key is a mistake: every request is answered with 500, and the log says why.
func RateLimit(limiter ratelimit.Limiter, key KeyFunc, opts ...GuardOption) gin.HandlerFunc {
	g := newGuard(limiter != nil && key != nil, "limiter and key of RateLimit", opts)
	g.header.tuned, _ = limiter.(ratelimit.Retuner)
	return func(c *gin.Context) {
		if subject := g.subject(c, key); subject != "" {
			d, err := limiter.Take(c.Request.Context(), subject, 1)
			g.decided(c, d, err)
		}
	}
}

// RateLimitRules is [RateLimit] by a set of rules, which may change while it runs.
// subject tells what a request is judged by, [SubjectOf] for most.
//
// A request that no rule applies to is not limited: end the set with a rule per
// address. Which rule decided is in the log, and in the headers only by
// [WithRuleNames]; why it did, [rules.Set.Explain] tells operators, never clients.
func RateLimitRules(set *rules.Set, subject func(c *gin.Context) rules.Subject, opts ...GuardOption) gin.HandlerFunc {
	g := newGuard(set != nil && subject != nil, "set and subject of RateLimitRules", opts)
	return func(c *gin.Context) {
		if g.passes(c) {
			return
		}
		d, err := set.Decide(c.Request.Context(), subject(c), 1)
		g.decided(c, d, err)
	}
}

// SubjectOf returns what the rules of [RateLimitRules] match: User is the id of
// [SetUser], IP is gin's ClientIP (see [ByIP] about proxies), and Method is method
// and route template, as in "POST /login". The tenant is empty: set it in a function
// of your own around this one. No rule per address applies to a client without one, as
// behind a Unix socket: where there are such, end the set with a rule for all together.
func SubjectOf(c *gin.Context) rules.Subject {
	return rules.Subject{User: userOf(c), IP: clientAddr(c), Method: routeOf(c)}
}

// decided acts on what a limiter said.
func (g *guard) decided(c *gin.Context, d ratelimit.Decision, err error) {
	if err != nil {
		g.failed(c, err)
		return
	}
	var wait time.Duration
	if !d.Allowed {
		wait = g.header.wait(d)
	}
	g.header.write(c.Writer.Header(), d, wait)
	if d.Allowed {
		return
	}
	limited := &ratelimit.LimitedError{Decision: d}
	if d.Degraded && d.Limit == 0 { // denied without being counted
		g.refuse(c, http.StatusServiceUnavailable, "service unavailable", limited, wait)
		return
	}
	g.refuse(c, http.StatusTooManyRequests, "too many requests", limited, wait)
}
