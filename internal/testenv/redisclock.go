package testenv

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisClockKey is where a [RedisClock] keeps its time: a list as TIME returns it.
const RedisClockKey = "test:clock"

// failer is a testing.TB, or the one that a property test hands out.
type failer interface {
	Errorf(format string, args ...any)
	FailNow()
}

// RedisClock is a clock in Redis that a test moves, for scripts that can be told to
// read it in the place of TIME. Make it with [NewRedisClock].
type RedisClock struct {
	t   failer
	rdb redis.UniversalClient
	ms  atomic.Int64
}

// NewRedisClock returns a clock at a fixed moment, written to rdb.
func NewRedisClock(t failer, rdb redis.UniversalClient) *RedisClock {
	c := &RedisClock{t: t, rdb: rdb}
	c.ms.Store(1_795_408_549_123)
	c.Advance(0)
	return c
}

// Now returns its time.
func (c *RedisClock) Now() time.Time { return time.UnixMilli(c.ms.Load()) }

// Advance moves it, back when d is negative.
func (c *RedisClock) Advance(d time.Duration) {
	ms, ctx := c.ms.Add(d.Milliseconds()), context.Background()
	_, err := c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, RedisClockKey)
		p.RPush(ctx, RedisClockKey, ms/1000, ms%1000*1000)
		return nil
	})
	if err != nil {
		c.t.Errorf("testenv: move the clock: %v", err)
		c.t.FailNow()
	}
}
