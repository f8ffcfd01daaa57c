package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/internal/keyed"
)

// Option configures a limiter or a failure policy. Each constructor names those
// that it knows; the local limiters with keys know [WithClock], [WithCapacity] and
// [WithEviction]. Others have no effect.
type Option interface{ apply(*options) }

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

type options struct {
	clock    func() time.Duration
	burst    int64
	capacity int
	full     keyed.Full
	maxWait  time.Duration
	queue    int

	guard     Guard
	budget    time.Duration
	onFailure func(context.Context, error)
	instances func() int
	grace     time.Duration

	missing []int // which options were nil
}

// WithBurst sets how much can be taken at once, for token buckets; see
// [Quota.Burst] for what holds without it.
func WithBurst(n int64) Option {
	return optionFunc(func(o *options) { o.burst = n })
}

// WithClock sets the clock: a function that returns the time since a moment of its
// own choosing, never going back and safe for concurrent use. Without it a limiter
// uses the machine's monotonic clock.
func WithClock(now func() time.Duration) Option {
	return optionFunc(func(o *options) { o.clock = now })
}

// defaultCapacity is some 40 MB of token buckets at most, when all of it is used.
const defaultCapacity = 1 << 20

// WithCapacity sets how many keys a limiter tracks at most. Keys with their full
// budget need no tracking and make room for others. Without it the limit is
// 1048576 keys, which takes up to 40 MB of token buckets.
func WithCapacity(keys int) Option {
	return optionFunc(func(o *options) { o.capacity = keys })
}

// WithEviction makes a limiter that tracks as many busy keys as it may forget one
// of them for each new key, which then has its full budget again. Without it new
// keys are denied, so that no limit is ever exceeded.
func WithEviction() Option {
	return optionFunc(func(o *options) { o.full = keyed.Evict })
}

// WithMaxWait sets how long a [LeakyBucket] or [Queue] lets a request wait. Without
// it the limit is 1 s: most callers have given up by then.
func WithMaxWait(d time.Duration) Option {
	return optionFunc(func(o *options) { o.maxWait = d })
}

// WithMaxWaiting sets how many requests for one key may wait in a [LeakyBucket] or
// [Queue]. Without it the limit is 1024.
func WithMaxWaiting(n int) Option {
	return optionFunc(func(o *options) { o.queue = n })
}

func newOptions(opts []Option) options {
	o := options{capacity: defaultCapacity, maxWait: time.Second, queue: 1024, budget: defaultBudget, grace: defaultGrace}
	for i, opt := range opts {
		if opt == nil {
			o.missing = append(o.missing, i)
			continue
		}
		opt.apply(&o)
	}
	return o
}

func (o *options) validate() error {
	var errs []error
	for _, i := range o.missing {
		errs = append(errs, &FieldError{fmt.Sprintf("options[%d]", i), "nil", "must be given"})
	}
	if o.capacity < 1 {
		errs = append(errs, &FieldError{"capacity", o.capacity, "must be at least 1"})
	}
	if o.maxWait < 1 {
		errs = append(errs, &FieldError{"maxWait", o.maxWait, "must be positive"})
	}
	if o.queue < 1 {
		errs = append(errs, &FieldError{"maxWaiting", o.queue, "must be at least 1"})
	}
	if o.budget < time.Millisecond || o.budget > time.Minute {
		errs = append(errs, &FieldError{"budget", o.budget, "must be from 1ms to 1m"})
	}
	if o.grace < 0 || o.grace > time.Hour {
		errs = append(errs, &FieldError{"grace", o.grace, "must be from 0s to 1h"})
	}
	return errors.Join(errs...)
}

// maxTime, 73 years, leaves room for sums with the longest times of a quota.
const maxTime = 1 << 61

// clock reads the time in nanoseconds since the limiter was made.
type clock struct {
	now  func() time.Duration
	base time.Time
}

func (o *options) newClock() clock { return clock{now: o.clock, base: time.Now()} }

func (c *clock) read() int64 {
	if c.now != nil {
		return min(max(int64(c.now()), 0), maxTime)
	}
	return int64(time.Since(c.base)) // monotonic, and half the price of time.Now
}
