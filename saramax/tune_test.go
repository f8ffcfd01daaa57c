package saramax_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/saramax"
)

func TestRateLimitMakesRecordsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(10), ratelimit.WithBurst(10))
		require.NoError(t, err)
		var calls atomic.Int64
		u := newUnit(t, batches(func(_ context.Context, batch []rawRecord) []saramax.Verdict {
			calls.Add(int64(len(batch)))
			return nil
		}), saramax.WithBatch(5, 0), saramax.WithRateLimit(limiter, "orders"))
		c := u.Claim(topic, 0)
		c.Send(raw(100)...)
		pass(4 * time.Second)
		require.InDelta(t, 50, calls.Load(), 5)
		require.NoError(t, c.Revoke(), "a record that waits does not hold the drain")
	})
}

func TestOperatorPausesAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		u := newUnit(t, each(func(context.Context, rawRecord) error { calls.Add(1); return nil }))
		c := u.Claim(topic, 0)
		u.handler.Pause(topic)
		c.Send(raw(5)...)
		pass(time.Minute)
		require.Zero(t, calls.Load())
		require.True(t, u.IsPaused(topic, 0))
		require.NoError(t, c.Revoke())
		again := u.Claim(topic, 0)
		again.Send(raw(5)...)
		pass(time.Minute)
		require.Zero(t, calls.Load(), "a partition that comes back is paused, too")
		u.handler.Resume(topic)
		pass(2 * time.Second)
		require.EqualValues(t, 5, calls.Load())
		require.False(t, u.IsPaused(topic, 0))
	})
}

func TestRetuneTakesEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		u := newUnit(t, each(func(context.Context, rawRecord) error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return nil
		}), saramax.WithOrder(saramax.Unordered, 2))
		u.Claim(topic, 0).Send(raw(100)...)
		pass(5*time.Second + time.Millisecond)
		require.EqualValues(t, 2, most.Load())
		require.NoError(t, u.handler.Retune(saramax.Tuning{Concurrency: 6}))
		settle()
		require.EqualValues(t, 6, running.Load())
		require.NoError(t, u.handler.Retune(saramax.Tuning{Concurrency: 1}))
		pass(5 * time.Second)
		require.EqualValues(t, 1, running.Load())
		require.Error(t, u.handler.Retune(saramax.Tuning{Concurrency: -1}))
		pass(2 * time.Minute)
		require.EqualValues(t, 100, u.committed())
	})
}
