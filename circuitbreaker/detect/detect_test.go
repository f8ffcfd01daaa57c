package detect_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

func build(t require.TestingT, s detect.Spec) detect.Detector {
	d, err := s.New()
	require.NoError(t, err)
	return d
}

func ill(d detect.Detector, now time.Duration) bool {
	_, yes := d.Ill(now)
	return yes
}

func fail(at time.Duration) detect.Call {
	return detect.Call{At: at, Latency: detect.Untimed, Failed: true}
}
func succeed(at time.Duration) detect.Call { return detect.Call{At: at, Latency: detect.Untimed} }

func took(at, latency time.Duration) detect.Call { return detect.Call{At: at, Latency: latency} }

func TestErrorRateWaitsForEnoughCalls(t *testing.T) {
	d := build(t, detect.ErrorRate(0.5, 20))
	for range 19 {
		require.True(t, d.Record(fail(0)))
	}
	require.False(t, ill(d, 0))
	d.Record(fail(0))
	evidence, yes := d.Ill(0)
	require.True(t, yes)
	require.Equal(t, "error rate 100.0% of 20 calls in 10s", evidence)
}

func TestErrorRateForgetsWhatIsOlderThanItsWindow(t *testing.T) {
	d := build(t, detect.ErrorRate(0.5, 2, detect.WithWindow(time.Minute)))
	d.Record(fail(0))
	d.Record(fail(0))
	require.True(t, ill(d, 59*time.Second))
	require.False(t, ill(d, time.Minute))
	require.Equal(t, time.Minute, d.(detect.Windowed).Window())
}

func TestErrorRateCountsSuccessesHandedOverTogether(t *testing.T) {
	d := build(t, detect.ErrorRate(0.5, 20))
	for range 20 {
		d.Record(fail(0))
	}
	require.False(t, d.Record(detect.Call{Latency: detect.Untimed, Successes: 21}))
	require.False(t, ill(d, 0), "20 of 41 is less than one half")
}

func TestConfidenceWaitsUntilChanceIsRuledOut(t *testing.T) {
	plain := build(t, detect.ErrorRate(0.5, 20))
	sure := build(t, detect.ErrorRate(0.5, 20, detect.WithConfidence(1.96)))
	for i := range 20 {
		c := succeed(0)
		if i < 11 {
			c = fail(0)
		}
		plain.Record(c)
		sure.Record(c)
	}
	require.True(t, ill(plain, 0))
	require.False(t, ill(sure, 0), "11 of 20 may be a base rate of one third")
	for range 15 {
		sure.Record(fail(0))
	}
	require.True(t, ill(sure, 0))
}

func TestErrorRateAgreesWithCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(0.05, 1).Draw(t, "share")
		least := rapid.IntRange(1, 30).Draw(t, "least")
		d := build(t, detect.ErrorRate(share, least))
		good, bad := 0, 0
		for _, failed := range rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(t, "failed") {
			if failed {
				bad++
				d.Record(fail(time.Second))
			} else {
				good++
				d.Record(succeed(time.Second))
			}
			want := good+bad >= least && float64(bad)/float64(good+bad) >= share
			require.Equal(t, want, ill(d, time.Second))
		}
	})
}

func TestConsecutiveStartsOverWithEachSuccess(t *testing.T) {
	d := build(t, detect.Consecutive(3))
	require.False(t, d.Record(fail(0)))
	require.False(t, d.Record(fail(0)))
	require.False(t, d.Record(detect.Call{Successes: 5}))
	d.Record(fail(0))
	d.Record(fail(0))
	require.False(t, ill(d, 0))
	require.True(t, d.Record(fail(0)))
	evidence, yes := d.Ill(0)
	require.True(t, yes)
	require.Equal(t, "3 failures in a row", evidence)
}

func TestSlowRatioCountsOnlyTimedCalls(t *testing.T) {
	d := build(t, detect.SlowRatio(time.Second, 0.5, 4))
	for range 10 {
		require.False(t, d.Record(detect.Call{Latency: detect.Untimed, Successes: 100}))
	}
	d.Record(took(0, 10*time.Millisecond))
	d.Record(took(0, 10*time.Millisecond))
	require.True(t, d.Record(took(0, time.Second)))
	require.False(t, ill(d, 0))
	d.Record(took(0, 2*time.Second))
	require.True(t, ill(d, 0))
	judge := d.(detect.Judge)
	require.True(t, judge.Bad(took(0, time.Second)))
	require.False(t, judge.Bad(took(0, time.Second-1)))
	require.False(t, judge.Bad(succeed(0)))
}

func TestCallsInFlightAreNoticedBeforeTheyEnd(t *testing.T) {
	const age = time.Second
	d := build(t, detect.InFlightAge(age, 10))
	w := d.(detect.Watcher)
	start := 5 * time.Minute
	for i := range 12 {
		w.Begin(start + time.Duration(i)*time.Millisecond)
	}
	require.False(t, ill(d, start+age))
	require.True(t, ill(d, start+age+100*time.Millisecond), "the target hangs with calls of any timeout")
	for i := range 3 {
		w.End(start + time.Duration(i)*time.Millisecond)
	}
	require.False(t, ill(d, start+age+100*time.Millisecond), "nine are fewer than ten")
}

func TestACallThatNeverEndsIsForgotten(t *testing.T) {
	d := build(t, detect.InFlightAge(time.Second, 1))
	w := d.(detect.Watcher)
	w.Begin(0)
	require.True(t, ill(d, 2*time.Second))
	require.False(t, ill(d, 5*time.Second))
	w.Begin(4 * time.Second) // takes the slot of the first
	w.End(0)                 // which belongs to another call now
	require.True(t, ill(d, 6*time.Second))
}

func TestInFlightAgeAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const age, slice = 320 * time.Millisecond, 10 * time.Millisecond
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		d := build(t, detect.InFlightAge(age, limit))
		w := d.(detect.Watcher)
		var running []time.Duration
		var now time.Duration
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 60).Draw(t, "pause")) * time.Millisecond
			if len(running) > 0 && rapid.Bool().Draw(t, "end") {
				i := rapid.IntRange(0, len(running)-1).Draw(t, "which")
				w.End(running[i])
				running = append(running[:i], running[i+1:]...)
			} else {
				w.Begin(now)
				running = append(running, now)
			}
			surely, maybe := 0, 0
			for _, began := range running {
				if old := now - began; old >= age && old < 4*age {
					maybe++
					if old >= age+slice && old < 4*age-slice {
						surely++
					}
				}
			}
			got := ill(d, now)
			require.False(t, got && maybe < limit, "early: %d of %d", maybe, limit)
			require.False(t, !got && surely >= limit, "late: %d of %d", surely, limit)
		}
	})
}

func TestAnyIsTheOrOfItsMembers(t *testing.T) {
	d := build(t, detect.Any(detect.Consecutive(2), detect.SlowRatio(time.Second, 1, 1), detect.InFlightAge(time.Second, 1)))
	require.False(t, ill(d, 0))
	d.(detect.Watcher).Begin(0)
	require.True(t, ill(d, 1100*time.Millisecond))
	d.(detect.Watcher).End(0)
	require.False(t, ill(d, 1100*time.Millisecond))
	require.True(t, d.Record(took(0, time.Second)))
	require.True(t, ill(d, 0))
	require.True(t, d.(detect.Judge).Bad(took(0, time.Second)))
	require.False(t, d.(detect.Judge).Bad(took(0, time.Millisecond)))
	require.True(t, build(t, detect.InFlightAge(time.Second, 1)).(detect.Judge).Bad(took(0, time.Second)))
	require.Equal(t, detect.DefaultWindow, d.(detect.Windowed).Window())
	require.Implements(t, (*detect.Timed)(nil), d)
}

func TestAnyAsksForNoMoreThanItsMembersNeed(t *testing.T) {
	plain := build(t, detect.Any(detect.Consecutive(2), detect.ErrorRate(0.5, 20)))
	require.NotImplements(t, (*detect.Timed)(nil), plain)
	require.NotImplements(t, (*detect.Watcher)(nil), plain)
	timed := build(t, detect.Any(detect.Consecutive(2), detect.LatencyGrowth()))
	require.Implements(t, (*detect.Timed)(nil), timed)
	require.NotImplements(t, (*detect.Watcher)(nil), timed)
	require.Zero(t, timed.(detect.Windowed).Window())
}

func TestBadSettingsAreNamedWithTheirValues(t *testing.T) {
	for _, c := range []struct {
		spec detect.Spec
		want []string
	}{
		{detect.ErrorRate(0, 0), []string{"error rate: share 0:", "minimum calls 0:"}},
		{detect.ErrorRate(1.5, 20), []string{"share 1.5: must be above 0 and at most 1"}},
		{detect.ErrorRate(0.5, 20, detect.WithWindow(time.Millisecond)), []string{"window 1ms: must be between"}},
		{detect.ErrorRate(0.5, 20, detect.WithConfidence(-1)), []string{"confidence -1:"}},
		{detect.SlowRatio(0, 0.5, 20), []string{"slow ratio: slow 0s: must be above 0"}},
		{detect.SlowRatio(time.Hour, 0.5, 20), []string{"slow 1h0m0s: must be below the window of 10s"}},
		{detect.Consecutive(0), []string{"consecutive: failures 0: must be at least 1"}},
		{detect.InFlightAge(0, 0), []string{"in-flight age: age 0s:", "calls 0:"}},
		{detect.CPU(nil, 2), []string{"CPU: node", "share 2:"}},
		{detect.Any(nil, detect.Consecutive(1)), []string{"any: detector 0: must be given"}},
		{detect.Any(), []string{"needs at least one detector"}},
		{detect.Any(detect.Consecutive(0), detect.ErrorRate(2, 1)), []string{"consecutive", "error rate"}},
	} {
		_, err := c.spec.New()
		for _, want := range c.want {
			require.ErrorContains(t, err, want)
		}
	}
}
