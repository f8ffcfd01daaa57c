package degrade_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/failover/degrade"
)

// meter is a signal that tests set.
type meter struct {
	load float64
	lost bool
}

func (m *meter) read() (float64, bool) { return m.load, !m.lost }

func newLevels(t require.TestingT, m *meter, opts ...degrade.Option) *degrade.Levels {
	l, err := degrade.NewLevels(degrade.Config{Name: "test"}, append(opts, degrade.WithSignal("load", m.read))...)
	require.NoError(t, err)
	return l
}

// measure lets so many periods pass.
func measure(l *degrade.Levels, periods int) {
	for range periods {
		l.Measure()
		time.Sleep(time.Second)
	}
}

func TestEachBadSettingOfLevelsIsNamed(t *testing.T) {
	_, err := degrade.NewLevels(degrade.Config{Enter: []float64{0.5, 0.4}, Leave: 1, Dwell: -1, Period: -1},
		degrade.WithSignal("", nil), degrade.OnChange(nil))
	for _, want := range []string{`Name ""`, "Enter[1] 0.4", "Leave 1", "Dwell -1ns", "Period -1ns", `WithSignal "": must be given a function`, "WithSignal 0", "OnChange 0"} {
		require.ErrorContains(t, err, want)
	}
	_, err = degrade.NewLevels(degrade.Config{Name: "many", Enter: []float64{1, 2, 3, 4}})
	require.ErrorContains(t, err, "Enter 4")
}

func TestHighLoadIsAnsweredAtTheNextMeasurement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{load: 0.5}
		l := newLevels(t, m)
		measure(l, 5)
		require.Zero(t, l.Level())
		m.load = 5
		l.Measure()
		require.Equal(t, 1, l.Level())
		measure(l, 29)
		require.Equal(t, 1, l.Level(), "one level in a dwell")
		measure(l, 2)
		require.Equal(t, 2, l.Level())
	})
}

// Whenever between two measurements the load jumps, Run has answered within two.
func TestLevelsAnswerWithinTwoPeriods(t *testing.T) {
	slowest := time.Duration(0)
	for at := 3 * time.Second; at < 12*time.Second; at += 470 * time.Millisecond { // at any phase
		synctest.Test(t, func(t *testing.T) {
			var load atomic.Int64
			var answered time.Time
			l, err := degrade.NewLevels(degrade.Config{Name: "test"},
				degrade.WithSignal("load", func() (float64, bool) { return float64(load.Load()), true }),
				degrade.OnChange(func(degrade.Change) { answered = time.Now() }))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			done := make(chan error)
			go func() { done <- l.Run(ctx) }()
			time.Sleep(at)
			begin := time.Now()
			load.Store(2)
			require.ErrorIs(t, <-done, context.DeadlineExceeded)
			require.Equal(t, 1, l.Level())
			slowest = max(slowest, answered.Sub(begin))
		})
	}
	t.Logf("periods of 1 s: answered within %v", slowest)
	require.LessOrEqual(t, slowest, 2*time.Second)
}

// A load that comes and goes, whatever its period, moves the level at most once in a
// dwell.
func TestLevelsDoNotFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worst := 0
		for period := 1; period <= 90; period++ {
			m := &meter{}
			var at []time.Time
			l := newLevels(t, m, degrade.OnChange(func(degrade.Change) { at = append(at, time.Now()) }))
			for second := range 1200 {
				m.load = 0.1
				if second/period%2 == 0 {
					m.load = 2
				}
				measure(l, 1)
			}
			for i := range at[1:] {
				require.GreaterOrEqual(t, at[i+1].Sub(at[i]), 30*time.Second, "period %d", period)
			}
			worst = max(worst, len(at))
		}
		t.Logf("at most %d changes in 1200 s of square waves with periods from 2 s to 180 s", worst)
	})
}

func TestALevelIsLeftOnlyWellBelowWhereItIsEntered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{load: 0.85}
		l := newLevels(t, m)
		l.Measure()
		m.load = 0.65 // below 0.8, above 0.75 × 0.8
		measure(l, 1000)
		require.Equal(t, 1, l.Level())
		m.load = 0.5
		measure(l, 29)
		m.load = 0.65 // not low for a whole dwell
		measure(l, 1)
		m.load = 0.5
		measure(l, 29)
		require.Equal(t, 1, l.Level())
		measure(l, 1)
		require.Zero(t, l.Level())
	})
}

func TestALostSignalKeepsTheLevelForADwell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{load: 2}
		l := newLevels(t, m)
		measure(l, 1)
		m.lost = true
		measure(l, 29)
		require.Equal(t, 1, l.Level())
		measure(l, 1)
		require.Zero(t, l.Level())
	})
}

// For any load: a level lasts a dwell, moves by one, rises only when the load is where
// it begins and falls only when it is below where it is left.
func TestLevelsFollowTheLoad(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		loads := rapid.SliceOfN(rapid.Float64Range(0, 1.5), 1, 300).Draw(rt, "loads")
		synctest.Test(t, func(t *testing.T) {
			enter := []float64{0.8, 0.9, 1}
			m := &meter{}
			l := newLevels(t, m)
			var changed time.Time
			for _, load := range loads {
				m.load = load
				before := l.Level()
				l.Measure()
				if after := l.Level(); after != before {
					if !changed.IsZero() {
						require.GreaterOrEqual(t, time.Since(changed), 30*time.Second)
					}
					changed = time.Now()
					if after > before {
						require.Equal(t, before+1, after)
						require.GreaterOrEqual(t, load, enter[before])
					} else {
						require.Equal(t, before-1, after)
						require.Less(t, load, 0.75*enter[after])
					}
				}
				time.Sleep(4 * time.Second)
			}
		})
	})
}

func TestAnOverrideEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		var reasons []string
		l := newLevels(t, m, degrade.OnChange(func(c degrade.Change) { reasons = append(reasons, c.Reason) }))
		require.ErrorContains(t, l.Override(4, "", 48*time.Hour), "owner")
		require.NoError(t, l.Override(3, "ann", time.Minute))
		measure(l, 59)
		require.Equal(t, 3, l.Level())
		require.Equal(t, "ann", l.Snapshot().Owner)
		measure(l, 2)
		require.Zero(t, l.Level())
		require.Empty(t, l.Snapshot().Owner)

		require.NoError(t, l.Override(2, "ben", time.Hour))
		l.Release()
		require.Zero(t, l.Level())
		require.Equal(t, []string{"by hand: ann", "load at 0.00", "by hand: ben", "by hand no longer: ben"}, reasons)
	})
}

func TestThresholdsOfLevelsChangeWhileTheyRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{load: 0.6}
		l := newLevels(t, m)
		require.ErrorContains(t, l.Update(degrade.Config{Name: "other"}), "must stay")
		require.ErrorContains(t, l.Update(degrade.Config{Leave: 2}), "Leave 2")
		measure(l, 1)
		require.Zero(t, l.Level())
		require.NoError(t, l.Update(degrade.Config{Enter: []float64{0.5, 0.6}}))
		measure(l, 31)
		require.Equal(t, 2, l.Level())
		require.NoError(t, l.Update(degrade.Config{Enter: []float64{0.5}}))
		require.Equal(t, 1, l.Level())
		require.Error(t, l.Override(2, "ann", time.Hour))
	})
}

func TestAListenerMayUseTheLevels(t *testing.T) {
	var l *degrade.Levels
	var seen []int
	l = newLevels(t, &meter{load: 2}, degrade.OnChange(func(c degrade.Change) {
		seen = append(seen, c.To)
		if c.To == 1 {
			require.NoError(t, l.Override(3, "listener", time.Hour))
		}
	}))
	l.Measure()
	require.Equal(t, []int{1, 3}, seen)
}

func TestTheLeastImportantIsShedFirst(t *testing.T) {
	l := newLevels(t, &meter{})
	for level := range 4 {
		require.NoError(t, l.Override(level, "test", time.Hour))
		for c := degrade.Sheddable; c <= degrade.Vital; c++ {
			ctx, err := l.Enter(degrade.WithCriticality(context.Background(), c))
			if int(c-degrade.Sheddable) < level {
				require.ErrorIs(t, err, degrade.ErrShed, "%v at %d", c, level)
				continue
			}
			require.NoError(t, err, "%v at %d", c, level)
			require.Equal(t, level, degrade.LevelOf(ctx))
			require.Equal(t, level > 0, degrade.FastPath(ctx))
		}
	}
}

func TestNobodyDownstreamIsMoreImportant(t *testing.T) {
	ctx := degrade.WithCriticality(context.Background(), degrade.Tolerant)
	require.Equal(t, degrade.Tolerant, degrade.CriticalityOf(degrade.WithCriticality(ctx, degrade.Vital)))
	require.Equal(t, degrade.Sheddable, degrade.CriticalityOf(degrade.WithCriticality(ctx, -100)))
	require.Equal(t, degrade.Critical, degrade.CriticalityOf(context.Background()))
	require.Equal(t, degrade.Vital, degrade.CriticalityOf(degrade.WithCriticality(context.Background(), 100)))
}

func TestRunMeasuresUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var load atomic.Int64
		l, err := degrade.NewLevels(degrade.Config{Name: "test"},
			degrade.WithSignal("load", func() (float64, bool) { return float64(load.Load()), true }))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		synctest.Wait()
		load.Store(2)
		time.Sleep(1100 * time.Millisecond)
		require.Equal(t, 1, l.Level())
		require.ErrorIs(t, <-done, context.DeadlineExceeded)
		for reading := range l.Readings() {
			require.NoError(t, reading.Gauge.Validate())
			if reading.Gauge.Name == "level" {
				require.InDelta(t, 1, reading.Value, 0)
			}
		}
	})
}
