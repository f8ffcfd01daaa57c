package circuitbreaker

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config holds a breaker's plain settings. Only Name is required; a zero field
// means its default.
type Config struct {
	// Name tells breakers apart, in errors and as a metric's label.
	Name string
	// OpenFor is the least time that the breaker stays open; 30 s by default. The
	// time is drawn between OpenFor and three times the last one ("decorrelated
	// jitter"), so that it grows while the other side stays down and so that the
	// instances of a service do not probe at once: 500 that open together begin
	// to probe over a minute, some eight in a second.
	OpenFor time.Duration
	// MaxOpenFor bounds that growth, and what a response may ask for; 5 min by
	// default, or OpenFor if that is longer.
	MaxOpenFor time.Duration
	// ForgiveAfter is how long the breaker must have been closed for the growth to
	// start over; 1 h by default.
	ForgiveAfter time.Duration
	// Probes is how many probes may be under way at a time, at most 64; 5 by
	// default, as many failures as make a run that is no chance.
	Probes int
	// ProbeSuccesses is how many probes must succeed before the ramp; 3 by default.
	ProbeSuccesses int
	// ProbeFailures is how many probes must fail to open again; as many as Probes
	// by default, so that a target that is still down costs Probes calls.
	ProbeFailures int
	// Lease is how long the answer to a probe is waited for before it counts as
	// failed, and how long the ramp waits; 30 s by default, or twice CallTimeout.
	// It must not be shorter than your calls may take.
	Lease time.Duration
	// RampStart is the share of calls admitted in the first step of the ramp, over
	// 0 up to 1; 0.01 by default. It doubles with each step, so 0.01 takes seven
	// steps, and 1 means no ramp.
	RampStart float64
	// RampStep is how long a step lasts; 1 s by default. Make it five times the
	// 99th percentile of your latencies if that is more: a step can only be judged
	// by the calls that come back within it.
	RampStep time.Duration
	// RampFailures is how many calls must fail to end the ramp; as many as
	// ProbeFailures by default.
	RampFailures int
	// RampRatio is the share of calls that must fail as well to end the ramp; 0.5
	// by default.
	RampRatio float64
	// CallTimeout is the longest that one call may take, if you know it. The
	// breaker does not enforce it, but New refuses detectors' windows below twice
	// that, and a Lease below it: they would forget an outage before it shows.
	CallTimeout time.Duration
	// MinBudget is the least time that a call's context must have left at its start
	// for a missed deadline to count as a failure; 20 ms by default. Negative counts
	// every missed deadline.
	MinBudget time.Duration
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	fill(&c.OpenFor, 30*time.Second)
	fill(&c.MaxOpenFor, max(5*time.Minute, c.OpenFor))
	fill(&c.ForgiveAfter, time.Hour)
	fill(&c.Probes, 5)
	fill(&c.ProbeSuccesses, 3)
	fill(&c.ProbeFailures, c.Probes)
	fill(&c.Lease, max(30*time.Second, 2*c.CallTimeout))
	fill(&c.RampStart, 0.01)
	fill(&c.RampStep, time.Second)
	fill(&c.RampFailures, c.ProbeFailures)
	fill(&c.RampRatio, 0.5)
	fill(&c.MinBudget, 20*time.Millisecond)
	return c
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// maxProbes bounds the slots of a half-open breaker, which are searched one by one.
const maxProbes = 64

// longest bounds durations, so that sums of them never overflow.
const longest = 365 * 24 * time.Hour

// check returns the violations of a config whose defaults are filled in.
func (c Config) check() error {
	var v violations
	v.require(c.Name != "", "Name", c.Name, "given")
	v.duration("OpenFor", c.OpenFor, time.Millisecond)
	v.duration("MaxOpenFor", c.MaxOpenFor, c.OpenFor)
	v.duration("ForgiveAfter", c.ForgiveAfter, 0)
	v.require(c.Probes >= 1 && c.Probes <= maxProbes, "Probes", c.Probes, fmt.Sprintf("between 1 and %d", maxProbes))
	v.require(c.ProbeSuccesses >= 1, "ProbeSuccesses", c.ProbeSuccesses, "at least 1")
	v.require(c.ProbeFailures >= 1, "ProbeFailures", c.ProbeFailures, "at least 1")
	v.duration("CallTimeout", c.CallTimeout, 0)
	v.duration("Lease", c.Lease, max(time.Millisecond, c.CallTimeout))
	v.share("RampStart", c.RampStart)
	v.duration("RampStep", c.RampStep, time.Millisecond)
	v.require(c.RampFailures >= 1, "RampFailures", c.RampFailures, "at least 1")
	v.share("RampRatio", c.RampRatio)
	v.require(c.MinBudget <= longest, "MinBudget", c.MinBudget, "at most a year")
	return errors.Join(v...)
}

// violations gathers what is wrong with settings.
type violations []error

func (v *violations) require(ok bool, field string, value any, want string) {
	if !ok {
		*v = append(*v, fmt.Errorf("circuitbreaker: %s %v: must be %s", field, value, want))
	}
}

func (v *violations) duration(field string, value, least time.Duration) {
	v.require(value >= least && value <= longest, field, value, fmt.Sprintf("between %v and a year", least))
}

func (v *violations) share(field string, value float64) {
	v.require(value >= 1e-6 && value <= 1 && !math.IsNaN(value), field, value, "between 0.000001 and 1")
}
