package action_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/action"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

type failing struct{}

func (failing) Take(context.Context, string, int64) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, errBoom
}

func limiter(t *testing.T, rate ratelimit.Rate) ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.NewTokenBucket(rate)
	require.NoError(t, err)
	return l
}

// exhausted is a limiter without anything left for "k".
func exhausted(t *testing.T) ratelimit.Limiter {
	t.Helper()
	l := limiter(t, ratelimit.PerHour(1))
	_, err := l.Take(t.Context(), "k", 1)
	require.NoError(t, err)
	return l
}

func call(run func(context.Context) (string, error)) action.Call[string] {
	return action.Call[string]{Key: "k", Cost: 1, Run: run}
}

func real(context.Context) (string, error) { return "real", nil }

func never(context.Context) (string, error) { panic("must not run") }

func TestAnAdmittedCallRuns(t *testing.T) {
	v, how, err := action.Do(t.Context(), limiter(t, ratelimit.PerHour(1)), call(real), action.Reject[string]())
	require.NoError(t, err)
	require.Equal(t, "real", v)
	require.Equal(t, action.Ran, how)
	require.Equal(t, "ran", how.String())
	require.Equal(t, "unknown", action.Handling(99).String())
	_, how, err = action.Do(t.Context(), failing{}, call(never), action.Reject[string]())
	require.ErrorIs(t, err, errBoom)
	require.Equal(t, action.Rejected, how)
}

func TestRejectTellsWhenToRetry(t *testing.T) {
	v, how, err := action.Do(t.Context(), exhausted(t), call(never), action.Reject[string]())
	require.Empty(t, v)
	require.Equal(t, action.Rejected, how)
	require.ErrorIs(t, err, ratelimit.ErrLimited)
	var limited *ratelimit.LimitedError
	require.ErrorAs(t, err, &limited)
	require.InDelta(t, time.Hour, limited.Decision.RetryAfter, float64(time.Minute))
}

func TestWaitRunsWhenItsTurnComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := ratelimit.NewLeakyBucket(ratelimit.PerSecond(1))
		require.NoError(t, err)
		start := time.Now()
		for i := range 3 {
			v, how, err := action.Do(t.Context(), l, call(real), action.Wait[string](l))
			require.NoError(t, err)
			require.Equal(t, "real", v)
			require.Equal(t, i > 0, how == action.Waited)
		}
		require.Equal(t, 2*time.Second, time.Since(start))

		hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, how, err := action.Do(hurried, l, call(never), action.Wait[string](l))
		require.ErrorIs(t, err, ratelimit.ErrLimited, "a wait that cannot end in time is none")
		require.Equal(t, action.Rejected, how)
		require.Equal(t, 2*time.Second, time.Since(start))

		gone, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, stop)
		_, how, err = action.Do(gone, l, call(never), action.Wait[string](l))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, action.Rejected, how)
	})
}

func TestADefaultIsMarkedAsOne(t *testing.T) {
	v, how, err := action.Do(t.Context(), exhausted(t), call(never),
		action.Default(func(context.Context) (string, error) { return "stand-in", nil }))
	require.NoError(t, err)
	require.Equal(t, "stand-in", v)
	require.Equal(t, action.Defaulted, how)
	_, how, err = action.Do(t.Context(), exhausted(t), call(never),
		action.Default(func(context.Context) (string, error) { return "", errBoom }))
	require.ErrorIs(t, err, errBoom)
	require.Equal(t, action.Defaulted, how)
}

func TestForwardGoesOnceWithLessTimeAndUnderTheTargetsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := limiter(t, ratelimit.PerHour(1))
		forward := action.Forward(target, func(ctx context.Context) (string, error) {
			require.Equal(t, 1, action.Hops(ctx))
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, 9*time.Second, time.Until(deadline))
			return "elsewhere", nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		v, how, err := action.Do(ctx, exhausted(t), call(never), forward)
		require.NoError(t, err)
		require.Equal(t, "elsewhere", v)
		require.Equal(t, action.Forwarded, how)

		_, how, err = action.Do(ctx, exhausted(t), call(never), forward)
		require.ErrorIs(t, err, ratelimit.ErrLimited, "the target has a limit of its own")
		require.Equal(t, action.Rejected, how)
		_, _, err = action.Do(ctx, exhausted(t), call(never), action.Forward(failing{}, never))
		require.ErrorIs(t, err, errBoom)
	})
}

func TestTwoPlacesThatForwardToEachOtherDoNotLoop(t *testing.T) {
	hops := 0
	var there action.Action[string]
	here := action.Forward(limiter(t, ratelimit.PerSecond(1000)), func(ctx context.Context) (string, error) {
		hops++
		v, _, err := action.Do(ctx, exhausted(t), call(never), there)
		return v, err
	})
	there = here
	_, _, err := action.Do(t.Context(), exhausted(t), call(never), here)
	require.ErrorIs(t, err, action.ErrLoop)
	require.ErrorIs(t, err, ratelimit.ErrLimited)
	require.Equal(t, 1, hops)
	_, _, err = action.Do(action.WithHops(t.Context(), 1), exhausted(t), call(never), here)
	require.ErrorIs(t, err, action.ErrLoop, "an edge says that it came from elsewhere")
}

// queue keeps up to two calls, each key once.
type queue struct {
	mu    sync.Mutex
	calls []action.Call[string]
}

func (q *queue) Enqueue(_ context.Context, c action.Call[string]) (string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, had := range q.calls {
		if had.Key == c.Key {
			return "accepted", nil
		}
	}
	if len(q.calls) == 2 {
		return "", action.ErrQueueFull
	}
	q.calls = append(q.calls, c)
	return "accepted", nil
}

type broken struct{}

func (broken) Enqueue(context.Context, action.Call[string]) (string, error) { return "", errBoom }

func TestLaterIsAcknowledgedOnlyWhenStored(t *testing.T) {
	q := &queue{}
	for range 3 {
		v, how, err := action.Do(t.Context(), exhausted(t), call(never), action.Later(q))
		require.NoError(t, err)
		require.Equal(t, "accepted", v)
		require.Equal(t, action.Queued, how)
	}
	require.Len(t, q.calls, 1)
	_, _, err := action.Do(t.Context(), exhausted(t), call(never), action.Later(broken{}))
	require.ErrorIs(t, err, errBoom)
	q.calls = make([]action.Call[string], 2)
	_, how, err := action.Do(t.Context(), exhausted(t), call(never), action.Later(q))
	require.ErrorIs(t, err, action.ErrQueueFull)
	require.ErrorIs(t, err, ratelimit.ErrLimited)
	require.Equal(t, action.Rejected, how)
}

func TestABacklogDrainedThroughTheLimiterIsNoHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := ratelimit.NewLeakyBucket(ratelimit.PerSecond(10))
		require.NoError(t, err)
		start := time.Now()
		for i := range 50 {
			d, err := l.Wait(t.Context(), "backlog", 1)
			require.NoError(t, err)
			require.True(t, d.Allowed)
			require.Equal(t, time.Duration(i)*100*time.Millisecond, time.Since(start))
		}
	})
}
