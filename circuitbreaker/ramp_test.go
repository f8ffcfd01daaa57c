package circuitbreaker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

// traffic calls gate rate times a second for that long. Answers come after
// latency, and are good when healthy says so at the time of the call. It returns
// how many calls passed and how many of those failed.
func traffic(gate circuitbreaker.Gate, rate int, span, latency time.Duration, healthy func() bool, until func() bool) (passed, failed int) {
	pause := time.Second / time.Duration(rate)
	for end := time.Now().Add(span); time.Now().Before(end) && !until(); time.Sleep(pause) {
		ticket, err := gate.Allow()
		if err != nil {
			continue
		}
		passed++
		outcome := circuitbreaker.Success
		if !healthy() {
			outcome = circuitbreaker.Failure
			failed++
		}
		if latency == 0 {
			ticket.Done(outcome)
		} else {
			time.AfterFunc(latency, func() { ticket.Done(outcome) })
		}
	}
	return passed, failed
}

func always(yes bool) func() bool { return func() bool { return yes } }

func TestRecoveryTakesSevenStepsAtAnyRate(t *testing.T) {
	for _, rate := range []int{10, 100, 1000, 10_000} {
		synctest.Test(t, func(t *testing.T) {
			const step = 2 * time.Second
			b := newBreaker(t, circuitbreaker.Config{RampStep: step})
			ramping(t, b)
			start := time.Now()
			traffic(b, rate, time.Hour, 100*time.Millisecond, always(true), func() bool { return b.State() == circuitbreaker.Closed })
			took := time.Since(start)
			t.Logf("%d calls/s: %v", rate, took)
			require.InDelta(t, 7*step, took, float64(step))
		})
	}
}

func TestARampIntoADeadTargetStopsAfterAFewCalls(t *testing.T) {
	for _, c := range []struct {
		rate    int
		latency time.Duration
	}{{10, 0}, {1000, 0}, {1000, 200 * time.Millisecond}, {10_000, 500 * time.Millisecond}, {1000, 20 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			const probes = 5
			b := newBreaker(t, circuitbreaker.Config{Probes: probes})
			ramping(t, b)
			_, bad := traffic(b, c.rate, time.Minute, c.latency, always(false), func() bool { return b.State() == circuitbreaker.Open })
			require.Equal(t, circuitbreaker.Open, b.State())
			t.Logf("%d calls/s answered after %v: %d bad calls", c.rate, c.latency, bad)
			require.LessOrEqual(t, bad, c.rate/100+probes)
			time.Sleep(c.latency) // the last answers
		})
	}
}

func TestARampThatIsNotAnsweredOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{Lease: 10 * time.Second})
		ramping(t, b)
		passed, _ := traffic(b, 1000, time.Minute, time.Hour, always(true), func() bool { return b.State() == circuitbreaker.Open })
		require.Equal(t, circuitbreaker.Open, b.State())
		require.Equal(t, "calls in the ramp went unanswered", b.Snapshot().Reason)
		require.LessOrEqual(t, passed, 3, "nobody feeds what hangs")
		time.Sleep(time.Hour)
	})
}

func TestARampBearsItsTargetsOrdinaryErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		ramping(t, b)
		n := 0
		oneInTen := func() bool { n++; return n%10 != 0 }
		_, bad := traffic(b, 1000, time.Minute, 0, oneInTen, func() bool { return b.State() != circuitbreaker.Ramping })
		require.Equal(t, circuitbreaker.Closed, b.State())
		require.Greater(t, bad, 50, "a plain count of failures would have opened it")
	})
}

func TestAWithdrawnCallLeavesNoTraceInTheRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{})
		ramping(t, b)
		for range 100_000 {
			if ticket, err := b.Allow(); err == nil {
				ticket.Done(circuitbreaker.Neutral)
			}
		}
		time.Sleep(7 * time.Second)
		require.Equal(t, circuitbreaker.Closed, b.State())
	})
}

func TestARampGoesOnOnceLateAnswersHaveCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{RampStart: 0.5})
		ramping(t, b)
		var under []*circuitbreaker.Ticket
		for range 6 {
			if ticket, err := b.Allow(); err == nil {
				under = append(under, &ticket)
			}
		}
		time.Sleep(5 * time.Second)
		require.InDelta(t, 0.5, b.Snapshot().Share, 1e-9, "the step waits for its calls")
		for _, ticket := range under {
			ticket.Done(circuitbreaker.Success)
		}
		require.Equal(t, circuitbreaker.Closed, b.State())
	})
}

func TestARampStartOfOneMeansNoRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, circuitbreaker.Config{RampStart: 1})
		halfOpen(t, b)
		for range 3 {
			admitted(t, b).Done(circuitbreaker.Success)
		}
		require.Equal(t, circuitbreaker.Closed, b.State())
	})
}
