package ratelimit_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
)

// manual is a clock that only the test moves.
type manual struct{ now atomic.Int64 }

func (c *manual) read() time.Duration     { return time.Duration(c.now.Load()) }
func (c *manual) advance(d time.Duration) { c.now.Add(int64(d)) }

type constructor func(ratelimit.Rate, ...ratelimit.Option) (*ratelimit.Local, error)

var locals = map[string]struct {
	make  constructor
	model func(ratelimit.Quota) *ratelimittest.Model
}{
	"token bucket":   {ratelimit.NewTokenBucket, ratelimittest.TokenBucket},
	"fixed window":   {ratelimit.NewFixedWindow, ratelimittest.FixedWindow},
	"sliding window": {ratelimit.NewSlidingWindow, ratelimittest.SlidingWindow},
	"strict window":  {ratelimit.NewStrictWindow, ratelimittest.StrictWindow},
	"sliding log":    {ratelimit.NewSlidingLog, ratelimittest.SlidingLog},
}

// rates that divide evenly, that do not, and that are slow.
var rates = map[string]ratelimit.Rate{
	"7 per s":    ratelimit.PerSecond(7),
	"10 per s":   ratelimit.PerSecond(10),
	"100 per s":  ratelimit.PerSecond(100),
	"5 per hour": ratelimit.PerHour(5),
	"4 in 100ns": {Count: 4, Per: 100},
}

func TestLocalLimitersConform(t *testing.T) {
	for name, local := range locals {
		for rateName, rate := range rates {
			t.Run(name+", "+rateName, func(t *testing.T) {
				t.Parallel()
				ratelimittest.Test(t, func() ratelimittest.Harness {
					return harness(t, local.make, local.model, rate, nil)
				})
			})
		}
	}
}

// harness makes a limiter on a manual clock; wrap, where given, decorates it.
func harness(
	t *testing.T, make constructor, model func(ratelimit.Quota) *ratelimittest.Model,
	rate ratelimit.Rate, wrap func(*ratelimit.Local, *manual) ratelimit.Limiter,
) ratelimittest.Harness {
	t.Helper()
	c := new(manual)
	opts := []ratelimit.Option{ratelimit.WithClock(c.read)}
	if model != nil && rate.Count >= 10 {
		if l, err := make(rate, ratelimit.WithBurst(rate.Count/2)); err == nil && l != nil {
			opts = append(opts, ratelimit.WithBurst(rate.Count/2)) // windows refuse it
		}
	}
	if rate.Count < 10 {
		opts = append(opts, ratelimit.WithBurst(rate.Count))
	}
	l, err := make(rate, opts...)
	require.NoError(t, err)
	h := ratelimittest.Harness{Limiter: l, Quota: l.Quota(), Advance: c.advance, Model: model(l.Quota())}
	if wrap != nil {
		h.Limiter = wrap(l, c)
	}
	return h
}

func TestLeakyBucketConforms(t *testing.T) {
	for name, rate := range rates {
		t.Run(name, func(t *testing.T) {
			ratelimittest.Test(t, func() ratelimittest.Harness {
				c := new(manual)
				q := ratelimit.Quota{Rate: rate, Burst: rate.Count}
				return ratelimittest.Harness{
					Limiter: newLeaky(t, rate, ratelimit.WithClock(c.read)), Quota: q, Advance: c.advance,
					Model: ratelimittest.LeakyBucket(q), Drains: 1,
				}
			})
		})
	}
}

func TestWaitersConform(t *testing.T) {
	t.Run("leaky bucket", func(t *testing.T) {
		ratelimittest.TestWaiter(t, func(t *testing.T) ratelimittest.WaiterHarness {
			return ratelimittest.WaiterHarness{Waiter: newLeaky(t, ratelimit.PerSecond(10), ratelimit.WithMaxWait(time.Minute))}
		})
	})
	t.Run("queue", func(t *testing.T) {
		ratelimittest.TestWaiter(t, func(t *testing.T) ratelimittest.WaiterHarness {
			bucket, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(10), ratelimit.WithBurst(1))
			require.NoError(t, err)
			queue, err := ratelimit.NewQueue(bucket, ratelimit.WithMaxWait(time.Minute))
			require.NoError(t, err)
			return ratelimittest.WaiterHarness{Waiter: queue}
		})
	})
}

func TestBucketConforms(t *testing.T) {
	for name, rate := range rates {
		t.Run(name, func(t *testing.T) {
			ratelimittest.Test(t, func() ratelimittest.Harness {
				c := new(manual)
				b, err := ratelimit.NewBucket(rate, ratelimit.WithBurst(4), ratelimit.WithClock(c.read))
				require.NoError(t, err)
				return ratelimittest.Harness{
					Limiter: b, Quota: b.Quota(), Advance: c.advance,
					Model: ratelimittest.TokenBucket(b.Quota()), OneBudget: true,
				}
			})
		})
	}
}
