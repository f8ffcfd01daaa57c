package ginx

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/gin-gonic/gin"
)

// GuardOption configures the middleware that may turn requests away: [RateLimit],
// [RateLimitRules], [Concurrency], [Breaker] and [BreakerPerRoute]. An option that
// one of them has no use for has no effect there.
type GuardOption interface{ applyGuard(*guard) }

type guardOption func(*guard)

func (f guardOption) applyGuard(g *guard) { f(g) }

// WithSkip lets the requests pass for which f returns true, unasked and uncounted.
// Given several times, any of them will do.
func WithSkip(f func(c *gin.Context) bool) GuardOption {
	return guardOption(func(g *guard) {
		if f != nil {
			g.skip = append(g.skip, f)
		}
	})
}

// WithSkipRoutes lets the requests of these route templates pass, unasked and
// uncounted: for health checks.
func WithSkipRoutes(routes ...string) GuardOption {
	return guardOption(func(g *guard) {
		for _, r := range routes {
			if r != "" { // what matches no route has no template, and is not meant
				g.routes[r] = struct{}{}
			}
		}
	})
}

// WithDefaultResult answers GET and HEAD requests that are turned away with r, a
// stand-in, instead of an error. It is marked as not to be stored, so that no cache
// takes it for the real thing. Other methods are refused as ever: a write that was
// not done must not look as if it were.
func WithDefaultResult(r Result) GuardOption {
	return guardOption(func(g *guard) { g.standIn = &r })
}

// WithRefusal lets f answer the requests that are turned away. err is a
// [*ratelimit.LimitedError] with the decision, a [*circuitbreaker.OpenError], or
// what the limiter failed with. The headers, Retry-After among them, are set and
// the chain is aborted. When f leaves no answer the usual one is given.
func WithRefusal(f func(c *gin.Context, err error)) GuardOption {
	return guardOption(func(g *guard) { g.refusal = f })
}

// WithFailClosed turns requests away with 503 while the limiter fails. Without it
// they go on, and the error appears in the line of [AccessLog]: most limits protect
// less than an outage of all would cost. Choose it for limits that protect something
// worth an outage, such as passwords against being guessed.
//
// It is about limiters that return errors. One wrapped in [ratelimit.FailOpen],
// [ratelimit.FailClosed] or [ratelimit.Share] does not, and those also bound how
// long a request waits for a store that is slow.
func WithFailClosed() GuardOption {
	return guardOption(func(g *guard) { g.closed = true })
}

// EmptyKey says what to do with a request whose [KeyFunc] finds no subject. The
// zero EmptyKey is RefuseEmptyKey.
type EmptyKey uint8

// The policies for requests without a subject.
const (
	// RefuseEmptyKey answers 400. It is the default, as it shows in the first test
	// that a limit by user stands in front of the login.
	RefuseEmptyKey EmptyKey = iota
	// AdmitEmptyKey lets the request pass without a limit.
	AdmitEmptyKey
	// ShareEmptyKey gives all such requests one budget together.
	ShareEmptyKey
)

// WithEmptyKey sets the policy for requests without a subject. To limit guests by
// another key see [FirstOf].
func WithEmptyKey(p EmptyKey) GuardOption {
	return guardOption(func(g *guard) { g.empty = p })
}

// sharedKey is the subject of [ShareEmptyKey]; no key of this package ends so.
const sharedKey = "unknown:"

// guard is what the middleware that turns requests away have in common.
type guard struct {
	skip    []func(*gin.Context) bool
	routes  map[string]struct{}
	standIn *Result
	refusal func(*gin.Context, error)
	closed  bool
	empty   EmptyKey
	header  rateHeader
	// broken is a mistake in the set-up. Middleware can not return it, so each
	// request answers a system error with it in the log.
	broken error
}

func newGuard(complete bool, missing string, opts []GuardOption) *guard {
	g := &guard{routes: make(map[string]struct{}), header: rateHeader{name: defaultPolicy, jitter: -1}}
	for _, o := range opts {
		if o == nil {
			g.broken = errors.New("ginx: a nil GuardOption")
			continue
		}
		o.applyGuard(g)
	}
	if !complete {
		g.broken = errors.New("ginx: " + missing + " must not be nil")
	}
	return g
}

// passes tells whether there is nothing to ask about the request, or nothing left:
// then it has been answered.
func (g *guard) passes(c *gin.Context) bool {
	if g.broken != nil {
		Abort(c, g.broken)
		return true
	}
	if _, ok := g.routes[c.FullPath()]; ok {
		return true
	}
	for _, f := range g.skip {
		if f(c) {
			return true
		}
	}
	return false
}

// subject returns the key to ask about, "" when there is nothing to ask: then the
// request goes on without, or has been answered.
func (g *guard) subject(c *gin.Context, key KeyFunc) string {
	if g.passes(c) {
		return ""
	}
	subject := key(c)
	if subject != "" {
		return short(subject)
	}
	switch g.empty {
	case AdmitEmptyKey:
		return ""
	case ShareEmptyKey:
		return sharedKey
	default:
		Abort(c, badRequest("the request can not be attributed to anybody", ratelimit.ErrKey))
		return ""
	}
}

// failed handles a limiter that could not tell.
func (g *guard) failed(c *gin.Context, err error) {
	ended := c.Request.Context().Err()
	switch {
	case ended != nil:
		Abort(c, errors.Join(ended, err)) // nobody waits for the handler any more
	case errors.Is(err, ratelimit.ErrRequest):
		Abort(c, err) // asking again, or elsewhere, would not help
	case g.closed:
		g.refuse(c, http.StatusServiceUnavailable, "service unavailable", err, time.Second)
	default:
		_ = c.Error(err).SetMeta(letPass{})
	}
}

// letPass marks an error in gin's list in spite of which the request went on.
type letPass struct{}

type refusedKey struct{}

// refuse turns the request away.
func (g *guard) refuse(c *gin.Context, status int, msg string, err error, wait time.Duration) {
	c.Abort()
	c.Set(refusedKey{}, true)
	if g.standIn != nil && (c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead) {
		_ = c.Error(err)
		c.Header("Cache-Control", "no-store")
		Render(c, *g.standIn)
		return
	}
	c.Header("Retry-After", strconv.FormatInt(max(seconds(wait), 1), 10))
	if g.refusal != nil {
		g.refusal(c, err)
	}
	if g.refusal == nil || unanswered(c) {
		Abort(c, &Error{Code: codeOf(status), Msg: msg, HTTPStatus: status, Cause: err})
	}
}

// wasRefused tells whether one of these middleware turned the request away.
func wasRefused(c *gin.Context) bool {
	_, ok := c.Get(refusedKey{})
	return ok
}

// turnedAway tells whether something further in turned the request away: one of these
// middleware, or what the handlers call and whose error they answer with.
func (x *exchange) turnedAway(c *gin.Context) bool {
	if wasRefused(c) {
		return true
	}
	if last := c.Errors.Last(); x.err == nil && last != nil && last.Meta != (letPass{}) {
		return refused(last.Err)
	}
	return refused(x.err)
}

// seconds rounds up, for a client that comes back too early is refused again.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
