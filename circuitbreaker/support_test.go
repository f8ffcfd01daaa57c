package circuitbreaker_test

import (
	"errors"
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
	synctest.Wait() // for the timer
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
