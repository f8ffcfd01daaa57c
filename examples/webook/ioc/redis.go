package ioc

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/redishook"
)

// Redis returns a client of the Redis at cfg.Addr, or of an embedded one, that
// reports all it does to log and observer. The app lives without it for a while, so
// its health is not required.
func Redis(ctx context.Context, c *Closers, cfg config.Redis, log logger.Logger, observer observe.Observer) (*redis.Client, health.Component, error) {
	detail := cfg.Addr
	if cfg.Addr == "" {
		server, err := embedded.StartRedis(embedded.RedisConfig{})
		if err != nil {
			return nil, health.Component{}, err
		}
		c.AddClose("embedded redis", server.Close)
		cfg.Addr = server.Addr()
		detail = "embedded, " + cfg.Addr
	}
	client := redis.NewClient(&redis.Options{
		Addr: cfg.Addr, Password: cfg.Password.Reveal(), DB: cfg.DB,
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
		// One try more mends a connection that died in the pool; more would only
		// lengthen an outage for each request.
		MaxRetries: 1, DialerRetries: 1,
		// Callers bound their calls; without this go-redis would not listen.
		ContextTimeoutEnabled:    true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	c.AddClose("redis client", client.Close)
	client.AddHook(redishook.New(observer, redishook.WithName("webook"), redishook.WithLogger(log.Named("redis"))))
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	ping := func(ctx context.Context) error { return client.Ping(ctx).Err() }
	if err := ping(ctx); err != nil {
		return nil, health.Component{}, unreachable("redis", cfg.Addr, err)
	}
	return client, health.Component{Name: "redis", Detail: detail, Ping: ping}, nil
}
