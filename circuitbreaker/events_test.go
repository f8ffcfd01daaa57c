package circuitbreaker_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

func TestAListenerMayUseTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *circuitbreaker.Breaker
		var seen []string
		b = newBreaker(t, circuitbreaker.Config{}, circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) {
			seen = append(seen, tr.From.String()+" "+tr.To.String()+" "+tr.Mode.String())
			b.State()
			_, _ = b.Allow()
			if tr.To == circuitbreaker.Open && tr.Mode == circuitbreaker.Automatic {
				require.Equal(t, 10*time.Second, tr.OpenFor)
				require.NoError(t, b.SetMode(circuitbreaker.Shadow)) // its event comes after this one
				require.Len(t, seen, 1)
			}
		}))
		trip(t, b)
		require.Equal(t, []string{"closed open automatic", "open open shadow"}, seen)
	})
}

func TestListenersHearOfTransitionsInOrderAndOneAtATime(t *testing.T) {
	var mu sync.Mutex
	var generations []uint64
	inside := 0
	b := newBreaker(t, circuitbreaker.Config{}, circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) {
		mu.Lock()
		if inside++; inside != 1 {
			t.Errorf("%d listeners at a time", inside)
		}
		generations = append(generations, tr.Generation)
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		inside--
		mu.Unlock()
	}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				require.NoError(t, b.SetMode(circuitbreaker.Mode(i%4)))
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.SetMode(circuitbreaker.Automatic))
	for i, gen := range generations {
		require.EqualValues(t, i+2, gen, "every generation once, in order")
	}
	require.EqualValues(t, len(generations)+1, b.Snapshot().Generation)
}

func TestAListenerThatPanicsOrLeavesHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []circuitbreaker.Mode
		first := true
		b := newBreaker(t, circuitbreaker.Config{},
			circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) {
				if tr.Mode == circuitbreaker.Shadow {
					panic("boom")
				}
				if first {
					first = false
					runtime.Goexit()
				}
			}),
			circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) { seen = append(seen, tr.Mode) }))
		require.NoError(t, b.SetMode(circuitbreaker.Shadow))
		require.EqualValues(t, 1, b.Snapshot().ListenerPanics)
		go func() { _ = b.SetMode(circuitbreaker.ForcedClosed) }()
		synctest.Wait()
		require.NoError(t, b.SetMode(circuitbreaker.Automatic))
		require.Equal(t, []circuitbreaker.Mode{circuitbreaker.Shadow, circuitbreaker.Automatic}, seen)
	})
}

func TestRunKeepsTransitionsOnTimeWithoutTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []circuitbreaker.State
		b := newBreaker(t, circuitbreaker.Config{}, circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) { seen = append(seen, tr.To) }))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		ramping(t, b)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		require.Equal(t, circuitbreaker.Closed, seen[len(seen)-1])
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

func TestNamesOfStatesAndModes(t *testing.T) {
	require.Equal(t, "half-open", circuitbreaker.HalfOpen.String())
	require.Equal(t, "unknown", circuitbreaker.State(9).String())
	require.Equal(t, "shadow", circuitbreaker.Shadow.String())
	require.Equal(t, "unknown", circuitbreaker.Mode(9).String())
}
