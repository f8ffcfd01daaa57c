package circuitbreaker

import (
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/observe"
)

// Clock tells time, for tests and for services that have their own. It must be
// monotonic and safe for concurrent use.
type Clock interface {
	// Now returns the time since any fixed point before the clock's first use.
	Now() time.Duration
	// AfterFunc calls f in a goroutine of its own once d has passed, unless stop
	// is called before.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Option configures [New], [NewGroup] and [NewThrottle].
type Option interface{ apply(*settings) }

type optionFunc func(*settings)

func (f optionFunc) apply(s *settings) { f(s) }

// WithDetector adds a detector; the breaker opens when any of its detectors finds
// the other side ill. Without one it has detect.ErrorRate(0.5, 20) and
// detect.Consecutive(5). A [Throttle] has none.
func WithDetector(spec detect.Spec) Option {
	return optionFunc(func(s *settings) { s.specs = append(s.specs, spec) })
}

// WithClassifier sets how errors count; [Classify] without it.
func WithClassifier(c Classifier) Option {
	return optionFunc(func(s *settings) { s.classify, s.plain = c, false })
}

// WithClock sets the clock; without it the process's monotonic one is used.
func WithClock(c Clock) Option {
	return optionFunc(func(s *settings) { s.clock, s.clockless = c, c == nil })
}

// WithRand sets where jitter comes from: a function that returns numbers in
// [0, 1), safe for concurrent use; [rand.Float64] without it.
func WithRand(f func() float64) Option {
	return optionFunc(func(s *settings) { s.rand, s.jittered = f, true })
}

// WithObserver reports every transition to o as an event of its own. Calls are
// reported by [Observe].
func WithObserver(o observe.Observer) Option {
	return optionFunc(func(s *settings) { s.listeners = append(s.listeners, reportTransition(o)) })
}

// OnTransition calls f after every change of state or mode, in their order and one
// at a time for each breaker, without any lock held: f may call the breaker. It
// runs on the goroutine of some caller, or of the timer that ends the open state,
// and so should be quick. A panic in f is contained and counted in
// [Snapshot.ListenerPanics].
func OnTransition(f func(Transition)) Option {
	return optionFunc(func(s *settings) { s.listeners = append(s.listeners, f) })
}
