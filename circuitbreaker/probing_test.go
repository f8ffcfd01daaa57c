package circuitbreaker_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

func TestAResultOfAnEarlierGenerationHasNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		var stale []*circuitbreaker.Ticket
		for range 40 {
			stale = append(stale, admitted(t, b))
		}
		halfOpen(t, b)
		for i, ticket := range stale {
			ticket.Done(circuitbreaker.Outcome(i % 3))
		}
		require.Equal(t, circuitbreaker.HalfOpen, b.State(), "successes from before closed it or failures reopened it")
		require.EqualValues(t, 40, b.Snapshot().Stale)

		probe := admitted(t, b)
		for range 2 {
			admitted(t, b).Done(circuitbreaker.Failure)
		}
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		probe.Done(circuitbreaker.Failure)
		require.Equal(t, circuitbreaker.Open, b.State())
	})
}

func TestAStaleResultMintsNoProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		var stale []*circuitbreaker.Ticket
		for range 9 {
			stale = append(stale, admitted(t, b))
		}
		halfOpen(t, b)
		for range 3 {
			admitted(t, b)
		}
		for _, ticket := range stale {
			ticket.Done(circuitbreaker.Success)
			refused(t, b)
		}
		require.Equal(t, 3, b.Snapshot().ProbesInFlight)
	})
}

func TestAStaleProbeCannotCloseALaterGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{Probes: 4, ProbeFailures: 2, ProbeSuccesses: 1})
		halfOpen(t, b)
		old := admitted(t, b)
		admitted(t, b).Done(circuitbreaker.Failure)
		time.Sleep(30 * time.Second) // the other probe is given up
		require.Equal(t, circuitbreaker.Open, b.State())
		time.Sleep(10 * time.Second)
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		admitted(t, b) // has the number that the old one had
		old.Done(circuitbreaker.Success)
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		require.Equal(t, 1, b.Snapshot().ProbesInFlight)
	})
}

func TestProbesInFlightNeverExceedTheirNumber(t *testing.T) {
	b := newBreaker(t, circuitbreaker.Config{OpenFor: time.Millisecond, MaxOpenFor: time.Millisecond, Probes: 3, ProbeFailures: 3})
	trip2 := func() {
		for b.State() == circuitbreaker.Closed {
			admitted(t, b).Done(circuitbreaker.Failure)
		}
	}
	trip2()
	require.Eventually(t, func() bool { return b.State() == circuitbreaker.HalfOpen }, 10*time.Second, time.Millisecond)
	var mu sync.Mutex
	passed := 0
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if _, err := b.Allow(); err == nil {
				mu.Lock()
				passed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 3, passed, "of 1000 callers at once")
}

func TestATargetThatIsStillDownCostsNoMoreThanItsProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{Probes: 3})
		halfOpen(t, b)
		calls := 0
		var under []*circuitbreaker.Ticket
		for b.Standing() == circuitbreaker.HalfOpen {
			for ticket, err := b.Allow(); err == nil; ticket, err = b.Allow() {
				calls++
				under = append(under, &ticket)
			}
			under[0].Done(circuitbreaker.Failure)
			under = under[1:]
		}
		require.Equal(t, circuitbreaker.Open, b.State())
		require.Equal(t, 3, calls)
	})
}

func TestProbesThatNeverAnswerAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{Lease: 5 * time.Second})
		halfOpen(t, b)
		var hung []*circuitbreaker.Ticket
		for range 3 {
			hung = append(hung, admitted(t, b))
		}
		require.Zero(t, refused(t, b).RetryAfter(), "an answer may come at any moment")
		require.NotContains(t, refused(t, b).Error(), "next change")
		time.Sleep(5*time.Second - 1)
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		time.Sleep(time.Nanosecond)
		require.Equal(t, circuitbreaker.Open, b.State())
		require.EqualValues(t, 3, b.Snapshot().Lost)
		hung[0].Done(circuitbreaker.Success)
		require.Equal(t, circuitbreaker.Open, b.State())
	})
}

func TestAProbeGivenUpFreesItsSlotOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{Probes: 2, ProbeFailures: 3, Lease: time.Second})
		halfOpen(t, b)
		hung := admitted(t, b)
		time.Sleep(time.Second)
		require.Equal(t, 0, b.Snapshot().ProbesInFlight)
		admitted(t, b)
		admitted(t, b)
		hung.Done(circuitbreaker.Neutral)
		require.Equal(t, 2, b.Snapshot().ProbesInFlight)
		refused(t, b)
	})
}

func TestACancelledProbeFreesItsSlotWithoutAVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		halfOpen(t, b)
		for range 50 {
			admitted(t, b).Done(circuitbreaker.Neutral)
		}
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		require.Zero(t, b.Snapshot().ProbesInFlight)
	})
}
