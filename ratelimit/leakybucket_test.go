package ratelimit_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

func newLeaky(t *testing.T, rate ratelimit.Rate, opts ...ratelimit.Option) *ratelimit.LeakyBucket {
	t.Helper()
	l, err := ratelimit.NewLeakyBucket(rate, opts...)
	require.NoError(t, err)
	return l
}

func TestWaitersGoEvenlySpacedInTheOrderTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaky(t, ratelimit.PerSecond(10), ratelimit.WithMaxWait(time.Minute))
		start := time.Now()
		var mu sync.Mutex
		var order []int
		var times []time.Duration
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				d, err := l.Wait(t.Context(), "k", 1)
				mu.Lock()
				defer mu.Unlock()
				require.NoError(t, err)
				require.True(t, d.Allowed)
				order, times = append(order, i), append(times, time.Since(start))
			})
			synctest.Wait()
		}
		require.Equal(t, 49, l.Snapshot().Waiting)
		d := take(t, l, "k", 1)
		require.False(t, d.Allowed, "Take must not overtake who waits")
		require.Equal(t, 5*time.Second, d.RetryAfter)
		wg.Wait()
		for i := range 50 {
			require.Equal(t, i, order[i])
			require.Equal(t, time.Duration(i)*100*time.Millisecond, times[i])
		}
		require.Zero(t, l.Snapshot().Waiting)
	})
}

func TestCancelledWaitersLeaveNoDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaky(t, ratelimit.PerSecond(10), ratelimit.WithMaxWait(time.Minute))
		require.True(t, take(t, l, "k", 1).Allowed)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_, err := l.Wait(ctx, "k", 3)
				require.ErrorIs(t, err, context.Canceled)
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		d := take(t, l, "k", 1)
		require.Equal(t, 100*time.Millisecond, d.RetryAfter, "only the admitted one is paid for")
		time.Sleep(d.RetryAfter)
		require.True(t, take(t, l, "k", 1).Allowed)
	})
}

func TestThoseBehindACancelledWaiterMoveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaky(t, ratelimit.PerSecond(1), ratelimit.WithMaxWait(time.Hour))
		require.True(t, take(t, l, "k", 1).Allowed)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = l.Wait(ctx, "k", 1) }()
		synctest.Wait()
		start := time.Now()
		done := make(chan time.Duration)
		go func() {
			_, err := l.Wait(t.Context(), "k", 1)
			require.NoError(t, err)
			done <- time.Since(start)
		}()
		synctest.Wait()
		cancel()
		require.Equal(t, time.Second, <-done)
	})
}

func TestAWaitThatCannotEndInTimeIsDeniedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaky(t, ratelimit.PerSecond(1), ratelimit.WithMaxWait(10*time.Second), ratelimit.WithMaxWaiting(3))
		require.True(t, take(t, l, "k", 1).Allowed)
		start := time.Now()

		ctx, cancel := context.WithTimeout(t.Context(), 999*time.Millisecond)
		defer cancel()
		d, err := l.Wait(ctx, "k", 1)
		require.NoError(t, err)
		require.Equal(t, time.Second, d.RetryAfter)
		require.False(t, d.Allowed)

		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _, _ = l.Wait(t.Context(), "k", 1) })
		}
		synctest.Wait()
		d, err = l.Wait(t.Context(), "k", 1)
		require.NoError(t, err)
		require.False(t, d.Allowed, "the queue is full")

		slow := newLeaky(t, ratelimit.PerMinute(1))
		require.True(t, take(t, slow, "k", 1).Allowed)
		d, err = slow.Wait(t.Context(), "k", 1)
		require.NoError(t, err)
		require.Equal(t, time.Minute, d.RetryAfter, "longer than the longest wait")

		gone, stop := context.WithCancel(t.Context())
		stop()
		_, err = l.Wait(gone, "k", 1)
		require.ErrorIs(t, err, context.Canceled)
		_, err = l.Wait(t.Context(), "", 1)
		require.ErrorIs(t, err, ratelimit.ErrKey)
		_, err = l.Wait(t.Context(), "k", 2)
		require.ErrorIs(t, err, ratelimit.ErrRequest)
		require.Zero(t, time.Since(start))
		wg.Wait()
	})
}

func TestRetuneReachesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaky(t, ratelimit.PerHour(1), ratelimit.WithMaxWait(2*time.Hour))
		require.True(t, take(t, l, "k", 1).Allowed)
		start := time.Now()
		go func() {
			time.Sleep(time.Second)
			require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(1)}))
		}()
		d, err := l.Wait(t.Context(), "k", 1)
		require.NoError(t, err)
		require.True(t, d.Allowed)
		require.Less(t, time.Since(start), 3*time.Second)
	})
}

func TestAKeyWithWaitersIsNeverForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaky(t, ratelimit.PerSecond(1), ratelimit.WithCapacity(1), ratelimit.WithEviction())
		require.True(t, take(t, l, "k", 1).Allowed)
		done := make(chan bool)
		go func() {
			d, err := l.Wait(t.Context(), "k", 1)
			done <- err == nil && d.Allowed
		}()
		synctest.Wait()
		require.False(t, take(t, l, "other", 1).Allowed)
		d, err := l.Wait(t.Context(), "other", 1)
		require.NoError(t, err)
		require.False(t, d.Allowed)
		require.True(t, <-done)
	})
}

// A process that stood still for a while finds many waiters whose time has come. They
// must not all go at once.
func TestAStallIsNotMadeUpForByABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, stalled := time.Now(), new(manual)
		clock := func() time.Duration { return time.Since(start) + stalled.read() }
		l := newLeaky(t, ratelimit.PerSecond(1000), ratelimit.WithClock(clock))
		var mu sync.Mutex
		var hits []time.Duration
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				d, err := l.Wait(t.Context(), "k", 1)
				require.NoError(t, err)
				require.True(t, d.Allowed)
				mu.Lock()
				defer mu.Unlock()
				hits = append(hits, clock())
			})
		}
		time.Sleep(20 * time.Millisecond)
		stalled.advance(50 * time.Millisecond)
		wg.Wait()
		most := int(l.Most(10 * time.Millisecond))
		for i := range len(hits) - most {
			require.GreaterOrEqual(t, hits[i+most]-hits[i], 10*time.Millisecond)
		}
	})
}

// A storm of waiters that give up at random: the bound holds, everybody is
// answered, and the queue is empty in the end.
func TestTheQueueKeepsItsBoundInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaky(t, ratelimit.PerSecond(100), ratelimit.WithMaxWait(3*time.Second))
		var mu sync.Mutex
		var hits []time.Time
		var wg sync.WaitGroup
		random := rand.New(rand.NewPCG(7, 7))
		for range 2000 {
			arrive := time.Duration(random.Int64N(int64(5 * time.Second)))
			patience := time.Duration(random.Int64N(int64(4 * time.Second)))
			wg.Go(func() {
				time.Sleep(arrive)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stop := time.AfterFunc(patience, cancel)
				defer stop.Stop()
				if d, err := l.Wait(ctx, "k", 1); err == nil && d.Allowed {
					mu.Lock()
					hits = append(hits, time.Now())
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.Zero(t, l.Snapshot().Waiting)
		require.Greater(t, len(hits), 500, "it uses its rate while there is demand")
		for _, window := range []time.Duration{5 * time.Millisecond, 100 * time.Millisecond, time.Second} {
			most := int(l.Most(window))
			for i := range hits {
				if i+most < len(hits) {
					require.GreaterOrEqual(t, hits[i+most].Sub(hits[i]), window)
				}
			}
		}
	})
}

func TestALeakyBucketRetunedToAVerySlowRateStillLimits(t *testing.T) {
	c := new(manual)
	l := newLeaky(t, ratelimit.PerSecond(1e9), ratelimit.WithClock(c.read))
	require.True(t, take(t, l, "k", 1e9).Allowed)
	yearly := ratelimit.Rate{Count: 1, Per: 366 * 24 * time.Hour}
	require.NoError(t, l.Retune(ratelimit.Quota{Rate: yearly}))
	d := take(t, l, "k", 1)
	require.False(t, d.Allowed)
	require.Equal(t, yearly.Per, d.RetryAfter, "cut down to what the new limit knows")
}

// Costs that were queued under a quick rate must not wrap around under a slow one.
func TestWaitersOfAQuickRateDoNotOverflowASlowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaky(t, ratelimit.PerSecond(1e9), ratelimit.WithMaxWait(time.Hour))
		require.True(t, take(t, l, "k", 1e9).Allowed)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { _, _ = l.Wait(ctx, "k", 1e9) })
		}
		synctest.Wait()
		require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.Rate{Count: 1, Per: 366 * 24 * time.Hour}}))
		d := take(t, l, "k", 1)
		require.False(t, d.Allowed)
		require.Greater(t, d.RetryAfter, 24*time.Hour)
		require.Positive(t, d.ResetAfter)
		cancel()
		wg.Wait()
	})
}
