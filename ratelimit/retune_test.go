package ratelimit_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// decorators are all that keep a limiter's limit.
func decorators() map[string]policy {
	observed := func(next ratelimit.Limiter, _ ...ratelimit.Option) (ratelimit.Limiter, error) {
		return ratelimit.Observe(next, "api", &watcher{}), nil
	}
	return map[string]policy{
		"open": ratelimit.FailOpen, "closed": ratelimit.FailClosed, "share": shareOf(3), "observe": observed,
		"observe a share": func(next ratelimit.Limiter, opts ...ratelimit.Option) (ratelimit.Limiter, error) {
			l, err := shareOf(3)(next, opts...)
			if err != nil {
				return nil, err
			}
			return observed(l)
		},
	}
}

func TestDecoratorsPassARetuneOn(t *testing.T) {
	for name, decorate := range decorators() {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, ratelimit.PerHour(10), ratelimit.WithBurst(10))
			l, err := decorate(s)
			require.NoError(t, err)
			take(t, l, "k", 4)
			tuned, ok := l.(ratelimit.Retuner)
			require.True(t, ok)
			q := ratelimit.Quota{Rate: ratelimit.PerHour(20), Burst: 20}
			require.NoError(t, tuned.Retune(q))
			require.Equal(t, q, tuned.Quota())
			require.Equal(t, q, s.Quota())
			require.EqualValues(t, 16, take(t, l, "k", 0).Remaining)
			require.Error(t, tuned.Retune(ratelimit.Quota{}))
		})
	}
}

// fixed is a limiter that knows its limit, but cannot change it.
type fixed struct {
	ratelimit.Limiter
	quota ratelimit.Quota
}

func (f fixed) Quota() ratelimit.Quota { return f.quota }

func TestDecoratorsOfAFixedLimiterCannotBeRetuned(t *testing.T) {
	for name, decorate := range decorators() {
		s := newStore(t, ratelimit.PerHour(10))
		l, err := decorate(fixed{s, s.Quota()})
		require.NoError(t, err)
		_, ok := l.(ratelimit.Retuner)
		require.False(t, ok, name)
	}
}

func TestAnObservedWaiterThatCanBeRetunedIsBoth(t *testing.T) {
	l := ratelimit.Observe(newLeaky(t, ratelimit.PerSecond(10)), "queue", &watcher{})
	_, waits := l.(ratelimit.Waiter)
	_, tunes := l.(ratelimit.Retuner)
	require.True(t, waits)
	require.True(t, tunes)
}

// What was used of a local share is a number of calls, whatever each takes to refill.
func TestAShareKeepsWhatWasUsedWhenTheLimitOrTheInstancesChange(t *testing.T) {
	for _, c := range []struct {
		burst     int64 // and count an hour, at first 10
		instances int   // at first 1
		remaining int64 // of the share, of which 7 were used
	}{{100, 1, 93}, {10, 1, 3}, {5, 1, 0}, {10, 2, 0}, {100, 4, 18}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			now, instances := new(manual), 1
			s := newStore(t, ratelimit.PerHour(10), ratelimit.WithBurst(10), ratelimit.WithClock(now.read))
			l, err := ratelimit.Share(s, 1, ratelimit.WithClock(now.read), ratelimit.WithInstances(func() int { return instances }))
			require.NoError(t, err)
			take(t, l, "k", 1)
			s.cut.Store(true)
			require.EqualValues(t, 3, take(t, l, "k", 6).Remaining)

			instances = c.instances
			require.NoError(t, l.(ratelimit.Retuner).Retune(ratelimit.Quota{Rate: ratelimit.PerHour(c.burst), Burst: c.burst}))
			d := take(t, l, "k", 0)
			require.True(t, d.Degraded)
			require.Equal(t, c.remaining, d.Remaining)
		})
	}
}
