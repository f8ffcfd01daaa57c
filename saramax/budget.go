package saramax

import (
	"errors"
	"fmt"
	"time"
)

// Budget bounds how many records may be put aside, in the dead-letter topic or a retry
// topic. A handler whose database is down fails record after record: without a bound
// the whole topic drains into the dead-letter topic, and somebody has to carry it back.
// Past the bound the consumer keeps the records instead and stops taking new ones. It
// handles a single record again every now and then, as a probe, and goes on when one
// succeeds.
//
// While the budget is spent, a probe that fails as [ReasonPermanent] or
// [ReasonUndecodable] is dead-lettered all the same: no recovery is going to help that
// record, and the next one may be sound. So a topic full of poison drains too, but
// slowly enough for somebody to stop it.
//
// Records that merely follow a blocked key do not count. Each instance has a budget of
// its own, for all of its partitions. The zero Budget is the default; each field that
// is 0 gets its own.
type Budget struct {
	// Run is how many records may be put aside with no success between them, and the
	// least that may be in a Window; 100 by default.
	Run int
	// Ratio is the greatest share of a Window's records that may be put aside, above 0
	// and up to 1; 0.1 by default. It counts from Run records on: fewer are no sample.
	Ratio float64
	// Window is the time that Ratio looks back; a minute by default.
	Window time.Duration
	// Probe is the time between two probes; a second by default.
	Probe time.Duration
}

const (
	defaultRun    = 100
	defaultRatio  = 0.1
	defaultWindow = time.Minute
	defaultProbe  = time.Second
)

// WithDeadLetterBudget sets the budget of [WithDeadLetter], which has the default one without it.
func WithDeadLetterBudget(b Budget) Option {
	return optionFunc(func(s *settings) {
		if err := b.Validate(); err != nil {
			s.errs = append(s.errs, err)
			return
		}
		asideOf(s).budget = b
	})
}

func (b Budget) withDefaults() Budget {
	if b.Run == 0 {
		b.Run = defaultRun
	}
	if b.Ratio == 0 {
		b.Ratio = defaultRatio
	}
	if b.Window == 0 {
		b.Window = defaultWindow
	}
	if b.Probe == 0 {
		b.Probe = defaultProbe
	}
	return b
}

// Validate returns nil, or an error that names each violation.
func (b Budget) Validate() error {
	b = b.withDefaults()
	var errs []error
	if b.Run < 1 {
		errs = append(errs, fmt.Errorf("Budget.Run is %d, and must be at least 1", b.Run))
	}
	if !(b.Ratio > 0 && b.Ratio <= 1) { // NaN neither
		errs = append(errs, fmt.Errorf("Budget.Ratio is %v, and must be above 0 and at most 1", b.Ratio))
	}
	if b.Window < slots*time.Millisecond {
		errs = append(errs, fmt.Errorf("Budget.Window is %v, and must be at least %v", b.Window, slots*time.Millisecond))
	}
	if b.Probe < time.Millisecond {
		errs = append(errs, fmt.Errorf("Budget.Probe is %v, and must be at least 1ms", b.Probe))
	}
	return errors.Join(errs...)
}
