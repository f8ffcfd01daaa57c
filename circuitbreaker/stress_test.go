package circuitbreaker_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// TestEverythingAtOnce is for the race detector: calls of all endings, readers,
// updates, modes and time, all at once; the breaker must come out working.
func TestEverythingAtOnce(t *testing.T) {
	clock := &manual{}
	var last atomic.Uint64
	b := only(t, detect.Any(detect.Consecutive(3), detect.SlowRatio(time.Second, 0.5, 20), detect.InFlightAge(time.Second, 50)),
		circuitbreaker.WithClock(clock),
		circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) {
			if before := last.Swap(tr.Generation); before >= tr.Generation {
				t.Errorf("generation %d after %d", tr.Generation, before)
			}
		}))
	stop := make(chan struct{})
	var busy sync.WaitGroup
	loop := func(f func()) {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
					runtime.Gosched()
				}
			}
		})
	}
	for range 2 {
		loop(func() { clock.pass(time.Duration(rand.IntN(1000)) * time.Millisecond) })
		loop(func() { _ = b.Snapshot() })
	}
	loop(func() { _ = b.SetMode(circuitbreaker.Mode(rand.IntN(4))) })
	loop(func() {
		if rand.IntN(100) == 0 {
			_ = b.Update(circuitbreaker.Config{Probes: 1 + rand.IntN(5), OpenFor: time.Second}, detect.Consecutive(3))
		}
	})
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			for i := range 5000 {
				if i%2 == 0 {
					_, _ = circuitbreaker.Do(context.Background(), b, func(context.Context) (int, error) {
						if rand.IntN(3) == 0 {
							return 0, errDown
						}
						return 1, nil
					})
				} else if ticket, err := b.Allow(); err == nil && rand.IntN(50) != 0 { // some are never ended
					ticket.Done(circuitbreaker.Outcome(rand.IntN(3)))
				}
			}
		})
	}
	calls.Wait()
	close(stop)
	busy.Wait()

	require.NoError(t, b.SetMode(circuitbreaker.ForcedClosed))
	require.NoError(t, b.SetMode(circuitbreaker.Automatic))
	require.NoError(t, b.Update(circuitbreaker.Config{}, detect.Consecutive(3)))
	trip(t, b)
	clock.pass(time.Hour)
	require.Equal(t, circuitbreaker.HalfOpen, b.State())
}
