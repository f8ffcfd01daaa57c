// Package detect decides from the calls made to something whether that thing is
// ill. circuitbreaker opens on its verdict, failover looks elsewhere.
//
// A [Spec] is a description, made by one of the functions here and checked when
// it is used; a [Detector] is one run of it, from healthy to ill. Owners make a
// new Detector whenever they start over, so that nothing heard before counts
// afterwards.
//
//	ErrorRate      share of failures in a time window, with a minimum of calls
//	Consecutive    failures in a row
//	SlowRatio      share of slow calls in a time window
//	LatencyGrowth  latency rising above what was learned (CUSUM on its logarithm)
//	InFlightAge    calls that have not come back for too long
//	CPU, Memory    how near this node is to its own limits
//	Any            the first of several
//
// Errors: what New of a Spec returns names each bad setting and its value.
package detect

import (
	"errors"
	"fmt"
	"time"
)

// Untimed is the latency of a call that nobody measured.
const Untimed time.Duration = -1

// Call tells of finished calls.
type Call struct {
	// At is when it ended, on the owner's monotonic clock. It may lie before that
	// of the last Call.
	At time.Duration
	// Latency is how long it took, or [Untimed].
	Latency time.Duration
	// Failed tells that the other side failed. Calls that the caller gave up are
	// no calls here: owners leave them out.
	Failed bool
	// Successes is set when the Call stands for that many quick untimed
	// successes at once; zero means one call.
	Successes uint32
}

// Detector judges one target. It is not safe for concurrent use: its owner
// serialises the calls.
type Detector interface {
	// Record hears of a call and reports whether it is worth asking [Detector.Ill]
	// now. It must not allocate.
	Record(Call) bool
	// Ill tells whether the target is ill at now, and if so what says so, in a
	// few words for people.
	Ill(now time.Duration) (evidence string, ill bool)
}

// Spec describes a detector. The zero time of its detectors is the owner's
// choice.
type Spec interface {
	// New returns a detector that has heard nothing yet, or an error that names
	// each setting out of range. It gives the same error each time.
	New() (Detector, error)
}

// Timed is implemented by detectors that need latencies, or that want Ill to be
// asked as time passes. Without one, an owner need not read the clock for a call.
type Timed interface{ Timed() }

// Watcher is implemented by detectors that follow calls while they run. The owner
// may leave out calls, but each Begin must have its End with the same time, and
// calls to both are serialised with those of the Detector. A Watcher is asked for
// Ill as time passes, without any call that ends.
type Watcher interface {
	Begin(at time.Duration)
	End(began time.Duration)
}

// Judge is implemented by detectors that can tell from one call alone that it was
// bad, such as one that took too long. Owners use it where they have few calls to
// go by: on probes. The answer must depend on the settings alone; Bad may be called
// at any time and from several goroutines.
type Judge interface{ Bad(Call) bool }

// Windowed is implemented by detectors that look at a limited span of time, so
// that owners can refuse a span shorter than the calls last: such a window sees
// an outage only when it has nearly forgotten it.
type Windowed interface{ Window() time.Duration }

// specFunc makes a Spec of a function.
type specFunc func() (Detector, error)

func (f specFunc) New() (Detector, error) { return f() }

// DefaultWindow is the span of the windowed detectors: long enough for a couple
// of hundred calls at modest traffic, short enough that an incident stands out.
const DefaultWindow = 10 * time.Second

// maxWindow bounds windows; beyond an hour a window measures history, not health.
const maxWindow = time.Hour

// Option adjusts [ErrorRate] and [SlowRatio].
type Option interface{ apply(*ratio) }

type optionFunc func(*ratio)

func (f optionFunc) apply(r *ratio) { f(r) }

// WithWindow sets the span looked at, between 100 ms and one hour; [DefaultWindow]
// without it. It should be at least twice the longest a call may take.
func WithWindow(span time.Duration) Option {
	return optionFunc(func(r *ratio) { r.span = span })
}

// WithConfidence makes the detector wait until even the lower end of the Wilson
// score interval with z standard deviations reaches the ratio: with 1.96, about
// 97.5 % sure that the true share is that high. It suits ratios near the usual
// one; without it the plain share counts, as soon as there are enough calls.
func WithConfidence(z float64) Option {
	return optionFunc(func(r *ratio) { r.z = z })
}

// violation returns an error in the form that all settings here are reported.
func violation(detector, field string, value any, want string) error {
	return fmt.Errorf("detect: %s: %s %v: must be %s", detector, field, value, want)
}

// checks gathers violations.
type checks []error

func (c *checks) require(ok bool, detector, field string, value any, want string) {
	if !ok {
		*c = append(*c, violation(detector, field, value, want))
	}
}

func (c checks) err() error { return errors.Join(c...) }
