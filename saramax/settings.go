package saramax

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

const (
	defaultDrain  = 45 * time.Second // three quarters of sarama's rebalance timeout
	defaultCommit = time.Second
)

// settingsOf reads options, sets defaults and tells everything that is wrong.
func settingsOf(opts []Option) (settings, []error) {
	var s settings
	for _, opt := range opts {
		if opt != nil {
			opt.apply(&s)
		}
	}
	errs := append(s.errs, s.tuning.check()...)
	errs = append(errs, s.retry.check()...)
	errs = append(errs, s.stuck.check()...)
	if s.order > Unordered {
		errs = append(errs, fmt.Errorf("order %d is not one of ours", s.order))
	}
	if s.order == OrderPartition && s.tuning.Concurrency > 1 {
		errs = append(errs, fmt.Errorf("concurrency %d needs OrderKey or Unordered", s.tuning.Concurrency))
	}
	if s.drain < 0 {
		errs = append(errs, fmt.Errorf("drain %v is negative", s.drain))
	}
	if s.commit < 0 || s.commit > 0 && s.commit < 10*time.Millisecond {
		errs = append(errs, fmt.Errorf("commit interval %v is below 10ms", s.commit))
	}
	if s.limiter == nil && s.limitKey != "" || s.limiter != nil && s.limitKey == "" {
		errs = append(errs, errors.New("rate limit needs a limiter and a key"))
	}
	if s.broad && s.broadcast == "" {
		errs = append(errs, errors.New("broadcast instance has no name"))
	}
	if s.start.kind == startAt && s.start.at.IsZero() {
		errs = append(errs, errors.New("start time is zero"))
	}
	if s.stuck.Policy == StuckPark && s.parker == nil {
		errs = append(errs, errors.New("StuckPark needs a place for rejected records"))
	}
	s.defaults()
	return s, errs
}

func (s *settings) defaults() {
	s.tuning = s.tuning.filled()
	setDefault(&s.retry.Attempts, 4)
	setDefault(&s.retry.Base, 100*time.Millisecond)
	setDefault(&s.retry.Max, max(10*time.Second, s.retry.Base))
	setDefault(&s.stuck.After, time.Minute)
	setDefault(&s.stuck.Most, 16)
	setDefault(&s.commit, defaultCommit)
	if s.rand == nil {
		s.rand = rand.Float64
	}
}

func setDefault[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

// filled returns t with its defaults.
func (t Tuning) filled() Tuning {
	setDefault(&t.Concurrency, 1)
	setDefault(&t.Batch, 100)
	setDefault(&t.Window.Messages, 4096)
	setDefault(&t.Window.Bytes, 64<<20)
	setDefault(&t.Window.Gap, 65536)
	setDefault(&t.Window.PerKey, max(1, t.Window.Messages/4))
	return t
}

const maxConcurrency = 1 << 16

func (t Tuning) check() []error {
	var errs []error
	if t.Concurrency < 0 || t.Concurrency > maxConcurrency {
		errs = append(errs, fmt.Errorf("concurrency %d is not 0 to %d", t.Concurrency, maxConcurrency))
	}
	if t.Batch < 0 || t.Batch > 1<<20 {
		errs = append(errs, fmt.Errorf("batch size %d is not 0 to %d", t.Batch, 1<<20))
	}
	if t.Linger < 0 {
		errs = append(errs, fmt.Errorf("linger %v is negative", t.Linger))
	}
	w := t.Window
	if w.Messages < 0 || w.Bytes < 0 || w.Gap < 0 || w.Age < 0 || w.PerKey < 0 {
		errs = append(errs, fmt.Errorf("window %+v has a negative bound", w))
	}
	full := t.filled()
	if full.Window.Messages < full.Batch {
		errs = append(errs, fmt.Errorf("window of %d messages is smaller than a batch of %d", full.Window.Messages, full.Batch))
	}
	if full.Window.Gap < full.Window.Messages {
		errs = append(errs, fmt.Errorf("gap %d is smaller than the window of %d messages", full.Window.Gap, full.Window.Messages))
	}
	return errs
}

func (r RetryPolicy) check() []error {
	var errs []error
	if r.Attempts < 0 || r.Base < 0 || r.Max < 0 {
		errs = append(errs, fmt.Errorf("retry %+v has a negative field", r))
	}
	if r.Max > 0 && r.Max < r.Base {
		errs = append(errs, fmt.Errorf("retry delay of at most %v is below its base %v", r.Max, r.Base))
	}
	return errs
}

func (s Stuck) check() []error {
	var errs []error
	if s.After < 0 || s.Most < 0 {
		errs = append(errs, fmt.Errorf("stuck %+v has a negative field", s))
	}
	if s.Policy > StuckLeave {
		errs = append(errs, fmt.Errorf("stuck policy %d is not one of ours", s.Policy))
	}
	return errs
}

// backoff draws the delay after n failures.
func (s *settings) backoff(n int) time.Duration {
	bound := backoffBound(s.retry.Base, s.retry.Max, n)
	return time.Duration(bound/4 + s.rand()*bound*3/4)
}

func backoffBound(base, most time.Duration, n int) float64 {
	return min(float64(most), float64(base)*math.Pow(2, float64(max(n, 1)-1)))
}
