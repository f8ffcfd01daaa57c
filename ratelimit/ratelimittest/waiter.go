package ratelimittest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// WaiterHarness is a waiter to be tested, in its initial state, on the clock of the
// [testing/synctest] bubble in which it was made.
type WaiterHarness struct {
	// Waiter admits one request in each 100 ms and none at the same time, and lets
	// a request wait for up to a minute.
	Waiter ratelimit.Waiter
}

// waitSpacing is that of a WaiterHarness.
const waitSpacing = 100 * time.Millisecond

// TestWaiter runs the suite of [ratelimit.Waiter]. create is called for each case,
// in a bubble of its own, and cleans up with the test that it is given.
func TestWaiter(t *testing.T, create func(*testing.T) WaiterHarness) {
	cases := map[string]func(*testing.T, WaiterHarness){
		"waiters go one by one, a spacing apart":        waitersAreSpaced,
		"cancelled waiters leave no debt":               cancelledWaitersAreFree,
		"a wait that cannot end in time is denied":      waitsAreBounded,
		"an ended context and bad requests are errors":  impossibleWaits,
		"a storm of waiters that give up is kept apart": stormOfWaiters,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, create(t)) })
		})
	}
}

func (h WaiterHarness) take(t *testing.T) ratelimit.Decision {
	d, err := h.Waiter.Take(t.Context(), "k", 1)
	require.NoError(t, err)
	return d
}

func waitersAreSpaced(t *testing.T, h WaiterHarness) {
	const waiters = 30
	start := time.Now()
	var mu sync.Mutex
	var order []int
	var times []time.Duration
	var wg sync.WaitGroup
	for i := range waiters {
		wg.Go(func() {
			d, err := h.Waiter.Wait(t.Context(), "k", 1)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || !d.Allowed || d.RetryAfter != 0 {
				t.Errorf("waiter %d: %+v, %v", i, d, err)
			}
			order, times = append(order, i), append(times, time.Since(start))
		})
		synctest.Wait()
	}
	d := h.take(t)
	require.False(t, d.Allowed, "Take must not overtake who waits")
	require.Positive(t, d.RetryAfter)
	wg.Wait()
	for i := range waiters {
		require.Equal(t, i, order[i])
		require.Equal(t, time.Duration(i)*waitSpacing, times[i])
	}
	require.False(t, h.take(t).Allowed, "the last is still under way")
	time.Sleep(waitSpacing)
	require.True(t, h.take(t).Allowed)
}

func cancelledWaitersAreFree(t *testing.T, h WaiterHarness) {
	require.True(t, h.take(t).Allowed)
	var wg sync.WaitGroup
	var cancels []context.CancelFunc
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		cancels = append(cancels, cancel)
		wg.Go(func() {
			d, err := h.Waiter.Wait(ctx, "k", 1)
			if !errors.Is(err, context.Canceled) || d != (ratelimit.Decision{}) {
				t.Errorf("%+v, %v", d, err)
			}
		})
		synctest.Wait()
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(cancels), func(i, j int) { cancels[i], cancels[j] = cancels[j], cancels[i] })
	for _, cancel := range cancels {
		cancel()
		synctest.Wait()
	}
	wg.Wait()
	time.Sleep(waitSpacing) // only the admitted one is paid for
	require.True(t, h.take(t).Allowed)
}

func waitsAreBounded(t *testing.T, h WaiterHarness) {
	require.True(t, h.take(t).Allowed)
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), waitSpacing-time.Millisecond)
	defer cancel()
	d, err := h.Waiter.Wait(ctx, "k", 1)
	require.NoError(t, err)
	require.False(t, d.Allowed)
	require.Equal(t, waitSpacing, d.RetryAfter)
	require.Zero(t, time.Since(start), "it is known from the begin")
	ctx, cancel = context.WithTimeout(t.Context(), waitSpacing+time.Millisecond)
	defer cancel()
	d, err = h.Waiter.Wait(ctx, "k", 1)
	require.NoError(t, err)
	require.True(t, d.Allowed)
	require.Equal(t, waitSpacing, time.Since(start), "the denied one was charged")
}

func impossibleWaits(t *testing.T, h WaiterHarness) {
	start := time.Now()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Waiter.Wait(gone, "k", 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = h.Waiter.Wait(t.Context(), "", 1)
	require.ErrorIs(t, err, ratelimit.ErrKey)
	_, err = h.Waiter.Wait(t.Context(), "k", -1)
	require.ErrorIs(t, err, ratelimit.ErrRequest)
	_, err = h.Waiter.Wait(t.Context(), "k", 1<<40)
	require.ErrorIs(t, err, ratelimit.ErrRequest)
	require.True(t, h.take(t).Allowed, "none of them was charged")
	d, err := h.Waiter.Wait(t.Context(), "k", 0)
	require.NoError(t, err)
	require.True(t, d.Allowed, "nothing is always there")
	require.Zero(t, time.Since(start))
}

func stormOfWaiters(t *testing.T, h WaiterHarness) {
	var mu sync.Mutex
	var hits []time.Time
	var wg sync.WaitGroup
	random := rand.New(rand.NewPCG(7, 7))
	for range 200 {
		arrive := time.Duration(random.Int64N(int64(5 * time.Second)))
		patience := time.Duration(random.Int64N(int64(4 * time.Second)))
		wg.Go(func() {
			time.Sleep(arrive)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stop := time.AfterFunc(patience, cancel)
			defer stop.Stop()
			if d, err := h.Waiter.Wait(ctx, "k", 1); err == nil && d.Allowed {
				mu.Lock()
				hits = append(hits, time.Now())
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Greater(t, len(hits), 15)
	slices.SortFunc(hits, time.Time.Compare)
	for i := range hits[1:] {
		require.GreaterOrEqual(t, hits[i+1].Sub(hits[i]), waitSpacing-time.Millisecond)
	}
	time.Sleep(waitSpacing)
	require.True(t, h.take(t).Allowed, "who gave up left nothing behind")
}
