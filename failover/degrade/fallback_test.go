package degrade_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover/degrade"
)

var errDown = errors.New("down")

func newFallback(t *testing.T, cfg degrade.FallbackConfig, fn func(context.Context, error) (string, error)) *degrade.Fallback[string] {
	t.Helper()
	cfg.Name, cfg.Cost = "test", degrade.Constant
	f, err := degrade.NewFallback(cfg, fn)
	require.NoError(t, err)
	return f
}

func down(context.Context) (string, error) { return "", errDown }

func TestEachBadSettingOfAFallbackIsNamed(t *testing.T) {
	_, err := degrade.NewFallback[int](degrade.FallbackConfig{Timeout: -1, MaxInFlight: -1, CostShare: 2, Burst: -1}, nil)
	for _, want := range []string{`Name ""`, "Cost 0", "Timeout -1ns", "MaxInFlight -1", "CostShare 2", "Burst -1ns", "function nil"} {
		require.ErrorContains(t, err, want)
	}
}

func TestADegradedResultIsNeverFresh(t *testing.T) {
	f := newFallback(t, degrade.FallbackConfig{}, degrade.Always("default"))
	r, err := f.Do(t.Context(), nil, func(context.Context) (string, error) { return "real", nil })
	require.NoError(t, err)
	fresh, ok := r.Fresh()
	require.True(t, ok)
	require.Equal(t, "real", fresh)
	require.NoError(t, r.Degraded())

	r, err = f.Do(t.Context(), nil, down)
	require.NoError(t, err)
	fresh, ok = r.Fresh()
	require.False(t, ok)
	require.Empty(t, fresh)
	require.Equal(t, "default", r.Value())
	require.ErrorIs(t, r.Degraded(), errDown)

	r, err = f.Answer(t.Context(), nil)
	require.NoError(t, err)
	_, ok = r.Fresh()
	require.False(t, ok, "not even an exercise is")
	require.EqualValues(t, 1, f.Snapshot().Used)
	require.EqualValues(t, 1, f.Snapshot().Exercised)
}

func TestAFallbackHasTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFallback(t, degrade.FallbackConfig{}, func(ctx context.Context, _ error) (string, error) {
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, 100*time.Millisecond, time.Until(deadline))
			return "default", nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := f.Do(ctx, nil, func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
		require.NoError(t, err)
		require.ErrorIs(t, r.Degraded(), context.DeadlineExceeded)
		_, err = f.Do(t.Context(), nil, down) // without a deadline of the caller's, too
		require.NoError(t, err)
	})
}

func TestACallerWhoLeftNeedsNoFallback(t *testing.T) {
	f := newFallback(t, degrade.FallbackConfig{}, degrade.Always("default"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Do(ctx, nil, func(ctx context.Context) (string, error) { return "", ctx.Err() })
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, f.Snapshot().Used)
}

func TestAFallbackThatFailsTooNamesBothReasons(t *testing.T) {
	errAlso := errors.New("also down")
	f := newFallback(t, degrade.FallbackConfig{}, func(context.Context, error) (string, error) { return "", errAlso })
	_, err := f.Do(t.Context(), nil, down)
	require.ErrorIs(t, err, errDown)
	require.ErrorIs(t, err, errAlso)
	require.EqualValues(t, 1, f.Snapshot().Failed)
}

// A fallback may take a fifth of what the real thing takes, on average: in a long
// outage no more than that is spent on it, beside the burst.
func TestAFallbackStaysWithinItsCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spent := time.Duration(0)
		f := newFallback(t, degrade.FallbackConfig{}, func(context.Context, error) (string, error) {
			time.Sleep(40 * time.Millisecond)
			spent += 40 * time.Millisecond
			return "default", nil
		})
		for range 100 {
			_, err := f.Do(t.Context(), nil, func(context.Context) (string, error) {
				time.Sleep(100 * time.Millisecond)
				return "real", nil
			})
			require.NoError(t, err)
		}
		refused := 0
		for range 1000 {
			if _, err := f.Do(t.Context(), nil, down); err != nil {
				require.ErrorIs(t, err, degrade.ErrSpent)
				require.ErrorIs(t, err, errDown)
				refused++
			}
		}
		share := float64(spent) / float64(1000*100*time.Millisecond)
		t.Logf("in an outage of 1000 calls of 100 ms the fallback took %.3f of their time; %d were refused", share, refused)
		require.LessOrEqual(t, spent, 1000*20*time.Millisecond+time.Second+40*time.Millisecond)
		require.GreaterOrEqual(t, spent, 1000*19*time.Millisecond)
	})
}

func TestFallbacksAreBoundedInNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFallback(t, degrade.FallbackConfig{MaxInFlight: 2, Timeout: time.Minute}, func(context.Context, error) (string, error) {
			time.Sleep(time.Second)
			return "default", nil
		})
		for range 2 {
			go func() { _, _ = f.Do(t.Context(), nil, down) }()
		}
		synctest.Wait()
		_, err := f.Do(t.Context(), nil, down)
		require.ErrorIs(t, err, degrade.ErrSpent)
		require.EqualValues(t, 1, f.Snapshot().Refused)
		time.Sleep(2 * time.Second) // until the others are done
	})
}

func TestAPanicOfAFallbackKeepsNoPlace(t *testing.T) {
	calls := 0
	f := newFallback(t, degrade.FallbackConfig{MaxInFlight: 1}, func(context.Context, error) (string, error) {
		if calls++; calls == 1 {
			panic("oops")
		}
		return "default", nil
	})
	require.Panics(t, func() { _, _ = f.Do(t.Context(), nil, down) })
	_, err := f.Do(t.Context(), nil, down)
	require.NoError(t, err)
}

// A breaker as the gate: one request at a time tries the real thing when it may be
// well again, then a share that doubles; a bad result takes everything away again.
func TestTheNormalShareGrowsBackStepByStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, err := circuitbreaker.New(circuitbreaker.Config{Name: "db", OpenFor: time.Minute, Probes: 1},
			circuitbreaker.WithRand(func() float64 { return 0 }))
		require.NoError(t, err)
		f := newFallback(t, degrade.FallbackConfig{}, degrade.Always("default"))
		ill, real := true, 0
		calls := func(n int) int {
			real = 0
			for range n {
				_, err := f.Do(t.Context(), gate, func(context.Context) (string, error) {
					real++
					if ill {
						return "", errDown
					}
					return "real", nil
				})
				require.NoError(t, err)
			}
			return real
		}
		require.Equal(t, 5, calls(1000), "then it is left alone")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 1, calls(1000), "one probe")
		ill = false
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 3, calls(3), "probes that succeed")
		require.Equal(t, 10, calls(1000))
		time.Sleep(time.Second)
		require.Equal(t, 20, calls(1000))
		ill = true
		require.LessOrEqual(t, calls(1000), 20)
		require.Equal(t, circuitbreaker.Open, gate.State())
	})
}
