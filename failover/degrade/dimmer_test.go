package degrade_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/failover/degrade"
	"github.com/bulwark-go/bulwark/internal/simulate"
)

func newDimmer(t require.TestingT, m *meter) *degrade.Dimmer {
	chance := rand.New(rand.NewPCG(1, 2))
	d, err := degrade.NewDimmer(degrade.DimmerConfig{Name: "test"},
		degrade.WithSignal("load", m.read), degrade.WithRand(chance.Float64))
	require.NoError(t, err)
	return d
}

// offer makes n calls of each class and returns how many of each were let in.
func offer(d *degrade.Dimmer, n int) (in [4]int) {
	for c := range in {
		ctx := degrade.WithCriticality(context.Background(), degrade.Sheddable+degrade.Criticality(c))
		for range n {
			if d.Admit(ctx) == nil {
				in[c]++
			}
		}
	}
	return in
}

func TestEachBadSettingOfADimmerIsNamed(t *testing.T) {
	_, err := degrade.NewDimmer(degrade.DimmerConfig{Target: -1, Period: -1, Proportional: -1, Integral: -1, Rotate: -1}, degrade.WithRand(nil))
	for _, want := range []string{`Name ""`, "Target -1", "Period -1ns", "Proportional -1", "Integral -1", "Rotate -1ns", "signals 0", "WithRand"} {
		require.ErrorContains(t, err, want)
	}
	m := &meter{load: 0.3}
	d := newDimmer(t, m)
	require.ErrorContains(t, d.Update(degrade.DimmerConfig{Target: -1}), "Target -1")
	require.ErrorContains(t, d.Update(degrade.DimmerConfig{Name: "other"}), "Name")
	require.NoError(t, d.Update(degrade.DimmerConfig{Target: 5}))
	offer(d, 100)
	d.Measure()
	require.Equal(t, [4]int{100, 100, 100, 100}, offer(d, 100), "0.3 is little now")
}

// However many are shed, nobody is while somebody less important is let in.
func TestADimmerShedsTheLeastImportantFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &meter{}
		d := newDimmer(t, m)
		for range 30 {
			m.load = rapid.Float64Range(0, 2).Draw(t, "load")
			in := offer(d, 20)
			for c := range in[1:] {
				if in[c+1] < 20 {
					require.Zero(t, in[c], "%v", in)
				}
			}
			d.Measure()
		}
	})
}

func TestADimmerKeepsToASubject(t *testing.T) {
	m := &meter{load: 0.3}
	first, second := newDimmer(t, m), newDimmer(t, m) // two instances of a service
	for _, d := range []*degrade.Dimmer{first, second} {
		for range 1000 {
			require.NoError(t, d.Admit(context.Background()))
		}
		d.Measure()
	}
	in := 0
	for user := range 1000 {
		ctx := degrade.WithSubject(context.Background(), fmt.Sprint("user:", user))
		a, b := first.Admit(ctx), second.Admit(ctx)
		for range 5 {
			require.Equal(t, a, first.Admit(ctx), "all calls of one alike")
		}
		require.Equal(t, a, b, "on all instances")
		if a == nil {
			in++
		}
	}
	require.InDelta(t, 555, in, 50) // exp(0.5 - 0.3 - 3.5*0.3) of them, and 30 % more
}

func TestADimmerWithoutASignalLetsGo(t *testing.T) {
	m := &meter{load: 1}
	d := newDimmer(t, m)
	offer(d, 100)
	d.Measure()
	m.lost = true
	for range 9 {
		offer(d, 100)
		d.Measure()
	}
	require.Zero(t, offer(d, 100)[0], "not at once")
	d.Measure()
	require.Equal(t, [4]int{100, 100, 100, 100}, offer(d, 100))
}

func TestADimmerRunsUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{load: 2}
		d := newDimmer(t, m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		synctest.Wait()
		offer(d, 100)
		time.Sleep(150 * time.Millisecond)
		require.Zero(t, offer(d, 10)[0])
		require.ErrorIs(t, <-done, context.DeadlineExceeded)
		for reading := range d.Readings() {
			require.NoError(t, reading.Gauge.Validate())
		}
	})
}

// A step from half to twice the capacity, with the real controller in the loop: the
// queue stays within a fifth above the target, and near it from the tenth period on.
func TestADimmerSettlesWithinTenPeriods(t *testing.T) {
	const step, target = 10 * time.Second, 0.5
	const seeds = 8
	slowest, highest := 0, 0.0
	mean := make([]float64, 200)
	for seed := range uint64(seeds) {
		for i, s := range simulate.Dimmed(simulate.Step(0.5, 2, step), seed).Run(20 * time.Second) {
			mean[i] += simulate.Load(s) / seeds
		}
	}
	after := mean[step/(100*time.Millisecond):]
	for i, load := range after {
		highest = max(highest, load)
		if load < 0.8*target || load > 1.2*target {
			slowest = i + 1
		}
	}
	overshoot := (highest - target) / target
	t.Logf("step from 0.5 to 2 times the capacity: within 20 %% of the target from period %d on, overshoot %.0f %%; the first periods: %.2f",
		slowest, 100*overshoot, after[:12])
	require.LessOrEqual(t, slowest, 10)
	require.LessOrEqual(t, overshoot, 0.2)
}

// Twice as many calls as the service can do: without control nearly all of the work is
// for callers who have given up; with it the work is for those who still wait, and what
// is critical hardly notices.
func TestOverloadCostsOnlyWhatIsTooMuch(t *testing.T) {
	for _, times := range []float64{1.2, 2, 5} {
		offered := simulate.Step(0.5, times, 10*time.Second)
		length := 25 * time.Second
		without := simulate.Sum(simulate.Uncontrolled(offered, 1).Run(length)[100:])
		with := simulate.Sum(simulate.Dimmed(offered, 1).Run(length)[100:])
		capacity := simulate.Capacity * (length - 10*time.Second).Seconds()
		t.Logf("%.1f times the capacity: goodput %.1f %% of it without control, %.1f %% with; of critical calls %.2f %% and %.2f %% succeed, of others %.1f %% and %.1f %%",
			times, 100*without.Good()/capacity, 100*with.Good()/capacity,
			100*without.Critical(), 100*with.Critical(), 100*without.Optional(), 100*with.Optional())
		if times == 2 {
			require.Less(t, without.Good(), 0.3*capacity, "or there is nothing to prevent")
			require.GreaterOrEqual(t, with.Critical(), 0.999)
			left := capacity - with.CriticalOffered()
			require.GreaterOrEqual(t, with.Optional(), 0.9*left/with.OptionalOffered(), "what capacity is left")
		}
		require.GreaterOrEqual(t, with.Good(), 0.9*min(capacity, times*capacity))
	}
}
