// Package ratelimittest holds what a limiter has to do: [Test] is the suite that
// every [ratelimit.Limiter] of this module passes, decorators included, and
// [Model] the reference that decisions are compared with. Run both on a limiter of
// your own.
package ratelimittest

import (
	"context"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Harness is a limiter to be tested, in its initial state, on a clock that the
// suite moves.
type Harness struct {
	Limiter ratelimit.Limiter
	// Quota is what the limiter enforces; at least 4 must be grantable at once.
	Quota ratelimit.Quota
	// Advance moves the limiter's clock on.
	Advance func(time.Duration)
	// Tick is the limiter's resolution: decisions may be late by it, never early.
	// The zero Tick is a nanosecond.
	Tick time.Duration
	// Model, where given, is compared with each decision.
	Model *Model
	// OneBudget tells that the limiter has one budget for all keys.
	OneBudget bool
	// Drains is how many requests of cost 1 a fresh key has in one moment, where
	// that is not the quota's burst. The bound is then not checked, as it speaks of
	// requests of cost 1 only.
	Drains int64
}

func (h Harness) drains() int64 {
	if h.Drains > 0 {
		return h.Drains
	}
	return h.Quota.Burst
}

func (h Harness) tick() time.Duration { return max(h.Tick, 1) }

func (h Harness) take(t require.TestingT, key string, cost int64) ratelimit.Decision {
	d, err := h.Limiter.Take(context.Background(), key, cost)
	require.NoError(t, err)
	require.GreaterOrEqual(t, d.Remaining, int64(0))
	require.LessOrEqual(t, d.Remaining, d.Limit)
	require.GreaterOrEqual(t, d.ResetAfter, time.Duration(0))
	if d.Allowed {
		require.Zero(t, d.RetryAfter, "an admission has nothing to retry")
	} else {
		require.Positive(t, d.RetryAfter, "a denial says when to retry")
	}
	return d
}

// drain takes all that is there, one by one.
func (h Harness) drain(t require.TestingT, key string) (n int64) {
	for h.take(t, key, 1).Allowed {
		n++
		require.LessOrEqual(t, n, 10*h.Quota.Burst, "it does not limit at all")
	}
	return n
}

// Test runs the suite. create is called for each case, and must return a limiter
// without any usage.
func Test(t *testing.T, create func() Harness) {
	cases := map[string]func(*testing.T, Harness){
		"a fresh key has its full burst, in one moment, and no more": fullBurst,
		"a denial charges nothing":                                   denialIsFree,
		"retry-after is exact":                                       retryAfterIsExact,
		"reset-after is when all is back":                            resetAfterIsTrue,
		"remaining can be taken, and not more":                       remainingIsTrue,
		"a cost of zero changes nothing":                             zeroCostPeeks,
		"keys are apart, whatever they hold":                         keysAreApart,
		"requests that can never be granted are errors":              impossibleRequests,
		"concurrent callers share exactly the budget":                concurrentCallers,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(t, create()) })
	}
	t.Run("decisions agree with the model, and the bound holds", func(t *testing.T) { againstModel(t, create) })
}

func fullBurst(t *testing.T, h Harness) {
	first := h.take(t, "k", 0)
	require.True(t, first.Allowed)
	require.Equal(t, h.Quota.Burst, first.Limit)
	require.Equal(t, h.Quota.Burst, first.Remaining)
	require.Equal(t, h.drains(), h.drain(t, "k"))
}

func denialIsFree(t *testing.T, h Harness) {
	h.drain(t, "k")
	d := h.take(t, "k", 1)
	for range 100 {
		require.False(t, h.take(t, "k", 1).Allowed)
		require.False(t, h.take(t, "k", h.Quota.Burst).Allowed)
	}
	h.Advance(d.RetryAfter)
	require.True(t, h.take(t, "k", 1).Allowed)
}

func retryAfterIsExact(t *testing.T, h Harness) {
	for _, cost := range []int64{1, 2, h.Quota.Burst} {
		h.drain(t, "k")
		d := h.take(t, "k", cost)
		require.False(t, d.Allowed)
		if early := d.RetryAfter - h.tick(); early > 0 {
			h.Advance(early)
			require.Falsef(t, h.take(t, "k", cost).Allowed, "cost %d was admitted before its retry-after", cost)
			h.Advance(h.tick())
		} else {
			h.Advance(d.RetryAfter)
		}
		require.Truef(t, h.take(t, "k", cost).Allowed, "cost %d was refused after its retry-after", cost)
	}
}

func resetAfterIsTrue(t *testing.T, h Harness) {
	h.take(t, "k", 2)
	d := h.take(t, "k", 1)
	require.Positive(t, d.ResetAfter)
	h.Advance(d.ResetAfter)
	full := h.take(t, "k", 0)
	require.Equal(t, full.Limit, full.Remaining)
	require.LessOrEqual(t, full.ResetAfter, h.tick())
}

func remainingIsTrue(t *testing.T, h Harness) {
	d := h.take(t, "k", 1)
	require.True(t, d.Allowed)
	require.False(t, h.take(t, "k", d.Remaining+1).Allowed)
	require.True(t, h.take(t, "k", d.Remaining).Allowed)
	require.Zero(t, h.take(t, "k", 0).Remaining)
}

func zeroCostPeeks(t *testing.T, h Harness) {
	for range 3 * h.Quota.Burst {
		require.True(t, h.take(t, "k", 0).Allowed)
	}
	require.Equal(t, h.drains(), h.drain(t, "k"))
	before := h.take(t, "k", 0)
	require.True(t, before.Allowed, "nothing is always there")
	require.Zero(t, before.Remaining)
	if r, ok := h.Limiter.(ratelimit.Retuner); ok {
		lower := r.Quota()
		lower.Rate.Count, lower.Burst = lower.Rate.Count/2, lower.Burst/2
		require.NoError(t, r.Retune(lower))
		require.True(t, h.take(t, "k", 0).Allowed, "a look at a key that used more than is left of the limit")
	}
}

func keysAreApart(t *testing.T, h Harness) {
	if h.OneBudget {
		t.Skip("the limiter has one budget for all keys")
	}
	huge := strings.Repeat("x", 1<<20)
	keys := []string{
		"a", "b", "a:b", "a:", ":a", "{a}", "{a}b", "}{", "a\x00", "a\n", "a b", "*", "\xff\xfe", "1:a", "é", huge, huge + "y",
	}
	for _, key := range keys {
		require.Equalf(t, h.drains(), h.drain(t, key), "key %.20q does not have its own budget", key)
	}
}

func impossibleRequests(t *testing.T, h Harness) {
	ctx := context.Background()
	d, err := h.Limiter.Take(ctx, "", 1)
	require.ErrorIs(t, err, ratelimit.ErrKey)
	require.Zero(t, d)
	for _, cost := range []int64{-1, math.MinInt64, h.Quota.Burst + 1, math.MaxInt64} {
		d, err := h.Limiter.Take(ctx, "k", cost)
		var bad *ratelimit.CostError
		require.ErrorAs(t, err, &bad)
		require.ErrorIs(t, err, ratelimit.ErrRequest)
		require.Equal(t, ratelimit.CostError{Cost: cost, Most: h.Quota.Burst}, *bad)
		require.Zero(t, d, "an error comes without a decision")
	}
	require.Equal(t, h.Quota.Burst, h.take(t, "k", 0).Remaining, "a refused request was charged")
}

func concurrentCallers(t *testing.T, h Harness) {
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range h.Quota.Burst {
				if d, err := h.Limiter.Take(context.Background(), "k", 1); err == nil && d.Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, h.drains(), admitted.Load())
}
