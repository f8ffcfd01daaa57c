package circuitbreaker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/observe"
)

func newGroup(t testing.TB, capacity int, opts ...circuitbreaker.Option) *circuitbreaker.Group {
	t.Helper()
	g, err := circuitbreaker.NewGroup(capacity, circuitbreaker.Config{Name: "test", OpenFor: 10 * time.Second, Probes: 3},
		append([]circuitbreaker.Option{after(3), steady()}, opts...)...)
	require.NoError(t, err)
	return g
}

func get(t testing.TB, g *circuitbreaker.Group, key string) *circuitbreaker.Breaker {
	t.Helper()
	b, err := g.Get(key)
	require.NoError(t, err)
	return b
}

func TestOneKeysTroubleIsNotAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 10)
		trip(t, get(t, g, "shard-1"))
		require.EqualError(t, refused(t, get(t, g, "shard-1")), `circuitbreaker: "test/shard-1" refused the call: open, next change in 10s`)
		admitted(t, get(t, g, "shard-2")).Done(circuitbreaker.Success)
		require.Same(t, get(t, g, "shard-2"), get(t, g, "shard-2"))
		require.Equal(t, "shard-1", get(t, g, "shard-1").Snapshot().Key)
	})
}

func TestAGroupNeverHoldsMoreThanItsCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 8)
		for i := range 8 {
			trip(t, get(t, g, fmt.Sprint(i)))
		}
		_, err := g.Get("one more")
		require.ErrorIs(t, err, circuitbreaker.ErrFull, "none that is open may go")
		time.Sleep(10 * time.Second)
		b := get(t, g, "3")
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		for range 3 {
			admitted(t, b).Done(circuitbreaker.Success)
		}
		time.Sleep(7 * time.Second)
		require.Equal(t, circuitbreaker.Closed, b.State())
		_, err = g.Get("one more")
		require.ErrorIs(t, err, circuitbreaker.ErrFull, "it failed a moment ago")
		time.Sleep(time.Minute)
		get(t, g, "one more")
		require.Equal(t, 8, g.Len())
		for i := range 1000 {
			get(t, g, fmt.Sprint("new", i))
			require.Equal(t, 8, g.Len())
		}
		require.Equal(t, circuitbreaker.HalfOpen, get(t, g, "5").State(), "the others are still there")
	})
}

func TestAKeyThatIsNeverCalledAgainMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 2)
		trip(t, get(t, g, "gone"))
		require.NoError(t, get(t, g, "forced").SetMode(circuitbreaker.ForcedClosed))
		time.Sleep(30 * time.Minute)
		_, err := g.Get("new")
		require.ErrorIs(t, err, circuitbreaker.ErrFull)
		time.Sleep(31 * time.Minute)
		get(t, g, "new")
		require.Equal(t, circuitbreaker.ForcedClosed, get(t, g, "forced").Snapshot().Mode)
		require.Equal(t, 2, g.Len())
	})
}

func TestAGroupIsUpdatedAndForcedAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 10)
		old := get(t, g, "old")
		require.NoError(t, g.Update(circuitbreaker.Config{OpenFor: time.Minute}, detect.Consecutive(1)))
		for _, b := range []*circuitbreaker.Breaker{old, get(t, g, "new")} {
			admitted(t, b).Done(circuitbreaker.Failure)
			require.Equal(t, time.Minute, b.Snapshot().OpenFor)
		}
		require.ErrorContains(t, g.Update(circuitbreaker.Config{Probes: -1}), "Probes -1")
		require.ErrorContains(t, g.SetMode(9), "mode 9")
		require.NoError(t, g.SetMode(circuitbreaker.ForcedClosed))
		admitted(t, old)
		require.NoError(t, g.SetMode(circuitbreaker.ForcedOpen))
		refused(t, get(t, g, "newer"))
		refused(t, old)
	})
}

func TestUpdatesReachBreakersThatAreBeingCreated(t *testing.T) {
	g := newGroup(t, 10_000)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 500 {
				_, err := g.Get(fmt.Sprint(worker, "-", i))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		require.NoError(t, g.SetMode(circuitbreaker.Mode(i%2)*circuitbreaker.Shadow))
	}
	wg.Wait()
	require.NoError(t, g.SetMode(circuitbreaker.Shadow))
	n := 0
	for s := range g.Snapshots() {
		require.Equal(t, circuitbreaker.Shadow, s.Mode)
		n++
	}
	require.Equal(t, 2000, n)
}

func TestReadingsOfAGroupHaveNoKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 10)
		trip(t, get(t, g, "a"))
		get(t, g, "b")
		get(t, g, "c")
		got := map[string]float64{}
		for r := range g.Readings() {
			require.Equal(t, "test", r.Values[0])
			got[r.Values[1]] = r.Value
		}
		require.Equal(t, map[string]float64{"closed": 2, "open": 1, "half-open": 0, "ramping": 0}, got)
		for range g.Readings() {
			break
		}
		for range g.Snapshots() {
			break
		}
	})
}

func TestBadGroupSettingsAreAllNamed(t *testing.T) {
	_, err := circuitbreaker.NewGroup(0, circuitbreaker.Config{}, after(0))
	for _, want := range []string{"capacity 0", "Name", "failures 0"} {
		require.ErrorContains(t, err, want)
	}
}

func TestABreakerOfAGroupCostsLittleMemory(t *testing.T) {
	const keys = 100_000
	g, err := circuitbreaker.NewGroup(keys, circuitbreaker.Config{Name: "test"}, circuitbreaker.WithDetector(detect.ErrorRate(0.5, 20)))
	require.NoError(t, err)
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("upstream-%d", i)
	}
	before := heap()
	for _, name := range names {
		ticket := admitted(t, get(t, g, name))
		ticket.Done(circuitbreaker.Success)
	}
	perKey := (heap() - before) / keys
	runtime.KeepAlive(g)
	t.Logf("%d B per key", perKey)
	require.LessOrEqual(t, perKey, uint64(400))
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestReadingsOfABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		ramping(t, b)
		require.NoError(t, b.SetMode(circuitbreaker.Shadow))
		got := map[string]float64{}
		for r := range b.Readings() {
			require.Equal(t, observe.Values{"test"}, r.Values)
			got[r.Gauge.Name] = r.Value
		}
		require.Equal(t, 3.0, got["state"])
		require.Equal(t, 3.0, got["mode"])
		require.InDelta(t, 0.01, got["share_ratio"], 1e-9)
		th := newThrottle(t, circuitbreaker.ThrottleConfig{})
		for r := range th.Readings() {
			require.InDelta(t, 1, r.Value, 0)
		}
	})
}

// A change that a listener makes while another is under way must not leave one
// part of the breakers in this mode and the rest, and those to come, in that.
func TestTheLastModeOfAGroupHoldsForAllItsBreakers(t *testing.T) {
	var g *circuitbreaker.Group
	changed := false
	g = newGroup(t, 20, circuitbreaker.OnTransition(func(circuitbreaker.Transition) {
		if !changed {
			changed = true
			require.NoError(t, g.SetMode(circuitbreaker.ForcedClosed))
		}
	}))
	for i := range 8 {
		get(t, g, fmt.Sprint(i))
	}
	require.NoError(t, g.SetMode(circuitbreaker.ForcedOpen))
	get(t, g, "new")
	for s := range g.Snapshots() {
		require.Equal(t, circuitbreaker.ForcedClosed, s.Mode, s.Key)
	}
}

// What a package outside needs for breakers of its own is a constructor each, and
// one breaker for all methods is what nobody gets by accident.
func TestEachMethodHasABreakerThatAnyPackageCanBuild(t *testing.T) {
	g := newGroup(t, 10)
	call := func(method string, err error) error {
		_, err = circuitbreaker.Do(t.Context(), get(t, g, method), func(context.Context) (int, error) { return 1, err })
		return err
	}
	for range 3 {
		require.ErrorIs(t, call("/user/Pay", errDown), errDown)
	}
	require.ErrorIs(t, call("/user/Pay", nil), circuitbreaker.ErrOpen)
	require.NoError(t, call("/user/Get", nil), "another method of the same target")

	single := newBreaker(t, circuitbreaker.Config{})
	throttle, err := circuitbreaker.NewThrottle(circuitbreaker.ThrottleConfig{Name: "t"})
	require.NoError(t, err)
	for _, gate := range []circuitbreaker.Gate{single, throttle, circuitbreaker.Observe(single, "b", nil)} {
		admitted(t, gate).Done(circuitbreaker.Success)
	}
	require.NoError(t, circuitbreaker.NewMarks(single).Allow())
	require.Zero(t, (&circuitbreaker.OpenError{}).RetryAfter())
}
