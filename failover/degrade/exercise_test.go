package degrade_test

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/failover/degrade"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
)

func answers(context.Context) (string, error) { return "real", nil }

func registered(t *testing.T, cfg degrade.FallbackConfig, opts ...degrade.FallbackOption) *degrade.Fallback[string] {
	t.Helper()
	cfg.Cost = degrade.Cached
	f, err := degrade.NewFallback(cfg, degrade.Always("default"), opts...)
	require.NoError(t, err)
	return f
}

// While all is well, a fallback runs on its share of the calls, and nobody sees it.
func TestAFallbackIsExercisedOnItsShare(t *testing.T) {
	const calls = 100_000
	for _, share := range []float64{0.001, 0.005, 0.01} {
		f := newFallback(t, degrade.FallbackConfig{Exercise: share}, degrade.Always("default"))
		for range calls {
			r, err := f.Do(t.Context(), nil, answers)
			require.NoError(t, err)
			require.NoError(t, r.Degraded())
		}
		s := f.Snapshot()
		t.Logf("share %.3f: exercised on %d of %d calls", share, s.Exercised, calls)
		require.InDelta(t, share*calls, float64(s.Exercised), 1)
		require.Zero(t, s.Used)
		require.False(t, s.Last.IsZero())
	}
	f := newFallback(t, degrade.FallbackConfig{Exercise: -1}, degrade.Always("default"))
	for range 1000 {
		_, _ = f.Do(t.Context(), nil, answers)
	}
	require.Zero(t, f.Snapshot().Exercised)
}

// What goes wrong in an exercise is counted, and no concern of the caller's.
func TestAnExerciseHarmsNobody(t *testing.T) {
	for _, broken := range []func(context.Context, error) (string, error){
		func(context.Context, error) (string, error) { return "", errDown },
		func(context.Context, error) (string, error) { panic("oops") },
	} {
		f := newFallback(t, degrade.FallbackConfig{Exercise: 1}, broken)
		r, err := f.Do(t.Context(), nil, answers)
		require.NoError(t, err)
		require.Equal(t, "real", r.Value())
		require.EqualValues(t, 1, f.Snapshot().Failed)
		require.True(t, f.Snapshot().Last.IsZero(), "it did not answer")
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFallback(t, degrade.FallbackConfig{Exercise: 1}, degrade.Always("default"))
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		_, err := f.Do(ctx, nil, func(context.Context) (string, error) { time.Sleep(60 * time.Millisecond); return "real", nil })
		require.NoError(t, err)
		require.Zero(t, f.Snapshot().Exercised, "no time for it")
	})
}

func TestASilentFallbackIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := observetest.NewRecorder(t)
		r, err := degrade.NewRegistry(degrade.RegistryConfig{}, degrade.WithObserver(recorder))
		require.NoError(t, err)
		used, idle := registered(t, degrade.FallbackConfig{Name: "used", StandsInFor: []string{"db"}}),
			registered(t, degrade.FallbackConfig{Name: "idle", StandsInFor: []string{"db"}})
		require.NoError(t, r.Register(used, idle))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		for range 24 {
			_, err := used.Do(ctx, nil, down)
			require.NoError(t, err)
			time.Sleep(time.Hour)
		}
		require.Empty(t, recorder.Ended("degrade", "fallback_silent"))
		time.Sleep(90 * time.Minute)
		events := recorder.Ended("degrade", "fallback_silent")
		require.NotEmpty(t, events)
		require.Equal(t, "idle", events[0].Label("fallback"))
		for _, e := range events {
			require.Equal(t, "idle", e.Label("fallback"))
		}
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.Equal(t, []string{"idle"}, r.Check(t.Context()))
		_, err = idle.Answer(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, r.Check(t.Context()))
		for reading := range r.Readings() {
			require.NoError(t, reading.Gauge.Validate())
			require.LessOrEqual(t, reading.Value, 26*3600.0)
		}
	})
}

func TestARegistryRefusesWhatLeadsBack(t *testing.T) {
	_, err := degrade.NewFallback(degrade.FallbackConfig{Name: "self", Cost: degrade.Remote, StandsInFor: []string{"db"}, Uses: []string{"db"}}, degrade.Always(0))
	require.ErrorContains(t, err, `Uses "db"`)

	r, err := degrade.NewRegistry(degrade.RegistryConfig{})
	require.NoError(t, err)
	chain := func(name, from string, to ...string) *degrade.Fallback[string] {
		return registered(t, degrade.FallbackConfig{Name: name, StandsInFor: []string{from}, Uses: to})
	}
	require.NoError(t, r.Register(chain("a", "db", "cache"), chain("b", "cache", "disk")))
	require.ErrorContains(t, r.Register(chain("c", "disk", "db")), `"a": leads back to "db"`)
	require.ErrorContains(t, r.Register(chain("a", "queue")), `fallback "a": must be registered once`)
	require.Len(t, r.Snapshot(), 2, "none of a refused lot")
	require.NoError(t, r.Register(chain("c", "queue", "db")))
	for _, s := range r.Snapshot() {
		require.Equal(t, degrade.Cached, s.Cost, "all of them have one")
	}
}

// Any caches and writers that take only what is fresh never see a stand-in, whatever
// fails when.
func TestNoStandInReachesACache(t *testing.T) {
	escapes, stored := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		f, err := degrade.NewFallback(degrade.FallbackConfig{Name: "any", Cost: degrade.Constant, Exercise: 0.5,
			MaxInFlight: rapid.IntRange(1, 3).Draw(t, "in flight")}, degrade.Always("stand-in"))
		require.NoError(t, err)
		for range 200 {
			fails := rapid.Bool().Draw(t, "fails")
			r, err := f.Do(context.Background(), nil, func(context.Context) (string, error) {
				if fails {
					return "broken", errDown
				}
				return "real", nil
			})
			if value, ok := r.Fresh(); ok && err == nil {
				stored++
				if value != "real" {
					escapes++
				}
			}
		}
	})
	t.Logf("%d values kept, %d of them stand-ins", stored, escapes)
	require.Positive(t, stored)
	require.Zero(t, escapes)
}

// It is the compiler that keeps a marked result out of what takes a value.
func TestAMarkedResultIsNoValue(t *testing.T) {
	out, err := exec.Command("go", "build", "-o", t.TempDir(), "./testdata/escape").CombinedOutput()
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "%v: %s", err, out)
	require.Contains(t, string(out), "cannot use page (variable of struct type degrade.Result[string]) as string value")
	require.Contains(t, string(out), "page.value undefined")
}

func TestEverythingInDegradeIsObserved(t *testing.T) {
	recorder := observetest.NewRecorder(t)
	seen := degrade.WithObserver(recorder)
	f := registered(t, degrade.FallbackConfig{Name: "f", Exercise: 1, MaxInFlight: 1, StandsInFor: []string{"db"}}, seen)
	_, err := f.Do(t.Context(), nil, answers)
	require.NoError(t, err)
	require.Equal(t, "exercise", recorder.Only("degrade", "fallback").Label("why"))
	recorder.Reset()
	_, err = f.Do(t.Context(), nil, down)
	require.NoError(t, err)
	asked := recorder.Only("degrade", "fallback")
	require.Equal(t, "failure", asked.Label("why"))
	require.Equal(t, observe.Degraded, asked.Result.Outcome)

	l := newLevels(t, &meter{load: 2}, seen)
	l.Measure()
	change := recorder.Only("degrade", "level_change")
	require.Equal(t, []string{"test", "0", "1"}, []string{change.Label("name"), change.Label("from"), change.Label("to")})
	_, err = l.Enter(degrade.WithCriticality(t.Context(), degrade.Sheddable))
	require.ErrorIs(t, err, degrade.ErrShed)
	values := map[string]float64{}
	for reading := range l.Readings() {
		require.NoError(t, reading.Gauge.Validate())
		values[reading.Values[1]] = reading.Value
	}
	require.Equal(t, map[string]float64{"": 1, "sheddable": 1, "tolerant": 0, "critical": 0, "vital": 0}, values)

	s, err := degrade.NewSwitches(&degrade.Memory{}, []string{"writes"}, degrade.SwitchConfig{}, seen)
	require.NoError(t, err)
	require.NoError(t, s.TurnOff(t.Context(), "writes", "ann", "", time.Hour))
	require.NoError(t, s.Refresh(t.Context()))
	require.Equal(t, "off", recorder.Only("degrade", "switch_change").Label("to"))
	for _, record := range recorder.Records() {
		require.NoError(t, record.Kind.Validate())
	}
}
