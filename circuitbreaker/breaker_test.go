package circuitbreaker_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

var errDown = errors.New("down")

// steady is jitter without chance: the open time is OpenFor.
func steady() circuitbreaker.Option {
	return circuitbreaker.WithRand(func() float64 { return 0 })
}

// after opens after n failures in a row.
func after(n int) circuitbreaker.Option { return circuitbreaker.WithDetector(detect.Consecutive(n)) }

// newBreaker opens after three failures in a row, for ten seconds.
func newBreaker(t testing.TB, cfg circuitbreaker.Config, opts ...circuitbreaker.Option) *circuitbreaker.Breaker {
	t.Helper()
	cfg.Name = "test"
	if cfg.OpenFor == 0 {
		cfg.OpenFor = 10 * time.Second
	}
	if cfg.Probes == 0 {
		cfg.Probes = 3
	}
	b, err := circuitbreaker.New(cfg, append([]circuitbreaker.Option{after(3), steady()}, opts...)...)
	require.NoError(t, err)
	return b
}

func admitted(t testing.TB, g circuitbreaker.Gate) *circuitbreaker.Ticket {
	t.Helper()
	ticket, err := g.Allow()
	require.NoError(t, err)
	return &ticket
}

func refused(t testing.TB, g circuitbreaker.Gate) *circuitbreaker.OpenError {
	t.Helper()
	_, err := g.Allow()
	require.ErrorIs(t, err, circuitbreaker.ErrOpen)
	var open *circuitbreaker.OpenError
	require.ErrorAs(t, err, &open)
	return open
}

// trip makes the breaker open.
func trip(t testing.TB, b *circuitbreaker.Breaker) {
	t.Helper()
	for range 3 {
		admitted(t, b).Done(circuitbreaker.Failure)
	}
	require.Equal(t, circuitbreaker.Open, b.State())
}

// halfOpen brings the breaker to its probes.
func halfOpen(t testing.TB, b *circuitbreaker.Breaker) {
	t.Helper()
	trip(t, b)
	time.Sleep(10 * time.Second)
	require.Equal(t, circuitbreaker.HalfOpen, b.State())
}

// ramping brings the breaker to the beginning of its ramp.
func ramping(t testing.TB, b *circuitbreaker.Breaker) {
	t.Helper()
	halfOpen(t, b)
	for range 3 {
		admitted(t, b).Done(circuitbreaker.Success)
	}
	require.Equal(t, circuitbreaker.Ramping, b.State())
}

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
		for range 100 {
			if ticket, err := b.Allow(); err == nil {
				calls++
				under = append(under, &ticket)
			}
			if len(under) > 0 {
				under[0].Done(circuitbreaker.Failure)
				under = under[1:]
			}
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
		require.Equal(t, 5*time.Second, refused(t, b).RetryAfter())
		time.Sleep(5*time.Second - 1)
		require.Equal(t, circuitbreaker.HalfOpen, b.State())
		time.Sleep(1)
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

func TestTheOpenTimeGrowsAndIsForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		high := circuitbreaker.WithRand(func() float64 { return 1 })
		b, err := circuitbreaker.New(circuitbreaker.Config{Name: "x", OpenFor: time.Second, MaxOpenFor: time.Minute, ForgiveAfter: time.Hour, Probes: 3},
			after(3), high)
		require.NoError(t, err)
		trip(t, b)
		var times []time.Duration
		for range 5 {
			s := b.Snapshot()
			times = append(times, s.OpenFor)
			time.Sleep(s.OpenFor)
			require.Equal(t, circuitbreaker.HalfOpen, b.State())
			for range 3 {
				admitted(t, b).Done(circuitbreaker.Failure)
			}
		}
		require.Equal(t, []time.Duration{3 * time.Second, 9 * time.Second, 27 * time.Second, time.Minute, time.Minute}, times)

		again := func(healthyFor time.Duration) time.Duration {
			time.Sleep(b.Snapshot().OpenFor)
			require.Equal(t, circuitbreaker.HalfOpen, b.State())
			for range 3 {
				admitted(t, b).Done(circuitbreaker.Success)
			}
			time.Sleep(7*time.Second + healthyFor)
			require.Equal(t, circuitbreaker.Closed, b.State())
			trip(t, b)
			return b.Snapshot().OpenFor
		}
		require.Equal(t, time.Minute, again(time.Hour-time.Second))
		require.Equal(t, 3*time.Second, again(time.Hour))
	})
}

func TestTheOtherSideMaySetTheOpenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for asked, want := range map[time.Duration]time.Duration{
			time.Second:      10 * time.Second, // less than its own
			45 * time.Second: 45 * time.Second,
			24 * time.Hour:   time.Minute, // the bound
		} {
			b := newBreaker(t, circuitbreaker.Config{MaxOpenFor: time.Minute})
			admitted(t, b).Report(t.Context(), busyError{asked})
			for range 2 {
				admitted(t, b).Done(circuitbreaker.Failure)
			}
			require.Equal(t, want, b.Snapshot().OpenFor)
			time.Sleep(want)
			require.Equal(t, circuitbreaker.HalfOpen, b.State())
		}
	})
}

// busyError is an answer with Retry-After.
type busyError struct{ after time.Duration }

func (e busyError) Error() string             { return "busy" }
func (e busyError) RetryAfter() time.Duration { return e.after }

func TestManyInstancesThatOpenTogetherProbeApart(t *testing.T) {
	const probes = 5 // a dead target gets that many of each
	synctest.Test(t, func(t *testing.T) {
		const instances = 500
		start := time.Now()
		var mu sync.Mutex
		perSecond := map[int]int{}
		var all []*circuitbreaker.Breaker
		for range instances {
			b, err := circuitbreaker.New(circuitbreaker.Config{Name: "x"}, after(3),
				circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) {
					if tr.To == circuitbreaker.HalfOpen {
						mu.Lock()
						perSecond[int(time.Since(start)/time.Second)]++
						mu.Unlock()
					}
				}))
			require.NoError(t, err)
			trip(t, b)
			all = append(all, b)
		}
		time.Sleep(90 * time.Second)
		synctest.Wait()
		total, most := 0, 0
		for _, n := range perSecond {
			total += n
			most = max(most, n)
		}
		require.Equal(t, instances, total)
		t.Logf("at most %d instances begin to probe in one second, over %d s", most, len(perSecond))
		require.LessOrEqual(t, most, 50)
		require.LessOrEqual(t, instances*probes/len(perSecond), 50, "probes a second")
		for _, b := range all {
			require.Equal(t, circuitbreaker.HalfOpen, b.State())
		}
	})
}

func TestOnlyTheInjectedClockCounts(t *testing.T) {
	clock := &manual{}
	b := newBreaker(t, circuitbreaker.Config{}, circuitbreaker.WithClock(clock))
	trip(t, b)
	clock.pass(10 * time.Second)
	require.Equal(t, circuitbreaker.HalfOpen, b.State())
}

// manual is a clock that moves when told.
type manual struct {
	mu     sync.Mutex
	now    time.Duration
	timers []*timer
}

type timer struct {
	at   time.Duration
	f    func()
	done bool
}

func (c *manual) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manual) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at: c.now + d, f: f}
	c.timers = append(c.timers, t)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		stopped := !t.done
		t.done = true
		return stopped
	}
}

// pass moves the clock and calls what is due, on this goroutine.
func (c *manual) pass(d time.Duration) {
	c.mu.Lock()
	c.now += d
	var due []func()
	waiting := c.timers[:0]
	for _, t := range c.timers {
		switch {
		case t.done:
		case t.at <= c.now:
			t.done = true
			due = append(due, t.f)
		default:
			waiting = append(waiting, t)
		}
	}
	c.timers = waiting
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}
