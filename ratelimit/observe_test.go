package ratelimit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watcher keeps what it was told.
type watcher struct {
	kinds   []string
	starts  []observe.Values
	results []observe.Result
	bad     []error
}

func (w *watcher) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	w.bad = append(w.bad, op.Kind.Validate())
	w.kinds = append(w.kinds, op.Kind.Component+"/"+op.Kind.Action)
	w.starts = append(w.starts, op.Values)
	return ctx, func(r observe.Result) { w.results = append(w.results, r) }
}

type answering struct {
	d   ratelimit.Decision
	err error
}

func (a answering) Take(context.Context, string, int64) (ratelimit.Decision, error) {
	return a.d, a.err
}

func TestObserveReportsEachDecisionByLimiterAndRule(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		limiter ratelimit.Limiter
		want    observe.Result
	}{
		{answering{d: ratelimit.Decision{Allowed: true, Rule: "vip"}}, observe.Result{Values: observe.Values{"vip"}}},
		{answering{d: ratelimit.Decision{}}, observe.Result{Outcome: observe.Rejected}},
		{answering{d: ratelimit.Decision{Allowed: true, Degraded: true}}, observe.Result{Outcome: observe.Degraded}},
		{answering{d: ratelimit.Decision{Degraded: true}}, observe.Result{Outcome: observe.Rejected}},
		{answering{err: boom}, observe.Result{Outcome: observe.Failed, Err: boom}},
		{answering{err: context.Canceled}, observe.Result{Outcome: observe.Canceled, Err: context.Canceled}},
	} {
		w := &watcher{}
		_, _ = ratelimit.Observe(c.limiter, "api", w).Take(t.Context(), "user:42", 1)
		require.Equal(t, []observe.Values{{"api"}}, w.starts, "never a key")
		require.Equal(t, []observe.Result{c.want}, w.results)
		require.Equal(t, []string{"ratelimit/take"}, w.kinds)
		require.NoError(t, errors.Join(w.bad...))
	}
}

func TestObserveReportsAPanicAndLetsItPass(t *testing.T) {
	w := &watcher{}
	require.Panics(t, func() { _, _ = ratelimit.Observe(panicking{}, "api", w).Take(t.Context(), "k", 1) })
	require.Equal(t, observe.Panicked, w.results[0].Outcome)
}

func TestAnObservedWaiterStaysOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{}
		l := newLeaky(t, ratelimit.PerSecond(10))
		waiter, ok := ratelimit.Observe(l, "queue", w).(ratelimit.Waiter)
		require.True(t, ok)
		for range 3 {
			d, err := waiter.Wait(t.Context(), "k", 1)
			require.NoError(t, err)
			require.True(t, d.Allowed)
		}
		require.Equal(t, []string{"ratelimit/wait", "ratelimit/wait", "ratelimit/wait"}, w.kinds)
		require.NoError(t, errors.Join(w.bad...))
	})
}

func TestObserveWithoutAnObserverIsTheLimiterItself(t *testing.T) {
	l, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(1))
	require.NoError(t, err)
	require.Same(t, l, ratelimit.Observe(l, "api", nil))
	require.Same(t, l, ratelimit.Observe(l, "api", observe.Nop()))
}

func TestObserveConforms(t *testing.T) {
	ratelimittest.Test(t, func() ratelimittest.Harness {
		return harness(t, ratelimit.NewTokenBucket, ratelimittest.TokenBucket, ratelimit.PerSecond(10),
			func(l *ratelimit.Local, _ *manual) ratelimit.Limiter {
				return ratelimit.Observe(l, "api", observe.OrNop(nopish{}))
			})
	})
}

// nopish is an observer that is safe for concurrent use and keeps nothing.
type nopish struct{}

func (nopish) Start(ctx context.Context, _ observe.Operation) (context.Context, observe.End) {
	return ctx, func(observe.Result) {}
}
