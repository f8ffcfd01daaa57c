package degrade

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/observe"
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

// Cost says what a fallback takes. The zero Cost is none: it must be said.
type Cost uint8

// The classes of cost.
const (
	// Constant: a value that is there already.
	Constant Cost = iota + 1
	// Local: memory and processor time of this process.
	Local
	// Cached: one read of a cache.
	Cached
	// Remote: a call, or a query.
	Remote
)

// String returns the class's name; "invalid" for a value out of range.
func (c Cost) String() string {
	names := [...]string{"constant", "local", "cached", "remote"}
	if c < Constant || c > Remote {
		return "invalid"
	}
	return names[c-Constant]
}

// FallbackConfig holds the plain settings of a [Fallback]. Name and Cost are required;
// a zero field means its default.
type FallbackConfig struct {
	// Name tells fallbacks apart, in errors and as a metric's label.
	Name string
	// Cost is what the fallback takes.
	Cost Cost
	// StandsInFor names the dependencies of the primary, and Uses those of the
	// fallback, for a [Registry] to compare.
	StandsInFor, Uses []string
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
	// Exercise is the share of successful primary calls after which the fallback runs
	// all the same, so that it is known to work; 0.005 by default, negative for none.
	Exercise float64
}

func (c FallbackConfig) withDefaults() FallbackConfig {
	fill(&c.Timeout, 100*time.Millisecond)
	fill(&c.MaxInFlight, 16)
	fill(&c.CostShare, 0.2)
	fill(&c.Burst, time.Second)
	fill(&c.Exercise, 0.005)
	c.StandsInFor, c.Uses = slices.Clone(c.StandsInFor), slices.Clone(c.Uses)
	return c
}

func (c FallbackConfig) check() error {
	var v violations
	v.require(c.Name != "", "Name", fmt.Sprintf("%q", c.Name), "given")
	v.require(c.Cost >= Constant && c.Cost <= Remote, "Cost", uint8(c.Cost), "Constant, Local, Cached or Remote")
	v.require(c.Timeout >= time.Millisecond && c.Timeout <= longest, "Timeout", c.Timeout, "between 1ms and a year")
	v.require(c.MaxInFlight >= 1, "MaxInFlight", c.MaxInFlight, "at least 1")
	v.require(c.CostShare > 0 && c.CostShare <= 1, "CostShare", c.CostShare, "above 0 and at most 1")
	v.require(c.Burst >= time.Millisecond && c.Burst <= longest, "Burst", c.Burst, "between 1ms and a year")
	v.require(c.Exercise <= 1 && !math.IsNaN(c.Exercise), "Exercise", c.Exercise, "at most 1")
	for _, used := range c.Uses {
		v.require(!slices.Contains(c.StandsInFor, used), "Uses", fmt.Sprintf("%q", used), "nothing that it stands in for")
	}
	return errors.Join(v...)
}

// Fallback answers in the place of something that cannot. Create it with [NewFallback].
// It is safe for concurrent use.
type Fallback[T any] struct {
	fallback
	fn func(ctx context.Context, cause error) (T, error)
}

// FallbackSnapshot tells what a fallback did.
type FallbackSnapshot struct {
	// Name and Cost are the fallback's.
	Name string
	Cost Cost
	// Used is how often it answered, Refused how often its budget was spent, and
	// Failed how often it had no answer either.
	Used, Refused, Failed uint64
	// Exercised is how often it ran although the primary had answered: well or, as
	// Failed counts too, not.
	Exercised uint64
	// Last is when it last answered; the zero time if never.
	Last time.Time
}

// Always returns a fallback function that answers with a default value.
func Always[T any](value T) func(context.Context, error) (T, error) {
	return func(context.Context, error) (T, error) { return value, nil }
}

// NewFallback returns a fallback that asks fn, which hears why. fn must not call what
// it stands in for, or depend on it. The error names each setting that is missing or
// out of range.
func NewFallback[T any](cfg FallbackConfig, fn func(ctx context.Context, cause error) (T, error), opts ...FallbackOption) (*Fallback[T], error) {
	f := &Fallback[T]{fn: fn}
	f.cfg, f.observer = cfg.withDefaults(), observe.Nop()
	for _, o := range opts {
		o.applyFallback(&f.fallback)
	}
	err := f.cfg.check()
	if fn == nil {
		err = errors.Join(err, errors.New("degrade: the fallback function nil: must be given"))
	}
	if err != nil {
		return nil, err
	}
	f.saved, f.counts.Name, f.counts.Cost = f.cfg.Burst, f.cfg.Name, f.cfg.Cost
	return f, nil
}

// Do calls primary if gate admits it, as [circuitbreaker.Do] does; a nil gate admits
// everything. When that fails, the fallback answers and the result is marked. A
// caller who left gets ctx's error and no fallback. Without an answer of either, the
// error wraps both reasons.
//
// Of the calls that succeed, [FallbackConfig.Exercise] is followed by a run of the
// fallback whose answer nobody sees; a panic in that is contained, and counts as
// failed.
func (f *Fallback[T]) Do(ctx context.Context, gate circuitbreaker.Gate, primary func(context.Context) (T, error)) (Result[T], error) {
	value, err := f.primary(ctx, gate, primary)
	if err == nil {
		if f.due() && hasTime(ctx, f.cfg.Timeout) {
			f.exercise(ctx)
		}
		return Result[T]{value: value}, nil
	}
	if ctx.Err() != nil {
		return Result[T]{}, err
	}
	return f.Answer(ctx, err)
}

// hasTime tells whether ctx lasts for another d.
func hasTime(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) > d)
}

// exercise runs the fallback for nobody.
func (f *Fallback[T]) exercise(ctx context.Context) {
	returned := false
	defer func() {
		if !returned {
			_ = recover() // the caller has an answer; Answer has counted
		}
	}()
	_, _ = f.Answer(ctx, nil)
	returned = true
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

// errExercise is why a fallback answered that nothing was wrong for.
var errExercise = errors.New("degrade: asked for the fallback")

// Answer asks the fallback alone, because of cause. Use it without a cause to exercise
// a fallback while all is well.
func (f *Fallback[T]) Answer(ctx context.Context, cause error) (result Result[T], err error) {
	exercise := cause == nil
	if exercise {
		cause = errExercise
	}
	ctx, report := f.report(ctx, exercise)
	seen := observe.Result{Outcome: observe.Panicked}
	defer func() { report(seen) }()
	if !f.begin() {
		seen.Outcome = observe.Rejected
		return result, fmt.Errorf("%w: %q: %w", ErrSpent, f.cfg.Name, cause)
	}
	answered, begin := false, time.Now()
	defer func() { f.end(time.Since(begin), answered, exercise) }()
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	value, err := f.fn(ctx, cause)
	if err != nil {
		seen = observe.Result{Outcome: observe.OutcomeOf(err), Err: err}
		return result, fmt.Errorf("degrade: fallback %q: %w, after: %w", f.cfg.Name, err, cause)
	}
	answered, seen.Outcome = true, observe.Degraded
	return Result[T]{value: value, reason: cause}, nil
}
