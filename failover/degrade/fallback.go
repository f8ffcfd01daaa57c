package degrade

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

// ErrSpent is wrapped by the error of a call whose fallback was refused, beside the
// error that it would have stood in for.
var ErrSpent = errors.New("degrade: the fallback's budget is spent")

// Result is an answer that knows where it came from. The zero Result is a fresh zero
// value.
type Result[T any] struct {
	value  T
	reason error
}

// Value returns the answer, whatever it is: for showing it to somebody.
func (r Result[T]) Value() T { return r.value }

// Degraded returns why the answer is a fallback's, and nil when it is not.
func (r Result[T]) Degraded() error { return r.reason }

// Fresh returns the answer if it is no fallback's: for keeping it. Caches and writers
// should take nothing else.
func (r Result[T]) Fresh() (T, bool) {
	if r.reason != nil {
		var zero T
		return zero, false
	}
	return r.value, true
}

// FallbackConfig holds the plain settings of a [Fallback]. Only Name is required; a
// zero field means its default.
type FallbackConfig struct {
	// Name tells fallbacks apart, in errors.
	Name string
	// Timeout is how long the fallback may take; 100 ms by default. A primary call
	// under a deadline has to leave it that much, or half of the time if that is less.
	Timeout time.Duration
	// MaxInFlight is how many fallbacks may run at a time; 16 by default.
	MaxInFlight int
	// CostShare is how long a fallback may take on average, as a share of what a
	// primary call takes that succeeds; 0.2 by default. It must not be more than 1.
	CostShare float64
	// Burst is the time that fallbacks may take beyond that; a second by default.
	Burst time.Duration
}

func (c FallbackConfig) withDefaults() FallbackConfig {
	fill(&c.Timeout, 100*time.Millisecond)
	fill(&c.MaxInFlight, 16)
	fill(&c.CostShare, 0.2)
	fill(&c.Burst, time.Second)
	return c
}

func (c FallbackConfig) check() error {
	var v violations
	v.require(c.Name != "", "Name", fmt.Sprintf("%q", c.Name), "given")
	v.require(c.Timeout >= time.Millisecond && c.Timeout <= longest, "Timeout", c.Timeout, "between 1ms and a year")
	v.require(c.MaxInFlight >= 1, "MaxInFlight", c.MaxInFlight, "at least 1")
	v.require(c.CostShare > 0 && c.CostShare <= 1, "CostShare", c.CostShare, "above 0 and at most 1")
	v.require(c.Burst >= time.Millisecond && c.Burst <= longest, "Burst", c.Burst, "between 1ms and a year")
	return errors.Join(v...)
}

// Fallback answers in the place of something that cannot. Create it with [NewFallback].
// It is safe for concurrent use.
type Fallback[T any] struct {
	cfg FallbackConfig
	fn  func(ctx context.Context, cause error) (T, error)

	mu      sync.Mutex
	running int
	usual   time.Duration // what a successful primary call takes; moving average
	saved   time.Duration // what fallbacks may take
	counts  FallbackSnapshot
}

// FallbackSnapshot counts what a fallback did.
type FallbackSnapshot struct {
	// Name is the fallback's.
	Name string
	// Used is how often it answered, Refused how often its budget was spent, and
	// Failed how often it had no answer either.
	Used, Refused, Failed uint64
	// Last is when it last answered; the zero time if never. One that is never used
	// is not known to work: exercise it.
	Last time.Time
}

// Always returns a fallback function that answers with a default value.
func Always[T any](value T) func(context.Context, error) (T, error) {
	return func(context.Context, error) (T, error) { return value, nil }
}

// NewFallback returns a fallback that asks fn, which hears why. fn must not call what
// it stands in for, or depend on it. The error names each setting that is missing or
// out of range.
func NewFallback[T any](cfg FallbackConfig, fn func(ctx context.Context, cause error) (T, error)) (*Fallback[T], error) {
	f := &Fallback[T]{cfg: cfg.withDefaults(), fn: fn}
	err := f.cfg.check()
	if fn == nil {
		err = errors.Join(err, errors.New("degrade: the fallback function nil: must be given"))
	}
	if err != nil {
		return nil, err
	}
	f.saved, f.counts.Name = f.cfg.Burst, f.cfg.Name
	return f, nil
}

// Do calls primary if gate admits it, as [circuitbreaker.Do] does; a nil gate admits
// everything. When that fails, the fallback answers and the result is marked. A
// caller who left gets ctx's error and no fallback. Without an answer of either, the
// error wraps both reasons.
func (f *Fallback[T]) Do(ctx context.Context, gate circuitbreaker.Gate, primary func(context.Context) (T, error)) (Result[T], error) {
	value, err := f.primary(ctx, gate, primary)
	if err == nil {
		return Result[T]{value: value}, nil
	}
	if ctx.Err() != nil {
		return Result[T]{}, err
	}
	return f.Answer(ctx, err)
}

// primary calls the real thing, and learns what it takes.
func (f *Fallback[T]) primary(ctx context.Context, gate circuitbreaker.Gate, primary func(context.Context) (T, error)) (T, error) {
	inner, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		inner, cancel = context.WithTimeout(ctx, left-min(f.cfg.Timeout, left/2))
	}
	defer cancel()
	begin := time.Now()
	var value T
	var err error
	if gate == nil {
		value, err = primary(inner)
	} else {
		value, err = circuitbreaker.Do(inner, gate, primary)
	}
	f.earn(time.Since(begin), err == nil)
	return value, err
}

// learnFrom is how many calls the usual cost looks back on, about.
const learnFrom = 32

// earn pays the share of one call in, and learns from one that succeeded.
func (f *Fallback[T]) earn(took time.Duration, succeeded bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !succeeded:
	case f.usual == 0:
		f.usual = took
	default:
		f.usual += (took - f.usual) / learnFrom
	}
	f.saved = min(f.saved+time.Duration(f.cfg.CostShare*float64(f.usual)), f.cfg.Burst)
}

// errExercise is why a fallback answered that nothing was wrong for.
var errExercise = errors.New("degrade: asked for the fallback")

// Answer asks the fallback alone, because of cause. Use it without a cause to exercise
// a fallback while all is well.
func (f *Fallback[T]) Answer(ctx context.Context, cause error) (Result[T], error) {
	if cause == nil {
		cause = errExercise
	}
	if !f.begin() {
		return Result[T]{}, fmt.Errorf("%w: %q: %w", ErrSpent, f.cfg.Name, cause)
	}
	answered, begin := false, time.Now()
	defer func() { f.end(time.Since(begin), answered) }()
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	value, err := f.fn(ctx, cause)
	if err != nil {
		return Result[T]{}, fmt.Errorf("degrade: fallback %q: %w, after: %w", f.cfg.Name, err, cause)
	}
	answered = true
	return Result[T]{value: value, reason: cause}, nil
}

func (f *Fallback[T]) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running >= f.cfg.MaxInFlight || f.saved <= 0 {
		f.counts.Refused++
		return false
	}
	f.running++
	return true
}

func (f *Fallback[T]) end(took time.Duration, answered bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
	f.saved -= took
	if answered {
		f.counts.Used++
		f.counts.Last = time.Now()
	} else {
		f.counts.Failed++
	}
}

// Snapshot returns what the fallback has done so far.
func (f *Fallback[T]) Snapshot() FallbackSnapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}
