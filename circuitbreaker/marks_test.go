package circuitbreaker_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

// trio is the interface that many interceptors expect.
type trio interface {
	Allow() error
	MarkSuccess()
	MarkFailed()
}

var _ trio = (*circuitbreaker.Marks)(nil)

func TestMarksEndOneCallEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		m := circuitbreaker.NewMarks(b)
		for range 2 {
			require.NoError(t, m.Allow())
			m.MarkFailed()
		}
		m.MarkFailed() // nobody was admitted
		require.Equal(t, circuitbreaker.Closed, b.State())
		require.NoError(t, m.Allow())
		m.MarkFailed()
		require.ErrorIs(t, m.Allow(), circuitbreaker.ErrOpen)
		m.MarkSuccess() // nor now
		time.Sleep(10 * time.Second)
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		for range 3 {
			require.NoError(t, m.Allow())
		}
		require.Error(t, m.Allow())
		for range 3 {
			m.MarkSuccess()
		}
		require.Equal(t, circuitbreaker.Ramping, b.State())
		require.Zero(t, b.Snapshot().Misused)
	})
}

func TestAMarkForACallFromBeforeTheOutageIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		m := circuitbreaker.NewMarks(b)
		for range 10 {
			require.NoError(t, m.Allow())
		}
		halfOpen(t, b)
		require.NoError(t, m.Allow())
		for range 10 {
			m.MarkSuccess()
		}
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		require.Equal(t, 1, b.Snapshot().ProbesInFlight)
		m.MarkFailed()
		require.Zero(t, b.Snapshot().ProbesInFlight)
	})
}

func TestForgottenMarksAreBounded(t *testing.T) {
	b := newBreaker(t, circuitbreaker.Config{})
	m := circuitbreaker.NewMarks(b)
	for range 20_000 {
		require.NoError(t, m.Allow())
	}
	for range 4096 {
		m.MarkSuccess()
	}
	m.MarkFailed()
	m.MarkFailed()
	m.MarkFailed() // none is left to be a failure
	require.Equal(t, circuitbreaker.Closed, b.State())
}

func TestMarksAreSafeForConcurrentUse(t *testing.T) {
	b := newBreaker(t, circuitbreaker.Config{})
	m := circuitbreaker.NewMarks(b)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if m.Allow() == nil {
					m.MarkSuccess()
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, b.Snapshot().Misused)
}
