package ratelimit_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

func TestBucketAllowAgreesWithTake(t *testing.T) {
	c := new(manual)
	b, err := ratelimit.NewBucket(ratelimit.PerSecond(10), ratelimit.WithBurst(5), ratelimit.WithClock(c.read))
	require.NoError(t, err)
	for i := range 1000 {
		c.advance(time.Duration(i%7) * 13 * time.Millisecond)
		want := take(t, b, "k", 0).Remaining > 0
		require.Equal(t, want, b.Allow())
	}
}

func TestBucketRefillsWholeTokensAtHighRates(t *testing.T) {
	for _, n := range []int64{1_000, 100_000, 1_000_000, 100_000_000} {
		c := new(manual)
		b, err := ratelimit.NewBucket(ratelimit.PerSecond(n), ratelimit.WithBurst(n), ratelimit.WithClock(c.read))
		require.NoError(t, err)
		require.True(t, take(t, b, "k", n).Allowed)
		require.False(t, b.Allow())
		c.advance(time.Second)
		require.Equal(t, n, take(t, b, "k", 0).Remaining)
	}
}

func TestBucketRetuneKeepsUsageUnderLoad(t *testing.T) {
	const burst = 100_000_000 // whatever the rate, there are so many tokens
	c := new(manual)
	b, err := ratelimit.NewBucket(ratelimit.PerSecond(1000), ratelimit.WithBurst(burst), ratelimit.WithClock(c.read))
	require.NoError(t, err)
	var admitted atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			n := int64(0)
			for ; !stop.Load() && b.Allow(); n++ {
			}
			admitted.Add(n)
		})
	}
	for i := range int64(50_000) {
		require.NoError(t, b.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(1000 + i%2*1000), Burst: burst}))
	}
	stop.Store(true)
	wg.Wait()
	require.Equal(t, burst-admitted.Load(), take(t, b, "k", 0).Remaining)
}

func TestStripedAdmitsNoMoreThanItsBucketHolds(t *testing.T) {
	c := new(manual)
	b, err := ratelimit.NewBucket(ratelimit.PerHour(5000), ratelimit.WithBurst(5000), ratelimit.WithClock(c.read))
	require.NoError(t, err)
	s, err := ratelimit.NewStriped(b, 64)
	require.NoError(t, err)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				if s.Allow() {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	stranded := int64(runtime.GOMAXPROCS(0)-1) * 64
	require.LessOrEqual(t, admitted.Load(), int64(5000))
	require.GreaterOrEqual(t, admitted.Load(), 5000-stranded)
}

func TestStripedStaysWithinItsBoundWhenBatchesAreSpentLate(t *testing.T) {
	c := new(manual)
	b, err := ratelimit.NewBucket(ratelimit.PerSecond(1000), ratelimit.WithClock(c.read))
	require.NoError(t, err)
	s, err := ratelimit.NewStriped(b, 10)
	require.NoError(t, err)
	var hits []time.Duration
	for i := range 30_000 {
		if s.Allow() {
			hits = append(hits, c.read())
		}
		if i%500 == 499 {
			c.advance(time.Duration(i%11) * 17 * time.Millisecond)
		}
	}
	for _, length := range []time.Duration{1, 10 * time.Millisecond, time.Second} {
		most := s.Most(length)
		for i, first := range hits {
			if j := i + int(most); j < len(hits) {
				require.GreaterOrEqual(t, hits[j]-first, length)
			}
		}
	}
	require.Zero(t, s.Most(0))
}

func TestNewStripedChecksItsBatch(t *testing.T) {
	_, err := ratelimit.NewStriped(nil, 1)
	require.ErrorContains(t, err, "bucket")
	b, err := ratelimit.NewBucket(ratelimit.PerSecond(100))
	require.NoError(t, err)
	for _, batch := range []int64{0, -1, 11} {
		_, err = ratelimit.NewStriped(b, batch)
		require.ErrorContains(t, err, "batch")
	}
}

func TestBucketDoesNotAllocate(t *testing.T) {
	b, err := ratelimit.NewBucket(ratelimit.PerSecond(100))
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(500, func() { b.Allow() }))
	require.Zero(t, testing.AllocsPerRun(500, func() { _, _ = b.Take(context.Background(), "k", 1) }))
}
