package concurrency

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// AdaptiveConfig holds the settings of [NewAdaptive]. The zero config is a good
// start.
type AdaptiveConfig struct {
	// Initial is the limit to begin with; 0 means 20, or what Min and Max allow.
	Initial int64
	// Min is the lowest limit; 0 means 4, which still lets through enough calls to
	// see the dependency recover.
	Min int64
	// Max is the highest limit; 0 means 1000.
	Max int64
	// Tolerance is how many times its usual time a call may take before the limit
	// goes down; 0 means 1.5. It must be from 1 to 10.
	Tolerance float64
	// Window is how often the limit is reconsidered, if there were at least ten
	// calls; 0 means 100 ms.
	Window time.Duration
}

func (c AdaptiveConfig) withDefaults() AdaptiveConfig {
	if c.Max == 0 {
		c.Max = max(1000, c.Min, c.Initial)
	}
	if c.Min == 0 {
		c.Min = min(4, c.Max)
	}
	if c.Initial == 0 {
		c.Initial = min(max(20, c.Min), c.Max)
	}
	if c.Tolerance == 0 {
		c.Tolerance = 1.5
	}
	if c.Window == 0 {
		c.Window = 100 * time.Millisecond
	}
	return c
}

func (c AdaptiveConfig) validate() error {
	var errs []error
	if c.Min < 1 {
		errs = append(errs, &ratelimit.FieldError{Field: "min", Value: c.Min, Reason: "must be at least 1"})
	}
	if c.Max < c.Min || c.Max > math.MaxInt32 {
		errs = append(errs, &ratelimit.FieldError{Field: "max", Value: c.Max, Reason: "must be from min to 2147483647"})
	}
	if c.Initial < c.Min || c.Initial > c.Max {
		errs = append(errs, &ratelimit.FieldError{Field: "initial", Value: c.Initial, Reason: "must be from min to max"})
	}
	if !(c.Tolerance >= 1 && c.Tolerance <= 10) { // not NaN either
		errs = append(errs, &ratelimit.FieldError{Field: "tolerance", Value: c.Tolerance, Reason: "must be from 1 to 10"})
	}
	if c.Window < time.Millisecond || c.Window > time.Hour {
		errs = append(errs, &ratelimit.FieldError{Field: "window", Value: c.Window, Reason: "must be from 1ms to 1h"})
	}
	return errors.Join(errs...)
}

// Adaptive limits the calls in flight to one dependency, and finds the limit by
// itself: while calls take about as long as usual it goes up, and when they take
// longer, which tells of a queue on the other side, or are dropped, it goes down.
//
// The algorithm is that of Netflix's concurrency-limits, Gradient2, with two
// changes that keep an overload from becoming "usual": what is usual is not
// learned while calls are being refused, unless the limit is at its minimum,
// where no queue of our making can be to blame.
//
// One Adaptive is one limit; it treats all keys alike. Build one for each
// dependency. A ticket costs two clock readings and no allocation.
type Adaptive struct {
	clock    func() time.Duration
	base     time.Time
	tickets  pool
	limit    atomic.Int64
	inFlight atomic.Int64

	// What happened in the current window.
	until   atomic.Int64 // when it ends
	peak    atomic.Int64 // most calls in flight
	total   atomic.Int64 // nanoseconds of all calls
	calls   atomic.Int64
	dropped atomic.Int64
	refused atomic.Bool

	mu     sync.Mutex // held while the limit is reconsidered; guards the rest
	config AdaptiveConfig
	exact  float64 // the limit, with its fraction
	usual  float64 // nanoseconds of a call; 0 when not known yet
}

// AdaptiveOption configures [NewAdaptive].
type AdaptiveOption interface{ applyAdaptive(*Adaptive) }

type adaptiveFunc func(*Adaptive)

func (f adaptiveFunc) applyAdaptive(a *Adaptive) { f(a) }

// WithClock sets the clock: a function that returns the time since a moment of its
// own choosing, never going back and safe for concurrent use. Without it the
// limiter uses the machine's monotonic clock.
func WithClock(now func() time.Duration) AdaptiveOption {
	return adaptiveFunc(func(a *Adaptive) { a.clock = now })
}

// NewAdaptive returns an Adaptive. A bad config is refused with one
// [*ratelimit.FieldError] for each violation, joined.
func NewAdaptive(c AdaptiveConfig, opts ...AdaptiveOption) (*Adaptive, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	a := &Adaptive{config: c, base: time.Now(), exact: float64(c.Initial)}
	for _, o := range opts {
		o.applyAdaptive(a)
	}
	a.limit.Store(c.Initial)
	a.until.Store(a.now() + int64(c.Window))
	return a, nil
}

func (a *Adaptive) now() int64 {
	if a.clock != nil {
		return int64(a.clock())
	}
	return int64(time.Since(a.base))
}

// Acquire implements [Acquirer]. It neither waits nor looks at ctx and key.
func (a *Adaptive) Acquire(context.Context, string) (Ticket, error) {
	limit, calls := a.limit.Load(), a.inFlight.Add(1)
	if calls > limit {
		a.inFlight.Add(-1)
		if !a.refused.Load() {
			a.refused.Store(true)
		}
		return Ticket{Decision: ratelimit.Decision{Limit: limit}}, nil
	}
	if calls > a.peak.Load() {
		a.peak.Store(calls) // two at once may lose the higher: it comes again
	}
	return a.tickets.issue(a, limit, calls, 0, a.now()), nil
}

// end implements owner.
func (a *Adaptive) end(_ uint64, start int64, v Verdict) {
	a.inFlight.Add(-1)
	if v == Ignored {
		return
	}
	now := a.now()
	a.total.Add(max(now-start, 0))
	if v == Dropped {
		a.dropped.Add(1)
	}
	if a.calls.Add(1) >= minCalls && now >= a.until.Load() && a.mu.TryLock() {
		a.reconsider(now)
		a.mu.Unlock()
	}
}

// SetBounds changes the lowest and the highest limit; the limit itself moves into
// them at once. Bad bounds are refused and change nothing.
func (a *Adaptive) SetBounds(lowest, highest int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.config
	c.Min, c.Max = lowest, highest
	c.Initial = min(max(a.limit.Load(), lowest), highest)
	if err := c.validate(); err != nil {
		return err
	}
	a.config = c
	a.set(a.exact)
	return nil
}

// Snapshot returns the limiter's state; Limit is the one in force.
func (a *Adaptive) Snapshot() Snapshot {
	return Snapshot{Limit: a.limit.Load(), InFlight: a.inFlight.Load()}
}
