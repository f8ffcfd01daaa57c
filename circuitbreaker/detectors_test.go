package circuitbreaker_test

import (
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// only returns a breaker with just that detector.
func only(t testing.TB, spec detect.Spec, opts ...circuitbreaker.Option) *circuitbreaker.Breaker {
	t.Helper()
	b, err := circuitbreaker.New(circuitbreaker.Config{Name: "test", OpenFor: 10 * time.Second, Probes: 3},
		append([]circuitbreaker.Option{circuitbreaker.WithDetector(spec), steady()}, opts...)...)
	require.NoError(t, err)
	return b
}

func TestASlowTargetOpensTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := only(t, detect.SlowRatio(time.Second, 0.5, 20))
		var wg sync.WaitGroup
		for range 20 {
			ticket := admitted(t, b)
			wg.Go(func() { time.Sleep(time.Second); ticket.Done(circuitbreaker.Success) })
		}
		wg.Wait()
		require.Equal(t, circuitbreaker.Open, b.State())
		require.Contains(t, b.Snapshot().Reason, "slow ratio 100.0% of 20 calls")
	})
}

func TestASlowProbeIsABadProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := only(t, detect.Any(detect.Consecutive(3), detect.SlowRatio(time.Second, 0.5, 20)))
		halfOpen(t, b)
		for range 3 {
			probe := admitted(t, b)
			time.Sleep(time.Second)
			probe.Done(circuitbreaker.Success)
		}
		require.Equal(t, circuitbreaker.Open, b.State())
	})
}

func TestLatencyGrowthOpensTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := only(t, detect.LatencyGrowth())
		run := func(latency time.Duration) {
			ticket := admitted(t, b)
			time.Sleep(latency)
			ticket.Done(circuitbreaker.Success)
		}
		for i := range 600 {
			run(time.Duration(10+i%5) * time.Millisecond)
		}
		calls := 0
		for ; b.State() == circuitbreaker.Closed; calls++ {
			run(30 * time.Millisecond)
		}
		require.LessOrEqual(t, calls, 12)
	})
}

func TestAHangingTargetIsNoticedBeforeTheFirstTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const threshold, timeout = time.Second, 30 * time.Second
		b := only(t, detect.InFlightAge(threshold, 5))
		start := time.Now()
		for b.State() == circuitbreaker.Closed && time.Since(start) < timeout {
			if ticket, err := b.Allow(); err == nil {
				time.AfterFunc(timeout, func() { ticket.Done(circuitbreaker.Failure) })
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Logf("noticed after %v", time.Since(start))
		require.Equal(t, circuitbreaker.Open, b.State())
		require.LessOrEqual(t, time.Since(start), threshold+100*time.Millisecond)
		time.Sleep(timeout)
	})
}

func TestTheCallThatFindsTheTargetHangingIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := only(t, detect.InFlightAge(time.Second, 1))
		hung := admitted(t, b)
		time.Sleep(2 * time.Second)
		refused(t, b)
		require.Equal(t, circuitbreaker.Open, b.State())
		hung.Done(circuitbreaker.Success)
	})
}

// burst makes the breaker so busy that it gathers successes.
func burst(t testing.TB, b *circuitbreaker.Breaker) {
	t.Helper()
	for range 5000 {
		admitted(t, b).Done(circuitbreaker.Success)
	}
}

func TestSuccessesPutAsideSpeakBeforeTheVerdict(t *testing.T) {
	// A clock that stands still makes any number of calls a rapid pace.
	b := only(t, detect.ErrorRate(0.5, 20), circuitbreaker.WithClock(&manual{}))
	burst(t, b) // ends with some put aside
	for range 4999 {
		admitted(t, b).Done(circuitbreaker.Failure)
	}
	require.Equal(t, circuitbreaker.Closed, b.State())
	admitted(t, b).Done(circuitbreaker.Failure)
	require.Equal(t, circuitbreaker.Open, b.State())
	require.Contains(t, b.Snapshot().Reason, "50.0% of 10000 calls")
}

func TestSuccessesPutAsideLongAgoDoNotSpeakForThePresent(t *testing.T) {
	clock := &manual{}
	b := only(t, detect.ErrorRate(0.5, 20), circuitbreaker.WithClock(clock))
	burst(t, b)
	for range 64 { // every goroutine leaves some
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 7 {
				if ticket, err := b.Allow(); err == nil {
					ticket.Done(circuitbreaker.Success)
				}
			}
		}()
		<-done
	}
	clock.pass(time.Hour)
	failures := 0
	for ; b.State() == circuitbreaker.Closed; failures++ {
		admitted(t, b).Done(circuitbreaker.Failure)
	}
	require.Equal(t, 20, failures)
}

func TestASuccessPutAsideBreaksARunOfFailures(t *testing.T) {
	b := only(t, detect.Consecutive(3), circuitbreaker.WithClock(&manual{}))
	burst(t, b)
	for range 100 {
		admitted(t, b).Done(circuitbreaker.Failure)
		admitted(t, b).Done(circuitbreaker.Failure)
		admitted(t, b).Done(circuitbreaker.Success)
	}
	require.Equal(t, circuitbreaker.Closed, b.State(), "never three in a row")
	for range 3 {
		admitted(t, b).Done(circuitbreaker.Failure)
	}
	require.Equal(t, circuitbreaker.Open, b.State())
}

func TestOneFailureAmongThousandsOfQuickCallsIsHeard(t *testing.T) {
	b := only(t, detect.ErrorRate(0.001, 1000), circuitbreaker.WithClock(&manual{}))
	calls := 0
	for ; b.State() == circuitbreaker.Closed && calls < 20_000; calls++ {
		outcome := circuitbreaker.Success
		if calls%500 == 499 {
			outcome = circuitbreaker.Failure
		}
		admitted(t, b).Done(outcome)
	}
	require.Equal(t, 1000, calls, "counted to the last call")
	require.Contains(t, b.Snapshot().Reason, "0.2% of 1000 calls")
}

func TestSlowCallsAreFoundOnABusyBreaker(t *testing.T) {
	clock := &manual{}
	b := only(t, detect.SlowRatio(time.Second, 0.5, 20), circuitbreaker.WithClock(clock))
	burst(t, b)
	clock.pass(time.Minute)
	var under []*circuitbreaker.Ticket
	for range 1000 {
		under = append(under, admitted(t, b))
	}
	clock.pass(2 * time.Second)
	for _, ticket := range under {
		ticket.Done(circuitbreaker.Success)
	}
	require.Equal(t, circuitbreaker.Open, b.State())
}

func TestConcurrentCallsAreAllHeardOf(t *testing.T) {
	clock := &manual{}
	seen := &counting{}
	b := only(t, seen, circuitbreaker.WithClock(clock))
	const goroutines, calls = 8, 20_000
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range calls {
				ticket, err := b.Allow()
				if err != nil {
					t.Error(err)
					return
				}
				outcome := circuitbreaker.Success
				if i%50 == 0 {
					outcome = circuitbreaker.Failure
				}
				ticket.Done(outcome)
			}
		})
	}
	wg.Wait()
	seen.ill = true
	admitted(t, b).Done(circuitbreaker.Failure)
	require.Equal(t, circuitbreaker.Open, b.State())
	require.Equal(t, goroutines*calls*49/50, seen.good)
	require.Equal(t, goroutines*calls/50+1, seen.bad)
}

func TestEvidenceFromElsewhereCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := only(t, detect.ErrorRate(0.5, 20))
		b.Advise(10, 9)
		b.Advise(-5, -5)
		require.Equal(t, circuitbreaker.Closed, b.State())
		admitted(t, b).Done(circuitbreaker.Failure)
		require.Equal(t, circuitbreaker.Open, b.State())
		require.Contains(t, b.Snapshot().Reason, "50.0% of 20 calls")
		time.Sleep(10 * time.Second)
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		b.Advise(1<<30, 1<<30)
		require.Equal(t, circuitbreaker.HalfOpen, b.State(), "its own probes decide")
		require.NoError(t, b.SetMode(circuitbreaker.ForcedClosed))
		b.Advise(0, 1<<30)
		require.NoError(t, b.SetMode(circuitbreaker.Automatic))
		require.Equal(t, circuitbreaker.Closed, b.State())
		b.Advise(0, 1<<30)
		require.Equal(t, circuitbreaker.Open, b.State())
	})
}

func TestABusyNodeOpensTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := fstest.MapFS{"proc/meminfo": {Data: []byte("MemTotal: 100 kB\nMemAvailable: 1 kB\n")}}
		node, err := detect.NewNode(detect.WithRoot(files))
		require.NoError(t, err)
		b := only(t, detect.Memory(node, 0.9))
		for range 3 {
			ticket := admitted(t, b) // no call needs to end
			defer ticket.Done(circuitbreaker.Success)
			require.NoError(t, node.Sample())
			time.Sleep(time.Second)
		}
		refused(t, b)
		require.Equal(t, "memory at 99%", b.Snapshot().Reason)
	})
}

func TestASpecThatBreaksItsPromiseIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := only(t, &once{})
		for range 100 {
			admitted(t, b).Done(circuitbreaker.Failure)
		}
		require.Equal(t, circuitbreaker.Closed, b.State())
		require.NoError(t, b.SetMode(circuitbreaker.ForcedOpen))
	})
}

// once is a Spec that works only when it is checked.
type once struct{ used bool }

func (o *once) New() (detect.Detector, error) {
	if o.used {
		return nil, errDown
	}
	o.used = true
	return &counting{ill: true}, nil
}

// counting is a user's own detector. It is its own Spec: the test starts one run.
type counting struct {
	good, bad int
	ill       bool
}

func (c *counting) New() (detect.Detector, error) { return c, nil }

func (c *counting) Record(call detect.Call) bool {
	if call.Failed {
		c.bad++
	} else {
		c.good += int(max(call.Successes, 1))
	}
	return true
}

func (c *counting) Ill(time.Duration) (string, bool) { return "told so", c.ill }

func slowOrGrowing() detect.Spec {
	return detect.Any(detect.SlowRatio(time.Second, 0.5, 20), detect.LatencyGrowth(), detect.InFlightAge(time.Second, 10))
}
