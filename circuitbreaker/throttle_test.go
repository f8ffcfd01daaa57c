package circuitbreaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

func newThrottle(t testing.TB, cfg circuitbreaker.ThrottleConfig, opts ...circuitbreaker.Option) *circuitbreaker.Throttle {
	t.Helper()
	cfg.Name = "test"
	th, err := circuitbreaker.NewThrottle(cfg, opts...)
	require.NoError(t, err)
	return th
}

func share(th *circuitbreaker.Throttle) float64 { return th.Snapshot().Share }

func TestAThrottleDoesNothingWhileEnoughSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(t, circuitbreaker.ThrottleConfig{})
		n := 0
		fourInTen := func() bool { n++; return n%10 >= 4 }
		traffic(th, 1000, 10*time.Second, 0, fourInTen, always(false))
		require.InDelta(t, 1, share(th), 0)
		require.Zero(t, th.Snapshot().Refused)
	})
}

func TestAThrottleFallsToItsFloorWhenNothingSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(t, circuitbreaker.ThrottleConfig{})
		passed, _ := traffic(th, 1000, time.Second, 0, always(false), func() bool { return share(th) <= 0.01 })
		t.Logf("at the floor after %d bad calls", passed)
		require.InDelta(t, 0.01, share(th), 1e-9)
		require.LessOrEqual(t, passed, 100)
		_, err := th.Allow()
		require.ErrorIs(t, err, circuitbreaker.ErrOpen)
		var open *circuitbreaker.OpenError
		require.ErrorAs(t, err, &open)
		require.Greater(t, open.RetryAfter(), time.Duration(0))
		require.NotZero(t, th.Snapshot().Refused)
		passed, _ = traffic(th, 1000, 10*time.Second, 0, always(false), always(false))
		require.InDelta(t, 100, passed, 60, "about one in a hundred goes on asking")
	})
}

func TestAThrottleRecoversInSevenStepsAtAnyRate(t *testing.T) {
	for _, rate := range []int{10, 100, 1000, 10_000} {
		synctest.Test(t, func(t *testing.T) {
			const step = 2 * time.Second
			th := newThrottle(t, circuitbreaker.ThrottleConfig{Step: step})
			for share(th) > 0.01 {
				if ticket, err := th.Allow(); err == nil {
					ticket.Done(circuitbreaker.Failure)
				}
			}
			start := time.Now()
			traffic(th, rate, time.Hour, 100*time.Millisecond, always(true), func() bool { return share(th) == 1 })
			t.Logf("%d calls/s: %v", rate, time.Since(start))
			require.InDelta(t, 7*step, time.Since(start), float64(step))
			time.Sleep(step)
		})
	}
}

func TestAThrottleSettlesWhereTheTargetCopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The target takes 200 calls a second and refuses the others; 1000 come.
		start, second, taken := time.Now(), 0, 0
		healthy := func() bool {
			if now := int(time.Since(start) / time.Second); now != second {
				second, taken = now, 0
			}
			taken++
			return taken <= 200
		}
		th := newThrottle(t, circuitbreaker.ThrottleConfig{})
		traffic(th, 1000, 30*time.Second, 0, healthy, always(false))
		passed, failed := traffic(th, 1000, 60*time.Second, 0, healthy, always(false))
		good := (passed - failed) / 60
		t.Logf("%d good and %d bad calls a second", good, failed/60)
		require.Greater(t, good, 150, "the target is used")
		require.Less(t, failed/60, 450, "at most Factor times what it takes, and the growth")
	})
}

func TestRefusalsOfAThrottleAreNoEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(t, circuitbreaker.ThrottleConfig{})
		for share(th) > 0.01 {
			if ticket, err := th.Allow(); err == nil {
				ticket.Done(circuitbreaker.Failure)
			}
		}
		for range 100_000 {
			if ticket, err := th.Allow(); err == nil {
				ticket.Done(circuitbreaker.Success)
			}
		}
		for range 7 {
			time.Sleep(time.Second)
			share(th)
		}
		require.InDelta(t, 1, share(th), 0, "100 000 refusals do not slow it down")
	})
}

func TestAnswersFromBeforeACutAreStale(t *testing.T) {
	th := newThrottle(t, circuitbreaker.ThrottleConfig{}, circuitbreaker.WithClock(&manual{}))
	var under []*circuitbreaker.Ticket
	for range 100 {
		under = append(under, admitted(t, th))
	}
	for _, ticket := range under {
		ticket.Done(circuitbreaker.Failure)
	}
	require.InDelta(t, 0.5, share(th), 0.01, "one verdict for what was admitted at one share")
	require.EqualValues(t, 90, th.Snapshot().Stale)
	under[0].Done(circuitbreaker.Failure)
	require.EqualValues(t, 1, th.Snapshot().Misused)
}

func TestAThrottleWhoseCallsHangFallsToItsFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(t, circuitbreaker.ThrottleConfig{Lease: 5 * time.Second})
		for range 100 {
			admitted(t, th)
		}
		time.Sleep(6 * time.Second)
		require.InDelta(t, 0.01, share(th), 1e-9)
	})
}

func TestAnIdleThrottleStaysOpenToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(t, circuitbreaker.ThrottleConfig{Step: time.Millisecond})
		admitted(t, th).Done(circuitbreaker.Neutral)
		time.Sleep(24 * time.Hour)
		admitted(t, th).Done(circuitbreaker.Success)
		require.InDelta(t, 1, share(th), 0)
	})
}

func TestAThrottleIsUpdatedWhileItRuns(t *testing.T) {
	th := newThrottle(t, circuitbreaker.ThrottleConfig{}, circuitbreaker.WithClock(&manual{}))
	err := th.Update(circuitbreaker.ThrottleConfig{Name: "other", Factor: 1, MinBudget: time.Hour})
	require.ErrorContains(t, err, `Name "other": must stay "test"`)
	require.ErrorContains(t, err, "Factor 1: must be above 1")
	require.ErrorContains(t, err, "MinBudget 1h0m0s: must stay 20ms")
	require.NoError(t, th.Update(circuitbreaker.ThrottleConfig{Grace: 50, Floor: 0.5}))
	for range 99 {
		admitted(t, th).Done(circuitbreaker.Failure)
	}
	require.InDelta(t, 1, share(th), 0)
	admitted(t, th).Done(circuitbreaker.Failure)
	require.InDelta(t, 0.5, share(th), 1e-9)
}

func TestDoThroughAThrottle(t *testing.T) {
	th := newThrottle(t, circuitbreaker.ThrottleConfig{Grace: 1}, circuitbreaker.WithClock(&manual{}))
	for range 2 {
		_, err := circuitbreaker.Do(t.Context(), th, func(context.Context) (int, error) { return 0, errDown })
		require.Same(t, errDown, err)
	}
	require.Less(t, share(th), 1.0)
}

func TestBadThrottleSettingsAreAllNamed(t *testing.T) {
	_, err := circuitbreaker.NewThrottle(circuitbreaker.ThrottleConfig{Factor: 1, Floor: 2, Step: -1, Grace: -1, Lease: -1},
		circuitbreaker.WithClassifier(nil), circuitbreaker.OnTransition(func(circuitbreaker.Transition) {}))
	for _, field := range []string{"Name", "Factor", "Floor", "Step", "Grace", "Lease", "OnTransition", "WithClassifier"} {
		require.ErrorContains(t, err, "circuitbreaker: "+field)
	}
	_, err = circuitbreaker.NewThrottle(circuitbreaker.ThrottleConfig{Name: "x"}, after(3))
	require.ErrorContains(t, err, "WithDetector : must be left out: a Throttle has none")
	_, err = circuitbreaker.NewThrottle(circuitbreaker.ThrottleConfig{Name: "x"}, steady(), nil)
	require.ErrorContains(t, err, "WithRand : must be left out: a Throttle has no jitter")
	require.ErrorContains(t, err, "option 1: must be given, not nil")
}

func TestTheShareStaysInItsBoundsAndAtMostDoublesInAStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const step = time.Second
		floor := rapid.SampledFrom([]float64{0.01, 0.1, 1}).Draw(t, "floor")
		clock := &manual{}
		th, err := circuitbreaker.NewThrottle(circuitbreaker.ThrottleConfig{
			Name: "x", Floor: floor, Step: step, Lease: 5 * time.Second,
			Factor: rapid.SampledFrom([]float64{1.1, 2, 10}).Draw(t, "factor"),
			Grace:  rapid.IntRange(1, 10).Draw(t, "grace"),
		}, circuitbreaker.WithClock(clock))
		require.NoError(t, err)
		var under []*circuitbreaker.Ticket
		for range rapid.IntRange(1, 40).Draw(t, "rounds") {
			before := share(th)
			for range rapid.IntRange(0, 30).Draw(t, "calls") {
				if ticket, err := th.Allow(); err == nil {
					under = append(under, &ticket)
				}
			}
			for len(under) > 0 && rapid.IntRange(0, 20).Draw(t, "end") > 0 {
				under[0].Done(circuitbreaker.Outcome(rapid.SampledFrom([]uint8{0, 0, 1, 1, 2}).Draw(t, "outcome")))
				under = under[1:]
			}
			pause := time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond
			clock.pass(pause)
			now := share(th)
			require.GreaterOrEqual(t, now, floor-1e-9)
			require.LessOrEqual(t, now, 1.0)
			steps := int(pause/step) + 1
			require.LessOrEqual(t, now, before*float64(int(1)<<steps)+1e-9)
		}
	})
}
