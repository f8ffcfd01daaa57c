package circuitbreaker_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

func TestABreakerOpensProbesRampsAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		trip(t, b)
		open := refused(t, b)
		require.Equal(t, 10*time.Second, open.RetryAfter())
		require.False(t, open.Retryable())
		time.Sleep(4 * time.Second)
		require.Equal(t, 6*time.Second, open.RetryAfter())
		require.EqualError(t, open, `circuitbreaker: "test" refused the call: open, next change in 6s`)
		time.Sleep(6 * time.Second)
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		for range 3 {
			admitted(t, b).Done(circuitbreaker.Success)
		}
		require.Equal(t, circuitbreaker.Ramping, b.State())
		for step := range 7 {
			require.InDelta(t, 0.01*float64(int(1)<<step), b.Snapshot().Share, 1e-9)
			time.Sleep(time.Second)
		}
		require.Equal(t, circuitbreaker.Closed, b.State())
		require.InDelta(t, 1, b.Snapshot().Share, 0)
	})
}

func TestAnOpenBreakerProbesWithoutAnybodyAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []circuitbreaker.State
		b := newBreaker(t, circuitbreaker.Config{}, circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) { seen = append(seen, tr.To) }))
		trip(t, b)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, []circuitbreaker.State{circuitbreaker.Open, circuitbreaker.HalfOpen}, seen)
	})
}

func TestAPanicOrGoexitEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		halfOpen(t, b)
		require.PanicsWithValue(t, "boom", func() {
			_, _ = circuitbreaker.Do(t.Context(), b, func(context.Context) (int, error) { panic("boom") })
		})
		require.Equal(t, 0, b.Snapshot().ProbesInFlight)
		for range 2 {
			go func() {
				_, _ = circuitbreaker.Do(t.Context(), b, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
			}()
		}
		synctest.Wait()
		require.Equal(t, circuitbreaker.Open, b.State(), "both count as failures")
	})
}

func TestATicketEndsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		ticket := admitted(t, b)
		for range 10 {
			ticket.Done(circuitbreaker.Failure)
		}
		require.Equal(t, circuitbreaker.Closed, b.State())
		require.EqualValues(t, 9, b.Snapshot().Misused)
		(&circuitbreaker.Ticket{}).Done(circuitbreaker.Failure)
		require.Equal(t, circuitbreaker.Neutral, (&circuitbreaker.Ticket{}).Report(t.Context(), errDown))
	})
}

func TestRefusalsAreNoEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		ramping(t, b)
		passed := 0
		for range 100_000 {
			if ticket, err := b.Allow(); err == nil {
				ticket.Done(circuitbreaker.Success)
				passed++
			}
		}
		require.Equal(t, 1000, passed, "one in a hundred, by credit")
		for range 6 {
			time.Sleep(time.Second)
			for range 10_000 {
				if ticket, err := b.Allow(); err == nil {
					ticket.Done(circuitbreaker.Success)
				}
			}
		}
		time.Sleep(time.Second)
		require.Equal(t, circuitbreaker.Closed, b.State())
	})
}

func TestOnlyTheInjectedClockCounts(t *testing.T) {
	clock := &manual{}
	b := newBreaker(t, circuitbreaker.Config{}, circuitbreaker.WithClock(clock))
	trip(t, b)
	clock.pass(10 * time.Second)
	require.Equal(t, circuitbreaker.HalfOpen, b.State())
}

func TestAClassifierThatPanicsKeepsNoProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{}, circuitbreaker.WithClassifier(
			func(context.Context, error) circuitbreaker.Outcome { panic("classifier") }))
		halfOpen(t, b)
		require.PanicsWithValue(t, "classifier", func() {
			_, _ = circuitbreaker.Do(t.Context(), b, func(context.Context) (int, error) { return 0, nil })
		})
		require.Zero(t, b.Snapshot().ProbesInFlight)
	})
}
