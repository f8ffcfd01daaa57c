package redislimit_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// algorithms are the limiters of one rate, with the models they must agree with.
var algorithms = map[string]struct {
	make   redislimit.Make
	model  func(ratelimit.Quota) *ratelimittest.Model
	prefix string
}{
	"token bucket":   {redislimit.NewTokenBucket, ratelimittest.TokenBucket, "ratelimit:bucket"},
	"fixed window":   {redislimit.NewFixedWindow, ratelimittest.FixedWindow, "ratelimit:fixed"},
	"sliding window": {redislimit.NewSlidingWindow, ratelimittest.SlidingWindow, "ratelimit:sliding"},
	"strict window":  {redislimit.NewStrictWindow, ratelimittest.StrictWindow, "ratelimit:strict"},
	"sliding log":    {redislimit.NewSlidingLog, ratelimittest.SlidingLog, "ratelimit:log"},
}

// clock is a server's clock that the test moves: a list as TIME returns it.
type clock struct {
	t    require.TestingT
	rdb  redis.UniversalClient
	name string
	now  atomic.Int64 // µs
}

// newClock starts at a moment of these years that is a multiple of align.
func newClock(t require.TestingT, rdb redis.UniversalClient, align time.Duration) *clock {
	c := &clock{t: t, rdb: rdb, name: "test:clock"}
	step := max(int64(align/time.Microsecond), 1)
	c.set(1_795_408_549_123_457 / step * step)
	return c
}

func (c *clock) set(now int64) {
	c.now.Store(now)
	_, err := c.rdb.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
		p.Del(context.Background(), c.name)
		p.RPush(context.Background(), c.name, now/1e6, now%1e6)
		return nil
	})
	require.NoError(c.t, err)
}

func (c *clock) advance(d time.Duration) {
	if d != 0 {
		c.set(c.now.Load() + int64(d/time.Microsecond))
	}
}

// limiter makes a limiter whose server's clock the test moves.
func limiter(
	t *testing.T, rdb redis.UniversalClient, make redislimit.Make, rate ratelimit.Rate, opts ...redislimit.Option,
) (*redislimit.Limiter, *clock) {
	t.Helper()
	c := newClock(t, rdb, rate.Per/10)
	l, err := make.On(c.name)(rdb, rate, opts...)
	require.NoError(t, err)
	return l, c
}

func take(t require.TestingT, l ratelimit.Limiter, key string, cost int64) ratelimit.Decision {
	d, err := l.Take(context.Background(), key, cost)
	require.NoError(t, err)
	return d
}

// drain takes one by one until the first denial.
func drain(t require.TestingT, l ratelimit.Limiter, key string) (n int) {
	for take(t, l, key, 1).Allowed {
		n++
	}
	return n
}

// bursting returns the option for token buckets; windows refuse it.
func bursting(name string, n int64) []redislimit.Option {
	if name != "token bucket" {
		return nil
	}
	return []redislimit.Option{redislimit.WithBurst(n)}
}

// key is the Redis key of a plain subject.
func key(prefix, subject string) string {
	return prefix + ":{" + strconv.Itoa(len(subject)) + ":" + subject + "}"
}
