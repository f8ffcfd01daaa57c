package ioc

import (
	"errors"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Limits are the two sets of rules that requests meet: on their way in, and once it
// is known who asks.
type Limits struct {
	Address, User *rules.Set
}

// NewLimits returns the limits, counted in rdb for all instances together.
func NewLimits(rdb *redis.Client, live *config.Live, observer observe.Observer) (*Limits, error) {
	cfg := live.Get().Limits
	hidden := derivedKey(live.Get().Session, "limits")
	set := func(scope string, list []rules.Rule) (*rules.Set, error) {
		return rules.New(list, rules.WithFactory(func(r rules.Rule) (ratelimit.Limiter, error) {
			shared, err := redislimit.NewTokenBucket(rdb, r.Rate, redislimit.WithBurst(r.Burst),
				redislimit.WithPrefix("limit:"+scope), redislimit.WithHiddenKeys(hidden))
			if err != nil {
				return nil, err
			}
			limiter, err := ratelimit.Share(shared, cfg.Instances, ratelimit.WithBudget(cfg.Timeout),
				ratelimit.WithInstances(func() int { return live.Get().Limits.Instances }))
			if err != nil {
				return nil, err
			}
			return ratelimit.Observe(limiter, scope, observer), nil
		}))
	}
	address, err := set("address", cfg.PerAddress)
	user, err2 := set("user", cfg.PerUser)
	return &Limits{Address: address, User: user}, errors.Join(err, err2)
}

// Apply puts other rules in force.
func (l *Limits) Apply(cfg config.Limits) error {
	return errors.Join(l.Address.Replace(cfg.PerAddress), l.User.Replace(cfg.PerUser))
}

// PerAddress is the middleware for all requests.
func (l *Limits) PerAddress() gin.HandlerFunc { return ginx.RateLimitRules(l.Address, ginx.SubjectOf) }

// PerUser is the middleware behind the login.
func (l *Limits) PerUser() gin.HandlerFunc { return ginx.RateLimitRules(l.User, ginx.SubjectOf) }
