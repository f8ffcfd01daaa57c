package circuitbreaker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

func TestForcedOpenRefusesUntilItEndsAndThenProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		before := admitted(t, b)
		require.NoError(t, b.SetMode(circuitbreaker.ForcedOpen))
		open := refused(t, b)
		require.Zero(t, open.RetryAfter(), "nobody knows")
		require.Contains(t, open.Error(), "forced-open")
		time.Sleep(24 * time.Hour)
		refused(t, b)
		before.Done(circuitbreaker.Success)
		require.NoError(t, b.SetMode(circuitbreaker.Automatic))
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		for range 3 {
			admitted(t, b).Done(circuitbreaker.Success)
		}
		require.Equal(t, circuitbreaker.Ramping, b.State())
	})
}

func TestForcedClosedAdmitsAllAndJudgesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		trip(t, b)
		require.NoError(t, b.SetMode(circuitbreaker.ForcedClosed))
		for range 100 {
			admitted(t, b).Done(circuitbreaker.Failure)
		}
		time.Sleep(time.Hour)
		admitted(t, b)
		require.NoError(t, b.SetMode(circuitbreaker.Automatic))
		require.Equal(t, circuitbreaker.Closed, b.State())
		trip(t, b)
	})
}

func TestAShadowDecidesButRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		require.NoError(t, b.SetMode(circuitbreaker.Shadow))
		trip(t, b)
		for range 50 {
			admitted(t, b).Done(circuitbreaker.Failure) // would not have been made
		}
		require.EqualValues(t, 50, b.Snapshot().Shadowed)
		time.Sleep(10 * time.Second)
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		for range 3 {
			admitted(t, b).Done(circuitbreaker.Success)
		}
		require.Equal(t, circuitbreaker.Ramping, b.State())
		for range 100 {
			admitted(t, b).Done(circuitbreaker.Success)
		}
		require.EqualValues(t, 50+99, b.Snapshot().Shadowed)
		require.NoError(t, b.SetMode(circuitbreaker.Automatic))
		require.Equal(t, circuitbreaker.Ramping, b.State(), "what the shadow found holds")
		refused(t, b)
	})
}

func TestAModeOutOfRangeIsRefused(t *testing.T) {
	b := newBreaker(t, circuitbreaker.Config{})
	require.EqualError(t, b.SetMode(17), "circuitbreaker: mode 17: must be below 4")
	require.NoError(t, b.SetMode(circuitbreaker.Automatic))
	require.EqualValues(t, 1, b.Snapshot().Generation, "no change is no transition")
}

func TestSettingsAreReplacedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		admitted(t, b).Done(circuitbreaker.Failure)
		old := admitted(t, b)
		require.NoError(t, b.Update(circuitbreaker.Config{OpenFor: time.Minute, Probes: 1, ProbeSuccesses: 1, RampStep: time.Hour}, detect.Consecutive(2)))
		old.Done(circuitbreaker.Failure)
		admitted(t, b).Done(circuitbreaker.Failure)
		require.Equal(t, circuitbreaker.Closed, b.State(), "what was heard before is forgotten")
		admitted(t, b).Done(circuitbreaker.Failure)
		require.Equal(t, time.Minute, b.Snapshot().OpenFor)
		time.Sleep(time.Minute)
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		hung := admitted(t, b)
		refused(t, b)
		require.NoError(t, b.Update(circuitbreaker.Config{Probes: 2, ProbeSuccesses: 1, RampStep: time.Second}))
		admitted(t, b)
		hung.Done(circuitbreaker.Failure)
		admitted(t, b).Done(circuitbreaker.Success)
		require.Equal(t, circuitbreaker.Ramping, b.State())
		time.Sleep(3 * time.Second)
		require.InDelta(t, 0.08, b.Snapshot().Share, 1e-6)
		require.NoError(t, b.Update(circuitbreaker.Config{RampStep: time.Minute}))
		require.InDelta(t, 0.08, b.Snapshot().Share, 1e-6)
		time.Sleep(time.Minute)
		require.InDelta(t, 0.16, b.Snapshot().Share, 1e-6)
	})
}

// Who changes a threshold must not lose detectors by it.
func TestAnUpdateWithoutDetectorsKeepsThoseThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := circuitbreaker.New(circuitbreaker.Config{Name: "x"}, after(2))
		require.NoError(t, err)
		g := newGroup(t, 10, after(1))
		early := get(t, g, "early")
		require.NoError(t, b.Update(circuitbreaker.Config{Probes: 1}))
		require.NoError(t, g.Update(circuitbreaker.Config{Probes: 1}))
		admitted(t, b).Done(circuitbreaker.Failure)
		require.Equal(t, circuitbreaker.Closed, b.State())
		admitted(t, b).Done(circuitbreaker.Failure)
		require.Equal(t, circuitbreaker.Open, b.State())
		for _, b := range []*circuitbreaker.Breaker{early, get(t, g, "late")} {
			admitted(t, b).Done(circuitbreaker.Failure)
			require.Equal(t, circuitbreaker.Open, b.State())
		}
		require.NoError(t, g.Update(circuitbreaker.Config{Probes: 2}, detect.Consecutive(3)))
		require.NoError(t, g.Update(circuitbreaker.Config{Probes: 3}))
		b = get(t, g, "later")
		admitted(t, b).Done(circuitbreaker.Failure)
		require.Equal(t, circuitbreaker.Closed, b.State(), "the last ones given")
	})
}

func TestNilOptionsAreRefused(t *testing.T) {
	for name, opt := range map[string]circuitbreaker.Option{
		"option 1":       nil,
		"WithDetector":   circuitbreaker.WithDetector(nil),
		"WithClassifier": circuitbreaker.WithClassifier(nil),
		"WithClock":      circuitbreaker.WithClock(nil),
		"WithRand":       circuitbreaker.WithRand(nil),
		"OnTransition":   circuitbreaker.OnTransition(nil),
	} {
		_, err := circuitbreaker.New(circuitbreaker.Config{Name: "x"}, after(1), opt)
		require.ErrorContains(t, err, name)
		_, err = circuitbreaker.NewGroup(1, circuitbreaker.Config{Name: "x"}, after(1), opt)
		require.ErrorContains(t, err, name)
	}
	b := newBreaker(t, circuitbreaker.Config{})
	require.ErrorContains(t, b.Update(circuitbreaker.Config{}, nil), "WithDetector")
	require.EqualValues(t, 1, b.Snapshot().Generation)
}

func TestABadUpdateLeavesTheOldSettings(t *testing.T) {
	b := newBreaker(t, circuitbreaker.Config{})
	err := b.Update(circuitbreaker.Config{Name: "other", Probes: 1000}, detect.Consecutive(-1))
	require.ErrorContains(t, err, `Name "other": must stay "test"`)
	require.ErrorContains(t, err, "Probes 1000: must be between 1 and 64")
	require.ErrorContains(t, err, "consecutive: failures -1")
	require.EqualValues(t, 1, b.Snapshot().Generation)
	trip(t, b)
}

func TestBadSettingsAreAllNamed(t *testing.T) {
	nan := 0.0
	nan /= nan
	_, err := circuitbreaker.New(circuitbreaker.Config{
		OpenFor: -1, MaxOpenFor: 1 << 62, ForgiveAfter: -1, Probes: -1, ProbeSuccesses: -1, ProbeFailures: -1,
		Lease: -1, RampStart: 2, RampStep: -1, RampFailures: -1, RampRatio: nan, CallTimeout: -1, MinBudget: 1 << 62,
	}, circuitbreaker.WithClassifier(nil), circuitbreaker.WithRand(nil), circuitbreaker.WithDetector(nil), circuitbreaker.OnTransition(nil))
	for _, field := range []string{"Name", "OpenFor", "MaxOpenFor", "ForgiveAfter", "Probes", "ProbeSuccesses", "ProbeFailures",
		"Lease", "RampStart", "RampStep", "RampFailures", "RampRatio NaN", "CallTimeout", "MinBudget",
		"WithClassifier", "WithRand", "WithDetector: detect: any: detector 0", "OnTransition"} {
		require.ErrorContains(t, err, "circuitbreaker: "+field)
	}
}

func TestAWindowMustOutlastTheCalls(t *testing.T) {
	_, err := circuitbreaker.New(circuitbreaker.Config{Name: "x", CallTimeout: 6 * time.Second})
	require.ErrorContains(t, err, "detector window 10s: must be at least twice the CallTimeout of 6s")
	_, err = circuitbreaker.New(circuitbreaker.Config{Name: "x", CallTimeout: 6 * time.Second},
		circuitbreaker.WithDetector(detect.ErrorRate(0.5, 20, detect.WithWindow(12*time.Second))))
	require.NoError(t, err)
	_, err = circuitbreaker.New(circuitbreaker.Config{Name: "x", CallTimeout: 5 * time.Second, Lease: 4 * time.Second})
	require.ErrorContains(t, err, "Lease 4s: must be between 5s")
}

func TestAChangeOfModeWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{Lease: time.Minute})
		halfOpen(t, b)
		var under []*circuitbreaker.Ticket
		for range 3 {
			under = append(under, admitted(t, b))
		}
		require.NoError(t, b.SetMode(circuitbreaker.Shadow))
		require.NoError(t, b.SetMode(circuitbreaker.Automatic))
		for range 3 {
			admitted(t, b).Done(circuitbreaker.Success)
		}
		require.Equal(t, circuitbreaker.Ramping, b.State(), "slots of calls that no longer count are free")
		for range 300 {
			if ticket, err := b.Allow(); err == nil {
				under = append(under, &ticket)
			}
		}
		require.NoError(t, b.SetMode(circuitbreaker.Shadow))
		for _, ticket := range under {
			ticket.Done(circuitbreaker.Failure)
		}
		time.Sleep(7 * time.Second)
		require.Equal(t, circuitbreaker.Closed, b.State(), "the ramp does not wait for them")
	})
}
