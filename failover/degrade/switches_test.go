package degrade_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/degrade"
	"github.com/bulwark-go/bulwark/failover/degrade/degradetest"
)

func TestMemory(t *testing.T) {
	degradetest.Test(t, func(t *testing.T) degradetest.Store {
		m := &degrade.Memory{}
		return degradetest.Store{Store: m, Pass: func(d time.Duration) {
			require.Eventually(t, func() bool {
				orders, err := m.Load(t.Context(), []string{"writes"})
				return err == nil && !orders[0].Off
			}, time.Minute, d/10)
		}}
	})
}

// failing is a store that can be made to fail.
type failing struct {
	degrade.Memory
	err error
}

func (f *failing) Load(ctx context.Context, names []string) ([]degrade.Order, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Memory.Load(ctx, names)
}

func TestEachBadSettingOfSwitchesIsNamed(t *testing.T) {
	_, err := degrade.NewSwitches(nil, []string{"a", "a", ""}, degrade.SwitchConfig{Period: -1, Timeout: -1, Keep: -2})
	for _, want := range []string{"store <nil>", `names[1] "a"`, `names[2] ""`, "Period -1ns", "Timeout -1ns", "Keep -2ns"} {
		require.ErrorContains(t, err, want)
	}
	s, err := degrade.NewSwitches(&degrade.Memory{}, []string{"a"}, degrade.SwitchConfig{})
	require.NoError(t, err)
	require.ErrorContains(t, s.TurnOff(t.Context(), "b", "", "", 0), `switch "b"`)
	require.ErrorContains(t, s.TurnOff(t.Context(), "a", "", "", time.Hour), "owner")
	require.ErrorContains(t, s.TurnOff(t.Context(), "a", "ann", "", 25*time.Hour), "time 25h0m0s")
	require.ErrorContains(t, s.TurnOn(t.Context(), "b"), `switch "b"`)
	require.ErrorContains(t, s.Shed(t.Context(), 2, "ann", "", time.Hour), "number of switches 2")
	require.True(t, s.On("a"))
	require.True(t, s.On("b"))
}

// One order, and a fleet of fifty follows within a tenth of a second.
func TestAFleetSwitchesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		store := &degrade.Memory{}
		var fleet []*degrade.Switches
		for range 50 {
			s, err := degrade.NewSwitches(store, []string{"edge", "writes"}, degrade.SwitchConfig{})
			require.NoError(t, err)
			fleet = append(fleet, s)
			go func() { _ = s.Run(ctx) }()
			time.Sleep(7 * time.Millisecond) // nobody asks at the same time
		}
		follow := func(want bool) time.Duration {
			begin := time.Now()
			for {
				following := 0
				for _, s := range fleet {
					if s.On("writes") == want {
						following++
					}
				}
				if following == len(fleet) {
					return time.Since(begin)
				}
				time.Sleep(time.Millisecond)
			}
		}
		require.NoError(t, fleet[0].TurnOff(ctx, "writes", "ann", "save reads", time.Minute))
		off := follow(false)
		require.NoError(t, fleet[0].TurnOn(ctx, "writes"))
		on := follow(true)
		t.Logf("50 instances followed within %v and back within %v", off, on)
		require.LessOrEqual(t, max(off, on), 100*time.Millisecond)
		cancel()
		synctest.Wait()
	})
}

func TestTheLeastImportantSwitchesGoFirst(t *testing.T) {
	names := []string{"edge", "writes", "core"}
	s, err := degrade.NewSwitches(&degrade.Memory{}, names, degrade.SwitchConfig{})
	require.NoError(t, err)
	for _, n := range []int{0, 1, 2, 3, 1, 0} {
		require.NoError(t, s.Shed(t.Context(), n, "ann", "rush", time.Hour))
		for i, name := range names {
			require.Equal(t, i >= n, s.On(name), "%s with %d shed", name, n)
		}
	}
	require.NoError(t, s.TurnOff(t.Context(), "core", "ben", "fire", time.Hour))
	require.Equal(t, degrade.Order{Off: true, Owner: "ben", Reason: "fire"}, s.Order("core"))
	var values []float64
	for reading := range s.Readings() {
		require.NoError(t, reading.Gauge.Validate())
		values = append(values, reading.Value)
	}
	require.Equal(t, []float64{0, 0, 1}, values)
}

func TestOrdersOutliveTheStoreOnlyForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failing{}
		s, err := degrade.NewSwitches(store, []string{"writes"}, degrade.SwitchConfig{})
		require.NoError(t, err)
		require.NoError(t, s.TurnOff(t.Context(), "writes", "ann", "", time.Hour))
		store.err = errors.New("store is down")
		time.Sleep(59 * time.Second)
		require.ErrorIs(t, s.Refresh(t.Context()), store.err)
		require.False(t, s.On("writes"))
		time.Sleep(time.Second)
		require.ErrorIs(t, s.Refresh(t.Context()), store.err)
		require.True(t, s.On("writes"))
		store.err = nil
		require.NoError(t, s.Refresh(t.Context()))
		require.False(t, s.On("writes"))
	})
}
