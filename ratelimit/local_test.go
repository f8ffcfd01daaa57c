package ratelimit_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

func take(t *testing.T, l ratelimit.Limiter, key string, cost int64) ratelimit.Decision {
	t.Helper()
	d, err := l.Take(context.Background(), key, cost)
	require.NoError(t, err)
	return d
}

// drain takes one by one until the first denial.
func drain(t *testing.T, l ratelimit.Limiter, key string) (n int) {
	t.Helper()
	for take(t, l, key, 1).Allowed {
		n++
		require.Less(t, n, 1_000_000, "it does not limit at all")
	}
	return n
}

func TestEveryConstructorNamesEachBadSetting(t *testing.T) {
	bad := map[string]ratelimit.Rate{
		"rate.count 0: ":    ratelimit.PerSecond(0),
		"rate.count -5: ":   ratelimit.PerSecond(-5),
		"rate.per 0s: ":     {Count: 1},
		"rate.per -1s: ":    {Count: 1, Per: -time.Second},
		"rate.per 8785h":    {Count: 1, Per: 8785 * time.Hour},
		"rate.count 2000: ": {Count: 2000, Per: 1000},
	}
	for text, rate := range bad {
		for name, local := range locals {
			_, err := local.make(rate)
			requireField(t, err, text, name)
		}
		_, err := ratelimit.NewBucket(rate)
		requireField(t, err, text, "bucket")
		_, err = ratelimit.NewLeakyBucket(rate)
		requireField(t, err, text, "leaky bucket")
	}
	_, err := ratelimit.NewTokenBucket(ratelimit.Rate{Count: 0, Per: -1}, ratelimit.WithBurst(-1))
	for _, field := range []string{"rate.count", "rate.per", "burst"} {
		require.ErrorContains(t, err, field, "all violations are named at once")
	}
	_, err = ratelimit.NewTokenBucket(ratelimit.PerSecond(1), ratelimit.WithCapacity(0))
	requireField(t, err, "capacity 0", "")
	_, err = ratelimit.NewTokenBucket(ratelimit.PerHour(1), ratelimit.WithBurst(math.MaxUint32))
	requireField(t, err, "burst 4294967295: must not take more than ten years", "")
	_, err = ratelimit.NewFixedWindow(ratelimit.PerSecond(10), ratelimit.WithBurst(5))
	requireField(t, err, "burst 5", "")
	_, err = ratelimit.NewStrictWindow(ratelimit.PerHour(1 << 33))
	requireField(t, err, "rate.count 8589934592", "")
	_, err = ratelimit.NewSlidingLog(ratelimit.PerSecond(1 << 17))
	requireField(t, err, "rate.count 131072", "")
	_, err = ratelimit.NewLeakyBucket(ratelimit.PerSecond(1), ratelimit.WithBurst(2))
	requireField(t, err, "burst 2", "")
	_, err = ratelimit.NewLeakyBucket(ratelimit.PerSecond(1), ratelimit.WithMaxWait(0), ratelimit.WithMaxWaiting(0))
	requireField(t, err, "maxWait 0s", "")
	require.ErrorContains(t, err, "maxWaiting 0")
}

func requireField(t *testing.T, err error, text, name string) {
	t.Helper()
	var field *ratelimit.FieldError
	require.ErrorAs(t, err, &field, name)
	require.ErrorContains(t, err, text, name)
}

func TestAllowIsThePlainYesOrNo(t *testing.T) {
	l, err := ratelimit.NewTokenBucket(ratelimit.PerHour(1))
	require.NoError(t, err)
	ok, err := ratelimit.Allow(context.Background(), l, "k")
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = ratelimit.Allow(context.Background(), l, "k")
	require.NoError(t, err)
	require.False(t, ok)
	_, err = ratelimit.Allow(context.Background(), l, "")
	require.ErrorIs(t, err, ratelimit.ErrKey)
}

func TestJitterSpreadsThoseWhoComeBack(t *testing.T) {
	d := ratelimit.Decision{RetryAfter: time.Second}
	require.Equal(t, time.Second, d.Jittered(0))
	seen := map[time.Duration]bool{}
	for range 100 {
		j := d.Jittered(100 * time.Millisecond)
		require.GreaterOrEqual(t, j, time.Second)
		require.Less(t, j, 1100*time.Millisecond)
		seen[j] = true
	}
	require.Greater(t, len(seen), 50)
}

func TestAClockThatGoesBackMintsNothing(t *testing.T) {
	for name, local := range locals {
		t.Run(name, func(t *testing.T) {
			c := new(manual)
			l, err := local.make(ratelimit.PerSecond(20), ratelimit.WithClock(c.read))
			require.NoError(t, err)
			c.advance(time.Hour)
			total := drain(t, l, "k")
			for i := range 500 { // a skewed caller: back and forth by up to an hour
				c.advance(time.Duration(i) * -7 * time.Second)
				total += drain(t, l, "k")
				c.advance(time.Duration(i) * 7 * time.Second)
				total += drain(t, l, "k")
			}
			require.LessOrEqual(t, int64(total), l.Quota().Burst)
		})
	}
}

func TestAClockFromTheEndOfTimeStillLimits(t *testing.T) {
	for name, local := range locals {
		for _, at := range []time.Duration{math.MaxInt64, math.MinInt64} {
			l, err := local.make(ratelimit.PerSecond(20), ratelimit.WithClock(func() time.Duration { return at }))
			require.NoError(t, err)
			require.Equal(t, int(l.Quota().Burst), drain(t, l, "k"), name)
		}
	}
}

func TestAFullLimiterDeniesNewKeysAndKeepsTheOthersLimits(t *testing.T) {
	c := new(manual)
	l, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(1), ratelimit.WithCapacity(100), ratelimit.WithClock(c.read))
	require.NoError(t, err)
	for i := range 100 {
		require.True(t, take(t, l, strconv.Itoa(i), 1).Allowed)
	}
	d := take(t, l, "new", 1)
	require.Equal(t, ratelimit.Decision{Limit: 1, RetryAfter: time.Second}, d)
	require.False(t, take(t, l, "7", 1).Allowed, "a busy key was forgotten")
	c.advance(time.Second) // all are full again: any may go
	require.True(t, take(t, l, "new", 1).Allowed)
	require.LessOrEqual(t, l.Snapshot().Keys, 100)
}

func TestAFullLimiterMakesRoomWhenTold(t *testing.T) {
	l, err := ratelimit.NewTokenBucket(ratelimit.PerHour(1), ratelimit.WithCapacity(100), ratelimit.WithEviction())
	require.NoError(t, err)
	for i := range 1000 {
		require.True(t, take(t, l, strconv.Itoa(i), 1).Allowed)
	}
	require.Equal(t, 100, l.Snapshot().Keys)
}

func TestForgettingIdleKeysChangesNoDecision(t *testing.T) {
	for name, local := range locals {
		t.Run(name, func(t *testing.T) {
			c := new(manual)
			small, err := local.make(ratelimit.PerSecond(20), ratelimit.WithClock(c.read), ratelimit.WithCapacity(40))
			require.NoError(t, err)
			large, err := local.make(ratelimit.PerSecond(20), ratelimit.WithClock(c.read))
			require.NoError(t, err)
			for i := range 5000 {
				c.advance(61 * time.Millisecond)
				key := strconv.Itoa(i * i % 97) // some 33 of them in two seconds
				require.Equal(t, take(t, large, key, 1), take(t, small, key, 1))
			}
			require.LessOrEqual(t, small.Snapshot().Keys, 40)
		})
	}
}

func TestRetuneKeepsWhatWasUsed(t *testing.T) {
	for name, local := range locals {
		t.Run(name, func(t *testing.T) {
			c := new(manual)
			l, err := local.make(ratelimit.PerMinute(10), ratelimit.WithClock(c.read), ratelimit.WithBurst(10))
			require.NoError(t, err)
			require.True(t, take(t, l, "k", 6).Allowed)

			require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerMinute(100), Burst: 100}))
			require.Equal(t, int64(94), take(t, l, "k", 0).Remaining, "raising takes effect at once, and forgives nothing")

			require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerMinute(5), Burst: 5}))
			d := take(t, l, "k", 1)
			require.False(t, d.Allowed)
			require.Zero(t, d.Remaining, "never negative")
			require.LessOrEqual(t, d.RetryAfter, 72*time.Second, "usage above the new limit is cut down to it")

			require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(5), Burst: 5}))
			c.advance(2 * time.Second)
			require.Equal(t, int64(5), take(t, l, "k", 0).Remaining)
			require.Equal(t, ratelimit.PerSecond(5), l.Quota().Rate)
		})
	}
}

func TestLoweringALimitCutsDownWhatWasUsed(t *testing.T) {
	c := new(manual)
	l, err := ratelimit.NewTokenBucket(ratelimit.PerMinute(100), ratelimit.WithClock(c.read), ratelimit.WithBurst(100))
	require.NoError(t, err)
	require.True(t, take(t, l, "k", 90).Allowed)
	require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerMinute(5), Burst: 5}))
	d := take(t, l, "k", 1)
	require.False(t, d.Allowed)
	require.Equal(t, 12*time.Second, d.RetryAfter, "one token at the new rate, not the debt of the old")
	require.Equal(t, time.Minute, d.ResetAfter)
}

func TestABadRetuneChangesNothing(t *testing.T) {
	retuners := map[string]ratelimit.Retuner{}
	for name, local := range locals {
		l, err := local.make(ratelimit.PerSecond(10), ratelimit.WithBurst(10))
		require.NoError(t, err)
		retuners[name] = l
	}
	bucket, err := ratelimit.NewBucket(ratelimit.PerSecond(10))
	require.NoError(t, err)
	leaky, err := ratelimit.NewLeakyBucket(ratelimit.PerSecond(10))
	require.NoError(t, err)
	retuners["bucket"], retuners["leaky"] = bucket, leaky
	for name, r := range retuners {
		before := r.Quota()
		for _, q := range []ratelimit.Quota{{}, {Rate: ratelimit.PerSecond(-1)}, {Rate: ratelimit.PerSecond(10), Burst: -1}} {
			var field *ratelimit.FieldError
			require.ErrorAs(t, r.Retune(q), &field, name)
			require.Equal(t, before, r.Quota(), name)
		}
	}
}

func TestRetuningUnderLoadNeverExceedsTheHigherLimit(t *testing.T) {
	c := new(manual)
	l, err := ratelimit.NewTokenBucket(ratelimit.PerHour(100), ratelimit.WithClock(c.read), ratelimit.WithBurst(100))
	require.NoError(t, err)
	var wg sync.WaitGroup
	counts := make([]int, 4)
	for g := range counts {
		wg.Go(func() {
			for range 2000 {
				if d, err := l.Take(context.Background(), "k", 1); err == nil && d.Allowed {
					counts[g]++
				}
			}
		})
	}
	for i := range int64(200) {
		n := 50 + i%2*50
		require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerHour(n), Burst: n}))
	}
	wg.Wait()
	// Each step down cuts at most what is above 50; the clock stands still.
	sum := counts[0] + counts[1] + counts[2] + counts[3]
	require.LessOrEqual(t, sum, 100+50*100)
	require.GreaterOrEqual(t, sum, 50)
}

func TestLocalTakeDoesNotAllocate(t *testing.T) {
	for name, local := range locals {
		l, err := local.make(ratelimit.PerSecond(50))
		require.NoError(t, err)
		key := fmt.Sprintf("key-%d", 42)
		for range 100 { // the log has grown to its size
			take(t, l, key, 1)
		}
		require.Zero(t, testing.AllocsPerRun(500, func() { _, _ = l.Take(context.Background(), key, 1) }), name)
	}
}
