package redislimit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// leasing makes n instances that share a limit, on the test's clock.
func leasing(
	t *testing.T, rdb redis.UniversalClient, n int, rate ratelimit.Rate, chunk int64, opts ...redislimit.Option,
) ([]*redislimit.Leased, *clock) {
	t.Helper()
	c := newClock(t, rdb, 1)
	start := c.now.Load()
	all := make([]*redislimit.Leased, n)
	for i := range all {
		l, err := redislimit.NewLeased(rdb, rate, chunk, opts...)
		require.NoError(t, err)
		l.OnClock(c.name)
		l.SetNow(func() time.Duration { return time.Duration(c.now.Load()-start) * time.Microsecond })
		all[i] = l
	}
	return all, c
}

// TestLeasingNeverExceedsTheLimit lets instances with uneven and bursty traffic do
// their worst: rest on leases, then spend them all at once while the bucket in
// Redis is full again.
func TestLeasingNeverExceedsTheLimit(t *testing.T) {
	rdb := testenv.Redis(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range testenv.Scale(4, 400) {
		require.NoError(t, rdb.FlushDB(t.Context()).Err())
		all, c := leasing(t, rdb, 3, ratelimit.PerSecond(1000), 1+random.Int64N(20), redislimit.WithBurst(40+random.Int64N(60)))
		var hits []int64 // µs
		for range 60 {
			switch random.IntN(3) {
			case 0:
				c.advance(time.Duration(random.IntN(100_000)) * time.Microsecond)
			case 1:
				c.advance(time.Duration(random.IntN(3_000)) * time.Microsecond)
			}
			l := all[random.IntN(len(all))]
			for range 1 + random.IntN(1+random.IntN(60)) {
				if take(t, l, "k", 1).Allowed {
					hits = append(hits, c.now.Load())
				}
			}
		}
		require.NotEmpty(t, hits)
		for _, window := range []time.Duration{time.Microsecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, time.Second} {
			most := all[0].Most(window)
			for i, from := range hits {
				n := int64(0)
				for _, at := range hits[i:] {
					if at < from+window.Microseconds() {
						n++
					}
				}
				require.LessOrEqual(t, n, most, "window of %v", window)
			}
		}
	}
}

// Instances that take leases, one after the other, and save them up, to spend all
// at once together with what is in Redis by then.
func TestLeasesThatAreSavedUpStayWithinTheBurst(t *testing.T) {
	rdb := testenv.Redis(t)
	const life = 20 * time.Millisecond // half of 40 at 1000 a second
	for _, gap := range []time.Duration{0, time.Millisecond, life / 4, life, time.Second} {
		for _, wait := range []time.Duration{0, life - 10*time.Millisecond, life - time.Microsecond, life} {
			require.NoError(t, rdb.FlushDB(t.Context()).Err())
			all, c := leasing(t, rdb, 10, ratelimit.PerSecond(1000), 10, redislimit.WithBurst(40))
			for _, l := range all {
				take(t, l, "k", 1)
				c.advance(gap)
			}
			c.advance(wait)
			n := 0
			for _, l := range all {
				n += drain(t, l, "k")
			}
			require.LessOrEqual(t, n, 40, "leases each %v, spent %v later", gap, wait)
		}
	}
}

func TestALeaseIsOneRoundTripAndIsForgottenInTime(t *testing.T) {
	rdb := testenv.Redis(t)
	record := &sent{}
	rdb.AddHook(record)
	all, c := leasing(t, rdb, 1, ratelimit.PerSecond(100), 20, redislimit.WithBurst(50))
	l := all[0]
	take(t, l, "other", 1) // Redis has the script
	spend := func(n int) (trips int) {
		trips, _ = record.of(func() {
			for range n {
				require.True(t, take(t, l, "k", 1).Allowed)
			}
		})
		return trips
	}
	require.Equal(t, 1, spend(20))
	require.Zero(t, take(t, l, "k", 0).Remaining)
	require.Equal(t, 1, spend(1), "25 are in Redis: 5 are left of them")
	require.Equal(t, int64(4), take(t, l, "k", 0).Remaining)
	require.Zero(t, spend(4))
	trips, _ := record.of(func() {
		d := take(t, l, "k", 1)
		require.False(t, d.Allowed)
		require.Equal(t, 10*time.Millisecond, d.RetryAfter)
		require.Equal(t, int64(25), d.Limit)
		for range 100 {
			require.False(t, take(t, l, "k", 1).Allowed)
		}
	})
	require.Equal(t, 1, trips, "a denial is remembered")
	trips, _ = record.of(func() {
		d := take(t, l, "k", 3)
		require.False(t, d.Allowed)
		require.Equal(t, 30*time.Millisecond, d.RetryAfter)
	})
	require.Zero(t, trips)
	c.advance(10 * time.Millisecond)
	require.Equal(t, 1, spend(1), "what was promised holds")

	c.advance(time.Second)
	require.Equal(t, 1, spend(1))
	require.Equal(t, int64(19), take(t, l, "k", 0).Remaining)
	c.advance(250*time.Millisecond - time.Microsecond) // half of the burst refills in that time
	require.Zero(t, spend(1))
	c.advance(time.Microsecond)
	require.Zero(t, take(t, l, "k", 0).Remaining, "unspent tokens are forgotten")
	require.Equal(t, 1, spend(1))
}

func TestManyWhoNeedALeaseShareOneTrip(t *testing.T) {
	rdb := testenv.Redis(t)
	record := &sent{}
	l, err := redislimit.NewLeased(rdb, ratelimit.PerHour(1000), 50, redislimit.WithBurst(1000))
	require.NoError(t, err)
	take(t, l, "other", 1)
	rdb.AddHook(record)
	trips, _ := record.of(func() {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if d, err := l.Take(context.Background(), "k", 1); err != nil || !d.Allowed {
					t.Error(d, err)
				}
			})
		}
		wg.Wait()
	})
	require.Equal(t, 1, trips)
}

func TestConcurrentLeasesAdmitExactlyTheBudget(t *testing.T) {
	rdb := testenv.Redis(t)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 3 {
		l, err := redislimit.NewLeased(rdb, ratelimit.PerHour(300), 10, redislimit.WithBurst(300))
		require.NoError(t, err)
		for range 4 {
			wg.Go(func() {
				for range 60 {
					if d, err := l.Take(context.Background(), "k", 1); err == nil && d.Allowed {
						admitted.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	require.Equal(t, int64(150), admitted.Load(), "half of the burst, and nothing is lost while leases live")
}

// held keeps the first script from running until it is released.
type held struct {
	entered, release chan struct{}
	first            atomic.Bool
	fail             error
}

func (h *held) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *held) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "evalsha" || !h.first.CompareAndSwap(false, true) {
			return next(ctx, cmd)
		}
		close(h.entered)
		select {
		case <-h.release:
			cmd.SetErr(h.fail)
			return h.fail
		case <-ctx.Done():
			cmd.SetErr(ctx.Err())
			return ctx.Err()
		}
	}
}

func (h *held) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// waiting is a context that tells when somebody begins to wait for its end.
type waiting struct {
	context.Context
	once  sync.Once
	began chan struct{}
}

func (w *waiting) Done() <-chan struct{} {
	w.once.Do(func() { close(w.began) })
	return w.Context.Done()
}

// beginTrip starts a request that is held on its way to Redis.
func beginTrip(t *testing.T, fail error) (l *redislimit.Leased, hook *held, cancel context.CancelFunc, first chan error) {
	t.Helper()
	rdb := testenv.Redis(t)
	hook = &held{entered: make(chan struct{}), release: make(chan struct{}), fail: fail}
	rdb.AddHook(hook)
	l, err := redislimit.NewLeased(rdb, ratelimit.PerSecond(100), 5)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	first = make(chan error, 1)
	go func() {
		_, err := l.Take(ctx, "k", 1)
		first <- err
	}()
	<-hook.entered
	return l, hook, cancel, first
}

func TestWhoWaitsForATripThatWasGivenUpMakesItsOwn(t *testing.T) {
	l, _, cancel, first := beginTrip(t, nil)
	second, ctx := make(chan error, 1), &waiting{Context: t.Context(), began: make(chan struct{})}
	go func() {
		d, err := l.Take(ctx, "k", 1)
		if err == nil && !d.Allowed {
			err = errLost
		}
		second <- err
	}()
	<-ctx.began
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	require.NoError(t, <-second)
}

func TestWhoWaitsForATripSharesItsFailureAndCanGiveUp(t *testing.T) {
	l, hook, _, first := beginTrip(t, errLost)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Take(gone, "k", 1)
	require.ErrorIs(t, err, context.Canceled)
	second, ctx := make(chan error, 1), &waiting{Context: t.Context(), began: make(chan struct{})}
	go func() {
		_, err := l.Take(ctx, "k", 1)
		second <- err
	}()
	<-ctx.began
	close(hook.release)
	require.ErrorIs(t, <-first, errLost)
	require.ErrorIs(t, <-second, errLost)
	require.True(t, take(t, l, "k", 1).Allowed, "a failure is not remembered")
}

func TestLeasesAreForAFewKeysAndTheOthersAreLimitedAsWell(t *testing.T) {
	rdb := testenv.Redis(t)
	all, c := leasing(t, rdb, 1, ratelimit.PerSecond(100), 10, redislimit.WithBurst(40), redislimit.WithCapacity(3))
	l := all[0]
	for i := range 3 {
		take(t, l, fmt.Sprint("hot", i), 1)
	}
	huge := strings.Repeat("x", 1<<20)
	for _, k := range []string{"cold", huge, huge + "y", "\x00"} {
		require.Equal(t, 20, drain(t, l, k), "%.10q", k)
	}
	require.Equal(t, 3, l.Held())
	c.advance(time.Second)
	require.Equal(t, 20, drain(t, l, huge))
	require.Equal(t, 1, l.Held(), "those with nothing left have made room")
}

func TestLeasedIsALimiter(t *testing.T) {
	rdb := testenv.Redis(t)
	l, err := redislimit.NewLeased(rdb, ratelimit.PerSecond(100), 5)
	require.NoError(t, err)
	require.Equal(t, ratelimit.Decision{Allowed: true, Limit: 5}, take(t, l, "k", 0), "looking asks nobody")
	_, err = l.Take(t.Context(), "", 1)
	require.ErrorIs(t, err, ratelimit.ErrKey)
	for _, cost := range []int64{-1, 6} {
		_, err = l.Take(t.Context(), "k", cost)
		require.ErrorIs(t, err, ratelimit.ErrRequest)
	}
	require.True(t, take(t, l, "k", 5).Allowed)
	require.Equal(t, int64(10), l.Quota().Burst)
	require.Equal(t, int64(10+100), l.Most(time.Second+1))
	var field *ratelimit.FieldError
	require.ErrorAs(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(100), Burst: 9}), &field)
	require.NoError(t, l.Retune(ratelimit.Quota{Rate: ratelimit.PerSecond(100), Burst: 30}))
	require.Equal(t, int64(15), take(t, l, "new", 1).Limit)
	require.NoError(t, rdb.Set(t.Context(), key("ratelimit:leased", "bad"), "x", 0).Err())
	_, err = l.Take(t.Context(), "bad", 1)
	var state *redislimit.StateError
	require.ErrorAs(t, err, &state)
	rate := ratelimit.PerSecond(1_000_000)
	wide, err := redislimit.NewLeased(rdb, rate, 100)
	require.NoError(t, err)
	take(t, wide, "k", 1)
	require.Zero(t, testing.AllocsPerRun(50, func() { _, _ = wide.Take(context.Background(), "k", 0) }))
}
