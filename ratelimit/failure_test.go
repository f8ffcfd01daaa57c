package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
)

var errStore = errors.New("store is gone")

// store is a limiter like one over Redis: it can be cut off, and hang.
type store struct {
	*ratelimit.Local
	cut   atomic.Bool
	hang  atomic.Bool
	calls atomic.Int64
}

func (s *store) Take(ctx context.Context, key string, cost int64) (ratelimit.Decision, error) {
	s.calls.Add(1)
	if s.hang.Load() {
		<-ctx.Done()
		return ratelimit.Decision{}, fmt.Errorf("store: %w", ctx.Err())
	}
	if s.cut.Load() {
		return ratelimit.Decision{}, errStore
	}
	return s.Local.Take(ctx, key, cost)
}

func newStore(t *testing.T, rate ratelimit.Rate, opts ...ratelimit.Option) *store {
	t.Helper()
	l, err := ratelimit.NewTokenBucket(rate, opts...)
	require.NoError(t, err)
	return &store{Local: l}
}

type policy func(ratelimit.Limiter, ...ratelimit.Option) (ratelimit.Limiter, error)

func shareOf(n int) policy {
	return func(next ratelimit.Limiter, opts ...ratelimit.Option) (ratelimit.Limiter, error) {
		return ratelimit.Share(next.(ratelimit.QuotaLimiter), n, opts...)
	}
}

func TestPoliciesConformWhileTheStoreAnswers(t *testing.T) {
	for name, decorate := range map[string]policy{
		"open": ratelimit.FailOpen, "closed": ratelimit.FailClosed, "share": shareOf(3),
	} {
		t.Run(name, func(t *testing.T) {
			ratelimittest.Test(t, func() ratelimittest.Harness {
				return harness(t, ratelimit.NewTokenBucket, ratelimittest.TokenBucket, ratelimit.PerSecond(10),
					func(l *ratelimit.Local, c *manual) ratelimit.Limiter {
						decorated, err := decorate(l, ratelimit.WithClock(c.read))
						require.NoError(t, err)
						return decorated
					})
			})
		})
	}
}

func TestFailOpenAdmitsAndFailClosedDeniesWhileTheStoreIsAway(t *testing.T) {
	s := newStore(t, ratelimit.PerSecond(10))
	s.cut.Store(true)
	var seen []error
	note := ratelimit.WithOnFailure(func(_ context.Context, err error) { seen = append(seen, err) })
	open, err := ratelimit.FailOpen(s, note)
	require.NoError(t, err)
	d := take(t, open, "k", 1)
	require.True(t, d.Allowed)
	require.True(t, d.Degraded)
	require.ErrorIs(t, seen[0], errStore, "the cause is not hidden")

	closed, err := ratelimit.FailClosed(s, note)
	require.NoError(t, err)
	d = take(t, closed, "k", 1)
	require.Equal(t, ratelimit.Decision{Degraded: true, RetryAfter: time.Second}, d)
}

func TestAnInvalidRequestIsNoStoreFailure(t *testing.T) {
	for name, decorate := range map[string]policy{
		"open": ratelimit.FailOpen, "closed": ratelimit.FailClosed, "share": shareOf(3),
	} {
		for _, cut := range []bool{false, true} {
			s := newStore(t, ratelimit.PerSecond(10))
			s.cut.Store(cut)
			l, err := decorate(s)
			require.NoError(t, err)
			for range 10 {
				_, err = l.Take(t.Context(), "", 1)
				require.ErrorIs(t, err, ratelimit.ErrRequest, name)
				_, err = l.Take(t.Context(), "k", -1)
				require.ErrorIs(t, err, ratelimit.ErrRequest, name)
			}
			if !cut {
				require.False(t, take(t, l, "k", 1).Degraded, "invalid requests counted against the store")
			}
		}
	}
	s := newStore(t, ratelimit.PerSecond(10))
	s.cut.Store(true)
	l, err := ratelimit.Share(s, 3)
	require.NoError(t, err)
	_, err = l.Take(t.Context(), "k", 100)
	require.ErrorIs(t, err, ratelimit.ErrRequest, "a cost that next would never grant")
}

func TestACallerThatGivesUpIsNoStoreFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, ratelimit.PerSecond(10))
		l, err := ratelimit.FailOpen(s)
		require.NoError(t, err)
		s.hang.Store(true)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			d, err := l.Take(ctx, "k", 1)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Zero(t, d)
		}
		s.hang.Store(false)
		require.False(t, take(t, l, "k", 1).Degraded, "the store is still asked")
	})
}

// Callers in more of a hurry than the budget must not keep a store that hangs from
// being noticed.
func TestAStoreThatHangsIsNoticedByCallersWithShortDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, ratelimit.PerSecond(10))
		l, err := ratelimit.FailOpen(s)
		require.NoError(t, err)
		s.hang.Store(true)
		ask := func() (ratelimit.Decision, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			return l.Take(ctx, "k", 1)
		}
		for range 3 {
			_, err := ask()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		d, err := ask()
		require.NoError(t, err)
		require.True(t, d.Degraded, "the store is left alone")
		require.Equal(t, int64(3), s.calls.Load())
	})
}

func TestASlowStoreCostsItsBudgetThreeTimesAndThenNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, ratelimit.PerSecond(10))
		s.hang.Store(true)
		l, err := ratelimit.FailOpen(s)
		require.NoError(t, err)
		for i := range 200 {
			start := time.Now()
			require.True(t, take(t, l, "k", 1).Degraded)
			want := 50 * time.Millisecond
			if i >= 3 {
				want = 0
			}
			require.Equal(t, want, time.Since(start))
		}
		require.Equal(t, int64(3), s.calls.Load())
		time.Sleep(time.Second)
		take(t, l, "k", 1)
		take(t, l, "k", 1)
		require.Equal(t, int64(4), s.calls.Load(), "one call in a second tries")
		s.hang.Store(false)
		time.Sleep(time.Second)
		for range 3 {
			require.False(t, take(t, l, "k", 1).Degraded, "it is asked again as soon as it answers")
		}
	})
}

// trip is a guard that opens on the first failure, as a strict breaker would.
type trip struct {
	open     bool
	verdicts []error
}

func (g *trip) Allow() (func(error), error) {
	if g.open {
		return nil, errors.New("guard is open")
	}
	return func(err error) {
		g.verdicts = append(g.verdicts, err)
		g.open = err != nil && !errors.Is(err, context.Canceled)
	}, nil
}

func TestAGuardOfTheCallersIsHeardAndTold(t *testing.T) {
	s, guard := newStore(t, ratelimit.PerSecond(10)), &trip{}
	l, err := ratelimit.FailOpen(s, ratelimit.WithGuard(guard))
	require.NoError(t, err)
	take(t, l, "k", 1)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	s.hang.Store(true)
	_, err = l.Take(gone, "k", 1)
	require.ErrorIs(t, err, context.Canceled)
	s.hang.Store(false)
	s.cut.Store(true)
	require.True(t, take(t, l, "k", 1).Degraded)
	require.Len(t, guard.verdicts, 3)
	require.NoError(t, guard.verdicts[0])
	require.ErrorIs(t, guard.verdicts[1], context.Canceled)
	require.ErrorIs(t, guard.verdicts[2], errStore)
	calls := s.calls.Load()
	require.True(t, take(t, l, "k", 1).Degraded)
	require.Equal(t, calls, s.calls.Load())
}

type panicking struct{}

func (panicking) Take(context.Context, string, int64) (ratelimit.Decision, error) {
	panic("as planned")
}

func TestAPanickingStoreIsReportedToTheGuard(t *testing.T) {
	guard := &trip{}
	l, err := ratelimit.FailOpen(panicking{}, ratelimit.WithGuard(guard))
	require.NoError(t, err)
	require.PanicsWithValue(t, "as planned", func() { _, _ = l.Take(t.Context(), "k", 1) })
	require.Len(t, guard.verdicts, 1)
	require.Error(t, guard.verdicts[0])
}

func TestPoliciesNameEachBadSetting(t *testing.T) {
	for _, decorate := range []policy{ratelimit.FailOpen, ratelimit.FailClosed} {
		_, err := decorate(nil, ratelimit.WithBudget(0))
		require.ErrorContains(t, err, "next")
		require.ErrorContains(t, err, "budget 0s")
	}
	_, err := ratelimit.Share(nil, 1)
	require.ErrorContains(t, err, "next")
	_, err = ratelimit.Share(newStore(t, ratelimit.PerSecond(1)), 0, ratelimit.WithGrace(-1), ratelimit.WithCapacity(0))
	for _, text := range []string{"instances 0", "grace -1ns", "capacity 0"} {
		require.ErrorContains(t, err, text)
	}
}
