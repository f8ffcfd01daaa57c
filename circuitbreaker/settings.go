package circuitbreaker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// settings are checked and never change; breakers of a group share them.
type settings struct {
	Config
	specs     []detect.Spec
	spec      detect.Spec // any of specs
	classify  Classifier
	rand      func() float64
	jittered  bool // by WithRand
	listeners []func(Transition)
	clock     Clock
	clockless bool // WithClock(nil)
	base      time.Time

	plain        bool // the classifier is Classify
	timed, watch bool // what the detectors need
	judge        detect.Judge
}

func newSettings(cfg Config, opts []Option) (*settings, error) {
	s := &settings{Config: cfg.withDefaults(), base: time.Now(), classify: Classify, plain: true, rand: rand.Float64}
	err := s.apply(opts)
	return s, errors.Join(err, s.check())
}

// apply applies the options. One that is nil is a mistake, not a default.
func (s *settings) apply(opts []Option) error {
	var errs violations
	for i, o := range opts {
		errs.require(o != nil, "option", i, "given, not nil")
		if o != nil {
			o.apply(s)
		}
	}
	return errors.Join(errs...)
}

// updated returns settings with another config, with other detectors if there are any,
// and the rest of s.
func (s *settings) updated(cfg Config, specs []detect.Spec) (*settings, error) {
	fill(&cfg.Name, s.Name)
	next := *s
	next.Config = cfg.withDefaults()
	if len(specs) > 0 {
		next.specs = slices.Clone(specs)
	}
	err := next.check()
	if cfg.Name != s.Name {
		err = errors.Join(err, fmt.Errorf("circuitbreaker: Name %q: must stay %q", cfg.Name, s.Name))
	}
	return &next, err
}

// check validates everything and notes what the detectors need.
func (s *settings) check() error {
	var errs violations
	if err := s.Config.check(); err != nil {
		errs = append(errs, err)
	}
	errs.require(s.classify != nil, "WithClassifier", nil, "given")
	errs.require(s.rand != nil, "WithRand", nil, "given")
	errs.require(!s.clockless, "WithClock", nil, "given")
	for i, f := range s.listeners {
		errs.require(f != nil, "OnTransition", i, "given a function")
	}
	if len(s.specs) == 0 {
		s.specs = []detect.Spec{detect.ErrorRate(0.5, 20), detect.Consecutive(5)}
	}
	s.spec = detect.Any(s.specs...)
	d, err := s.spec.New()
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("circuitbreaker: WithDetector: %w", err))...)
	}
	_, timed := d.(detect.Timed)
	_, s.watch = d.(detect.Watcher)
	s.timed = timed || s.watch
	s.judge, _ = d.(detect.Judge)
	if w, ok := d.(detect.Windowed); ok && w.Window() > 0 {
		errs.require(w.Window() >= 2*s.CallTimeout, "detector window", w.Window(),
			fmt.Sprintf("at least twice the CallTimeout of %v", s.CallTimeout))
	}
	return errors.Join(errs...)
}

// now reads the clock.
func (s *settings) now() time.Duration {
	if s.clock != nil {
		return s.clock.Now()
	}
	return time.Since(s.base)
}

// after sets a timer on the same clock.
func (s *settings) after(d time.Duration, f func()) (stop func() bool) {
	if s.clock != nil {
		return s.clock.AfterFunc(d, f)
	}
	return time.AfterFunc(d, f).Stop
}

// detector makes a fresh one. The spec gave no error when it was checked, and gives
// the same answer each time; of one that breaks that promise, nothing is heard.
func (s *settings) detector() detect.Detector {
	if d, err := s.spec.New(); err == nil {
		return d
	}
	return deaf{}
}

type deaf struct{}

func (deaf) Record(detect.Call) bool          { return false }
func (deaf) Ill(time.Duration) (string, bool) { return "", false }
