package ratelimit_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
)

func newQueue(t *testing.T, next ratelimit.Limiter, opts ...ratelimit.Option) *ratelimit.Queue {
	t.Helper()
	q, err := ratelimit.NewQueue(next, opts...)
	require.NoError(t, err)
	return q
}

func oneASecond(t *testing.T) *store {
	t.Helper()
	return newStore(t, ratelimit.PerSecond(1), ratelimit.WithBurst(1))
}

func TestQueueConforms(t *testing.T) {
	ratelimittest.Test(t, func() ratelimittest.Harness {
		return harness(t, ratelimit.NewTokenBucket, ratelimittest.TokenBucket, ratelimit.PerSecond(10),
			func(l *ratelimit.Local, _ *manual) ratelimit.Limiter { return newQueue(t, l) })
	})
}

func TestAQueueLetsRequestsGoInTheOrderTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, oneASecond(t), ratelimit.WithMaxWait(time.Minute))
		start := time.Now()
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				d, err := q.Wait(t.Context(), "k", 1)
				mu.Lock()
				defer mu.Unlock()
				require.NoError(t, err)
				require.True(t, d.Allowed)
				require.Equal(t, time.Duration(i)*time.Second, time.Since(start))
				order = append(order, i)
			})
			synctest.Wait()
		}
		require.Equal(t, 19, q.Waiting())
		time.Sleep(time.Second / 2)
		require.False(t, take(t, q, "k", 1).Allowed)
		require.True(t, take(t, q, "other", 1).Allowed)
		wg.Wait()
		require.Len(t, order, 20)
		require.IsIncreasing(t, order)
		require.Zero(t, q.Waiting())
	})
}

func TestTakeDoesNotOvertakeWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newStore(t, ratelimit.PerSecond(1), ratelimit.WithBurst(3))
		q := newQueue(t, l, ratelimit.WithMaxWait(time.Minute))
		require.True(t, take(t, q, "k", 3).Allowed)
		go func() { _, _ = q.Wait(t.Context(), "k", 3) }()
		time.Sleep(1500 * time.Millisecond) // there is a token, but the first wants three
		d := take(t, q, "k", 1)
		require.False(t, d.Allowed)
		require.Positive(t, d.RetryAfter)
		require.Equal(t, int64(1), take(t, l, "k", 0).Remaining)
		time.Sleep(2 * time.Second)
		require.Zero(t, q.Waiting())
	})
}

func TestWhoLeavesAQueueCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, oneASecond(t), ratelimit.WithMaxWait(time.Minute))
		require.True(t, take(t, q, "k", 1).Allowed)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_, err := q.Wait(ctx, "k", 1)
				require.ErrorIs(t, err, context.Canceled)
			})
		}
		synctest.Wait()
		start := time.Now()
		last := make(chan time.Duration)
		go func() {
			d, err := q.Wait(t.Context(), "k", 1)
			require.NoError(t, err)
			require.True(t, d.Allowed)
			last <- time.Since(start)
		}()
		synctest.Wait()
		cancel()
		wg.Wait()
		require.Equal(t, time.Second, <-last)
	})
}

func TestAQueueIsBoundedInTimeAndLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := oneASecond(t)
		q := newQueue(t, l, ratelimit.WithMaxWait(2500*time.Millisecond), ratelimit.WithMaxWaiting(5))
		start := time.Now()
		admitted := make(chan bool, 6)
		for range 6 {
			go func() {
				d, err := q.Wait(t.Context(), "k", 1)
				admitted <- err == nil && d.Allowed
			}()
			synctest.Wait()
		}
		d, err := q.Wait(t.Context(), "k", 1)
		require.NoError(t, err)
		require.False(t, d.Allowed, "the line is full")
		require.Zero(t, time.Since(start))
		n := 0
		for range 6 {
			if <-admitted {
				n++
			}
		}
		require.Equal(t, 3, n, "at 0, 1 and 2 s")
		require.LessOrEqual(t, time.Since(start), 2500*time.Millisecond)

		hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start = time.Now()
		d, err = q.Wait(hurried, "k", 1)
		require.NoError(t, err)
		require.False(t, d.Allowed)
		require.Zero(t, time.Since(start), "it is known at once that it would be too late")
		_, err = q.Wait(t.Context(), "", 1)
		require.ErrorIs(t, err, ratelimit.ErrKey)
		_, err = q.Wait(t.Context(), "k", 2)
		require.ErrorIs(t, err, ratelimit.ErrRequest)
		l.cut.Store(true)
		_, err = q.Wait(t.Context(), "k", 1)
		require.ErrorIs(t, err, errStore)
		_, err = q.Take(t.Context(), "k", 1)
		require.ErrorIs(t, err, errStore)
		gone, stop := context.WithCancel(t.Context())
		stop()
		_, err = q.Wait(gone, "k", 1)
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, q.Waiting())
	})
}

func TestNewQueueNamesEachBadSetting(t *testing.T) {
	_, err := ratelimit.NewQueue(nil, ratelimit.WithMaxWaiting(0))
	require.ErrorContains(t, err, "next")
	require.ErrorContains(t, err, "maxWaiting 0")
}

func ExampleNewQueue() {
	limiter, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(100), ratelimit.WithBurst(1))
	if err != nil {
		panic(err)
	}
	queue, err := ratelimit.NewQueue(limiter, ratelimit.WithMaxWait(time.Second))
	if err != nil {
		panic(err)
	}
	start := time.Now()
	for range 3 {
		if d, err := queue.Wait(context.Background(), "user:42", 1); err != nil || !d.Allowed {
			panic("the line is too long")
		}
	}
	fmt.Println("the third went after 20 ms:", time.Since(start) > 19*time.Millisecond)
	// Output: the third went after 20 ms: true
}

type limiterFunc func() (ratelimit.Decision, error)

func (f limiterFunc) Take(context.Context, string, int64) (ratelimit.Decision, error) { return f() }

// A limiter that cannot tell when to come back must not be asked without a pause.
func TestAQueueDoesNotSpinOnADenialWithoutATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		q := newQueue(t, limiterFunc(func() (ratelimit.Decision, error) {
			if asked++; asked > 2000 {
				return ratelimit.Decision{}, errStore
			}
			return ratelimit.Decision{}, nil
		}))
		d, err := q.Wait(t.Context(), "k", 1)
		require.NoError(t, err)
		require.False(t, d.Allowed)
	})
}
