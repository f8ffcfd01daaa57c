package detect

import (
	"errors"
	"time"
)

// Any finds the target ill when at least one of the specs does.
func Any(specs ...Spec) Spec {
	return specFunc(func() (Detector, error) {
		if len(specs) == 0 {
			return nil, errors.New("detect: any: needs at least one detector")
		}
		var errs []error
		d := make(anyOf, 0, len(specs))
		for i, s := range specs {
			if s == nil {
				errs = append(errs, violation("any", "detector", i, "given"))
				continue
			}
			one, err := s.New()
			if err != nil {
				errs = append(errs, err)
				continue
			}
			d = append(d, one)
		}
		if len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
		return wrap(d), nil
	})
}

// anyOf is the OR of its members. The forms below add what some member can do, so
// that an owner pays for the clock only when somebody needs it.
type anyOf []Detector

type (
	timedAny struct{ anyOf }
	watchAny struct{ timedAny }
)

func wrap(d anyOf) Detector {
	if len(d) == 1 {
		return d[0]
	}
	timed, watch := false, false
	for _, one := range d {
		_, t := one.(Timed)
		_, w := one.(Watcher)
		timed, watch = timed || t, watch || w
	}
	switch {
	case watch:
		return watchAny{timedAny{d}}
	case timed:
		return timedAny{d}
	default:
		return d
	}
}

// Record implements [Detector]. Every member hears of every call.
func (d anyOf) Record(c Call) bool {
	ask := false
	for _, one := range d {
		if one.Record(c) {
			ask = true
		}
	}
	return ask
}

func (d anyOf) Ill(now time.Duration) (string, bool) {
	for _, one := range d {
		if evidence, ill := one.Ill(now); ill {
			return evidence, true
		}
	}
	return "", false
}

// Bad implements [Judge].
func (d anyOf) Bad(c Call) bool {
	for _, one := range d {
		if j, ok := one.(Judge); ok && j.Bad(c) {
			return true
		}
	}
	return false
}

// Window implements [Windowed] with the shortest window; 0 when no member has one.
func (d anyOf) Window() time.Duration {
	var shortest time.Duration
	for _, one := range d {
		if w, ok := one.(Windowed); ok && w.Window() > 0 && (shortest == 0 || w.Window() < shortest) {
			shortest = w.Window()
		}
	}
	return shortest
}

func (d timedAny) Timed() {}

// Begin implements [Watcher].
func (d watchAny) Begin(at time.Duration) {
	for _, one := range d.anyOf {
		if w, ok := one.(Watcher); ok {
			w.Begin(at)
		}
	}
}

// End implements [Watcher].
func (d watchAny) End(began time.Duration) {
	for _, one := range d.anyOf {
		if w, ok := one.(Watcher); ok {
			w.End(began)
		}
	}
}
