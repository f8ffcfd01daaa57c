package ioc

import (
	"context"
	"errors"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/console"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Limits are the two sets of rules that requests meet: on their way in, and once it
// is known who asks.
type Limits struct {
	address, user *steered
}

// NewLimits returns the limits, counted in rdb for all instances together. Their
// rules are kept there, too, and are the same on every instance; those of the
// configuration come in where it is newer: see [Limits.CatchUp] and [Limits.Run].
func NewLimits(rdb *redis.Client, live *config.Live, instance string, breakers *console.Breakers, log logger.Logger, observer observe.Observer) (*Limits, error) {
	guard, err := storeGuard(breakers, observer)
	if err != nil {
		return nil, err
	}
	build := counters{rdb: rdb, live: live, hidden: derivedKey(live.Get().Session, "limits"), guard: guard, observer: observer}
	address, err := steer(console.Set{
		Name: "address", Title: "per address", About: "met by every request, before it is looked at",
	}, live.Get().Limits.PerAddress, build, instance, log)
	if err != nil {
		return nil, err
	}
	user, err := steer(console.Set{
		Name: "user", Title: "per user", About: "met by who has logged in",
	}, live.Get().Limits.PerUser, build, instance, log, rules.User) // the others have charged this request already
	return &Limits{address: address, user: user}, err
}

// counters makes the limiters behind rules.
type counters struct {
	rdb      *redis.Client
	live     *config.Live
	hidden   []byte
	guard    ratelimit.Guard
	observer observe.Observer
}

func (c counters) limiter(scope string, r rules.Rule) (ratelimit.Limiter, error) {
	shared, err := redislimit.NewTokenBucket(c.rdb, r.Rate, redislimit.WithBurst(r.Burst),
		redislimit.WithPrefix("limit:"+scope), redislimit.WithHiddenKeys(c.hidden))
	if err != nil {
		return nil, err
	}
	cfg := c.live.Get().Limits
	limiter, err := ratelimit.Share(shared, cfg.Instances, ratelimit.WithBudget(cfg.Timeout), ratelimit.WithGuard(c.guard),
		ratelimit.WithInstances(func() int { return c.live.Get().Limits.Instances }))
	if err != nil {
		return nil, err
	}
	return ratelimit.Observe(limiter, scope, c.observer), nil
}

// guard is a breaker as what the limiters' failure policy asks.
type guard struct{ *circuitbreaker.Breaker }

// storeGuard returns the breaker between all limiters and their Redis: after three
// failures in a row it leaves it alone for a second, and then tries with one call.
// No request shall wait for a Redis that is away, nor an instance keep to its share
// for long when the others have Redis back.
func storeGuard(breakers *console.Breakers, observer observe.Observer) (ratelimit.Guard, error) {
	b, err := circuitbreaker.New(circuitbreaker.Config{
		Name: "redis", OpenFor: pauseOfGuard, MaxOpenFor: pauseOfGuard, Probes: 1, ProbeSuccesses: 1, RampStart: 1,
	}, circuitbreaker.WithDetector(detect.Consecutive(3)), circuitbreaker.WithObserver(observer))
	if err != nil {
		return nil, err
	}
	breakers.Add("the limits' counters in Redis", b)
	return guard{b}, nil
}

// Allow implements [ratelimit.Guard].
func (g guard) Allow() (func(error), error) {
	ticket, err := g.Breaker.Allow()
	if err != nil {
		return nil, err
	}
	return func(err error) {
		switch {
		case err == nil:
			ticket.Done(circuitbreaker.Success)
		case errors.Is(err, context.Canceled):
			ticket.Done(circuitbreaker.Neutral)
		default:
			ticket.Done(circuitbreaker.Failure)
		}
	}, nil
}

// PerAddress is the middleware for all requests.
func (l *Limits) PerAddress() gin.HandlerFunc {
	return ginx.RateLimitRules(l.address.rules, ginx.SubjectOf)
}

// PerUser is the middleware behind the login.
func (l *Limits) PerUser() gin.HandlerFunc { return ginx.RateLimitRules(l.user.rules, ginx.SubjectOf) }
