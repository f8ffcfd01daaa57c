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
	classify  Classifier
	rand      func() float64
	listeners []func(Transition)
	clock     Clock
	base      time.Time

	plain        bool // the classifier is Classify
	timed, watch bool // what the detectors need
	judges       []detect.Judge
}

func newSettings(cfg Config, opts []Option) (*settings, error) {
	s := &settings{Config: cfg.withDefaults(), base: time.Now(), classify: Classify, plain: true, rand: rand.Float64}
	for _, o := range opts {
		o.apply(s)
	}
	return s, s.check()
}

// updated returns settings with another config and other detectors, and the rest
// of s.
func (s *settings) updated(cfg Config, specs []detect.Spec) (*settings, error) {
	fill(&cfg.Name, s.Name)
	next := *s
	next.Config, next.specs = cfg.withDefaults(), slices.Clone(specs)
	next.timed, next.watch, next.judges = false, false, nil
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
	if len(s.specs) == 0 {
		s.specs = []detect.Spec{detect.ErrorRate(0.5, 20), detect.Consecutive(5)}
	}
	errs.require(s.classify != nil, "WithClassifier", nil, "given")
	errs.require(s.rand != nil, "WithRand", nil, "given")
	for i, f := range s.listeners {
		errs.require(f != nil, "OnTransition", i, "given a function")
	}
	for i, spec := range s.specs {
		if spec == nil {
			errs.require(false, "WithDetector", i, "given")
			continue
		}
		d, err := spec.New()
		if err != nil {
			errs = append(errs, fmt.Errorf("circuitbreaker: %w", err))
			continue
		}
		s.note(d, &errs)
	}
	return errors.Join(errs...)
}

func (s *settings) note(d detect.Detector, errs *violations) {
	_, timed := d.(detect.Timed)
	_, watch := d.(detect.Watcher)
	s.timed, s.watch = s.timed || timed || watch, s.watch || watch
	if judge, ok := d.(detect.Judge); ok {
		s.judges = append(s.judges, judge)
	}
	if w, ok := d.(detect.Windowed); ok && w.Window() > 0 {
		errs.require(w.Window() >= 2*s.CallTimeout, "detector window", w.Window(),
			fmt.Sprintf("at least twice the CallTimeout of %v", s.CallTimeout))
	}
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

// detectors makes a fresh set. The specs gave no error when they were checked, and
// give the same answer each time; one that breaks that promise is left out.
func (s *settings) detectors() []detect.Detector {
	fresh := make([]detect.Detector, 0, len(s.specs))
	for _, spec := range s.specs {
		if d, err := spec.New(); err == nil {
			fresh = append(fresh, d)
		}
	}
	return fresh
}
