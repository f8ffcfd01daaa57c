package async_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// asked counts how often a limiter is asked, and has each answer take its time.
type asked struct {
	ratelimit.Limiter
	lasts time.Duration
	times atomic.Int64
}

func (a *asked) Take(ctx context.Context, key string, n int64) (ratelimit.Decision, error) {
	a.times.Add(1)
	time.Sleep(a.lasts)
	return a.Limiter.Take(ctx, key, n)
}

// backlog is n requests, named by numbers.
func backlog(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(i)
	}
	return all
}

// A backlog asks the limiter about as often as it has requests, however many workers
// wait for it.
func TestWaitingWorkersDoNotAllAskTheLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const requests = 2000
		tokens, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(100), ratelimit.WithBurst(1))
		require.NoError(t, err)
		limiter := &asked{Limiter: tokens}
		var sent atomic.Int64
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error { sent.Add(1); return nil },
			async.Config{Workers: 200, Lease: time.Minute}, async.WithLimiter(limiter))
		accept(t, r, backlog(requests)...)
		limiter.times.Store(0)
		stop := running(t, r)
		time.Sleep(requests/100*time.Second + time.Second)
		stop()
		require.EqualValues(t, requests, sent.Load(), "at the whole limit, with no burst to make up for lateness")
		t.Logf("%d questions for %d requests", limiter.times.Load(), requests)
		require.LessOrEqual(t, limiter.times.Load(), int64(3*requests))
	})
}

// A limiter that takes its time to answer, as one across a network does, is asked by
// many at a time while it denies nothing.
func TestASlowLimiterIsNotTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const requests, workers = 5000, 50
		tokens, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(100_000))
		require.NoError(t, err)
		limiter := &asked{Limiter: tokens, lasts: 10 * time.Millisecond}
		var last atomic.Int64
		began := time.Now()
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error {
			last.Store(int64(time.Since(began)))
			return nil
		}, async.Config{Workers: workers}, async.WithLimiter(limiter))
		accept(t, r, backlog(requests)...)
		began = time.Now()
		stop := running(t, r)
		time.Sleep(time.Minute)
		stop()
		require.Zero(t, depth(t, r).Backlog())
		// All at a time take requests/workers answers; one at a time takes fifty times that.
		require.Less(t, time.Duration(last.Load()), 2*requests/workers*10*time.Millisecond)
	})
}

// Those who wait for their turn leave with their worker, and give back what they hold.
func TestAWorkerLeavesWhileManyWaitForTheLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed, err := ratelimit.NewTokenBucket(ratelimit.PerHour(1), ratelimit.WithBurst(1))
		require.NoError(t, err)
		r := newRescued(t, async.NewMemory(), works, async.Config{Workers: 100}, async.WithLimiter(closed))
		accept(t, r, backlog(500)...)
		stop := running(t, r)
		time.Sleep(time.Minute)
		began := time.Now()
		stop()
		require.Less(t, time.Since(began), 2*time.Second)
		s := depth(t, r)
		require.EqualValues(t, 500, s.Depth[async.Queued]+s.Depth[async.Delivered])
	})
}
