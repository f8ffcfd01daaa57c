package circuitbreaker

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// ThrottleConfig holds a [Throttle]'s plain settings. Only Name is required; a zero
// field means its default.
type ThrottleConfig struct {
	// Name tells throttles apart, in errors and as a metric's label.
	Name string
	// Factor is K of the formula, above 1: the throttle lets K times as many calls
	// pass as succeed. 2 by default, so it does nothing while half succeed.
	Factor float64
	// Floor is the least share that always passes, over 0 up to 1; 0.01 by default.
	Floor float64
	// Step is how often the share is set; 1 s by default. From the default Floor
	// the share is back at 1 after seven clean steps, whatever the traffic.
	Step time.Duration
	// Grace is how many failures in a step change nothing while the share is 1, and
	// its fraction below that; 5 by default.
	Grace int
	// Lease is how long calls that do not come back may keep a step from ending
	// before the share falls to Floor; 30 s by default. It must not be shorter than
	// your calls may take.
	Lease time.Duration
	// MinBudget is as in [Config].
	MinBudget time.Duration
}

func (c ThrottleConfig) withDefaults() ThrottleConfig {
	fill(&c.Factor, 2)
	fill(&c.Floor, 0.01)
	fill(&c.Step, time.Second)
	fill(&c.Grace, 5)
	fill(&c.Lease, 30*time.Second)
	return c
}

func (c ThrottleConfig) check() error {
	var v violations
	v.require(c.Factor > 1 && c.Factor <= 100, "Factor", c.Factor, "above 1 and at most 100")
	v.share("Floor", c.Floor)
	v.duration("Step", c.Step, time.Millisecond)
	v.require(c.Grace >= 1, "Grace", c.Grace, "at least 1")
	v.duration("Lease", c.Lease, time.Millisecond)
	return errors.Join(v...)
}

// Throttle is client-side adaptive throttling (B. Beyer et al., "Site Reliability
// Engineering", 2016, chapter 21): it lets pass Factor times what the other side
// accepts, and so sheds in proportion to an overload where a [Breaker] would stop
// altogether.
//
// The book's formula looks at a window of calls including those refused here,
// which makes the way back longer the more traffic there is: minutes, or no ramp at
// all if they are left out. This one sets the share step by step from the answers
// to the calls that were made. The share falls by the formula, as soon as it is
// sure, and at most doubles in a step.
//
// A Throttle is safe for concurrent use.
type Throttle struct {
	set *settings // classifier, clock, name

	mu      sync.Mutex
	cfg     ThrottleConfig
	ramp    ramp
	epoch   uint64 // counts sudden cuts; answers to calls from before one are stale
	refusal *OpenError
	stale   uint64
	misused uint64
	refused uint64
}

// NewThrottle returns a throttle that lets everything pass. Of the options,
// [WithClassifier] and [WithClock] apply; others are refused. The error names each
// setting that is missing, out of range or of no use.
func NewThrottle(cfg ThrottleConfig, opts ...Option) (*Throttle, error) {
	given := &settings{}
	_ = given.apply(opts) // newSettings says it
	set, err := newSettings(Config{Name: cfg.Name, MinBudget: cfg.MinBudget}, opts)
	var v violations
	v.require(len(given.specs) == 0, "WithDetector", "", "left out: a Throttle has none")
	v.require(len(given.listeners) == 0, "OnTransition or WithObserver", "", "left out: a Throttle has no transitions")
	v.require(!given.jittered, "WithRand", "", "left out: a Throttle has no jitter")
	cfg = cfg.withDefaults()
	if err := errors.Join(err, cfg.check(), errors.Join(v...)); err != nil {
		return nil, err
	}
	return &Throttle{set: set, cfg: cfg, ramp: newRamp(1, set.now())}, nil
}

// Allow implements [Gate].
func (t *Throttle) Allow() (Ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.set.now()
	t.advance(now)
	if t.ramp.admit(math.MaxInt32) {
		return Ticket{throttle: t, kind: ramped, id: t.epoch}, nil
	}
	t.refused++
	until := t.ramp.began + t.cfg.Step
	if t.refusal == nil || t.refusal.until != until {
		t.refusal = &OpenError{Name: t.set.Name, State: Ramping, set: t.set, until: until}
	}
	return Ticket{}, t.refusal
}

// settle takes a result. Only a failure may change the share before the next call
// asks for it, so only a failure looks at the clock.
func (t *Throttle) settle(ticket *Ticket, outcome Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case ticket.id != t.epoch:
		t.stale++
	case outcome == Neutral:
		t.ramp.withdraw()
	case outcome == Success:
		t.ramp.answer(false)
	default:
		t.ramp.answer(true)
		if t.sure() {
			t.cut(t.factor(), t.set.now())
		}
	}
}

// advance ends the steps that are over.
func (t *Throttle) advance(now time.Duration) {
	r := &t.ramp
	for {
		share, factor := r.share, t.factor()
		if !r.step(now, t.cfg.Step) {
			break
		}
		r.admitted, r.answered = r.admitted-r.answered, 0
		t.scale(share, factor)
		if r.share == whole && now >= r.began+t.cfg.Step {
			r.began = now - (now-r.began)%t.cfg.Step // nothing happens in the steps between
		}
	}
	if r.held && now >= r.began+t.cfg.Step+t.cfg.Lease {
		t.cut(0, now)
	}
}

// factor is what to multiply the share with, by this step's answers: below 1 where
// fewer than one in Factor succeeded, 2 where all did.
func (t *Throttle) factor() float64 {
	n := float64(t.ramp.stepGood + t.ramp.stepBad)
	if n == 0 {
		return 2
	}
	k := t.cfg.Factor
	accepted := min((k*float64(t.ramp.stepGood)+t.grace())/n, k)
	if accepted < 1 {
		return accepted
	}
	return 1 + (accepted-1)/(k-1)
}

// grace is how many failures of this step are let pass.
func (t *Throttle) grace() float64 { return max(float64(t.cfg.Grace)*t.ramp.fraction(), 1) }

// sure tells whether this step's answers are enough to act before it ends.
func (t *Throttle) sure() bool {
	return float64(t.ramp.stepGood+t.ramp.stepBad) >= 2*t.grace() && t.factor() < 1
}

// cut lowers the share at once and begins a step; what was admitted before no
// longer tells anything about the share there is now.
func (t *Throttle) cut(factor float64, now time.Duration) {
	share := t.ramp.share
	t.ramp = ramp{began: now, credit: t.ramp.credit}
	t.scale(share, factor)
	t.epoch++
}

// scale sets the share to factor times what it was, between Floor and 1.
func (t *Throttle) scale(share uint64, factor float64) {
	floor := t.cfg.Floor * float64(whole)
	t.ramp.share = uint64(max(floor, min(factor*float64(share), float64(whole))))
}

func (t *Throttle) misuse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.misused++
}

func (t *Throttle) settings() *settings { return t.set }

// Update replaces the settings while the throttle runs; the share stays. A config
// that NewThrottle would refuse is refused with the same error, and the old
// settings stay. The name cannot change, and MinBudget does not: cfg's must be zero
// or the same.
func (t *Throttle) Update(cfg ThrottleConfig) error {
	fill(&cfg.Name, t.set.Name)
	fill(&cfg.MinBudget, t.set.MinBudget)
	cfg = cfg.withDefaults()
	err := cfg.check()
	if cfg.Name != t.set.Name {
		err = errors.Join(err, fmt.Errorf("circuitbreaker: Name %q: must stay %q", cfg.Name, t.set.Name))
	}
	if cfg.MinBudget != t.set.MinBudget {
		err = errors.Join(err, fmt.Errorf("circuitbreaker: MinBudget %v: must stay %v", cfg.MinBudget, t.set.MinBudget))
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cfg = cfg
	return nil
}

// ThrottleSnapshot is a throttle's state at one moment.
type ThrottleSnapshot struct {
	Name string
	// Share is the share of calls that pass.
	Share float64
	// Refused is how many calls did not.
	Refused uint64
	// Stale is how many results came after the share had been cut for them.
	Stale uint64
	// Misused is how many tickets were ended a second time.
	Misused uint64
}

// Snapshot returns the throttle's state now.
func (t *Throttle) Snapshot() ThrottleSnapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance(t.set.now())
	return ThrottleSnapshot{
		Name: t.set.Name, Share: t.ramp.fraction(), Refused: t.refused, Stale: t.stale, Misused: t.misused,
	}
}

// Readings implements [observe.Source].
func (t *Throttle) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		s := t.Snapshot()
		yield(observe.Reading{Gauge: &shareGauge, Values: observe.Values{s.Name}, Value: s.Share})
	}
}
