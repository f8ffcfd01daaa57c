package async

import (
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// JudgeConfig holds the settings of [NewJudge] and [Crash]. Only Name is required,
// and only by NewJudge; a zero field means its default.
type JudgeConfig struct {
	// Name is the one of the breaker.
	Name string
	// Threshold is the sum of evidence, a log-likelihood ratio, that is enough; 14 by
	// default. Each unit makes false alarms e times rarer and costs some two calls of
	// delay: in theory there is at most one in exp(Threshold)/3 calls, that is 400 000.
	Threshold float64
	// Warmup is how many calls are learned from before latency is judged; 128 by
	// default. Errors are judged from the start.
	Warmup int
	// ErrorFloor is the share of failures that is nobody's incident, however little
	// is usual: 0.05 by default. Above it, the learned share is taken for usual.
	ErrorFloor float64
	// ErrorAlarm is the share of failures that evidence is sought for; 0.5 by default.
	// A share counts for down from about half way between the two.
	ErrorAlarm float64
	// LatencyFloor is what shorter latencies are taken for; 5 ms by default: faster
	// than that, growth is nobody's incident.
	LatencyFloor time.Duration
	// MaxInFlight is how long a call may go unanswered before it is forgotten; 1 min by
	// default. Make it longer than send's longest time-out.
	MaxInFlight time.Duration

	// OpenFor is how long the judge keeps calls away before it probes; 5 s by
	// default. It grows while the probes fail, as circuitbreaker.Config.OpenFor does,
	// up to MaxOpenFor.
	OpenFor time.Duration
	// MaxOpenFor bounds that; 1 min by default, or OpenFor if that is longer.
	MaxOpenFor time.Duration
	// Probes is how many requests are tried at a time then, and must succeed; 3 by
	// default.
	Probes int
	// RampStart is the share of calls let through in the first step of coming back; it
	// doubles with each step. 0.05 by default.
	RampStart float64
	// RampStep is how long a step lasts; 1 s by default.
	RampStep time.Duration
}

func (c JudgeConfig) withDefaults() JudgeConfig {
	fill(&c.Threshold, 14)
	fill(&c.Warmup, 128)
	fill(&c.ErrorFloor, 0.05)
	fill(&c.ErrorAlarm, 0.5)
	fill(&c.LatencyFloor, 5*time.Millisecond)
	fill(&c.MaxInFlight, time.Minute)
	fill(&c.OpenFor, 5*time.Second)
	fill(&c.MaxOpenFor, max(time.Minute, c.OpenFor))
	fill(&c.Probes, 3)
	fill(&c.RampStart, 0.05)
	fill(&c.RampStep, time.Second)
	return c
}

// check returns the violations of the detector's settings; the breaker checks its own.
func (c JudgeConfig) check() error {
	var v violations
	v.require(c.Threshold >= 4 && c.Threshold <= 100, "Threshold", c.Threshold, "between 4 and 100")
	v.require(c.Warmup >= 16 && c.Warmup <= crashMemory, "Warmup", c.Warmup, fmt.Sprintf("between 16 and %d", crashMemory))
	v.require(c.ErrorFloor >= 0.001 && c.ErrorFloor < 1, "ErrorFloor", c.ErrorFloor, "between 0.001 and 1")
	v.require(c.ErrorAlarm > c.ErrorFloor && c.ErrorAlarm < 1, "ErrorAlarm", c.ErrorAlarm, fmt.Sprintf("above ErrorFloor %v and below 1", c.ErrorFloor))
	v.duration("LatencyFloor", c.LatencyFloor, time.Microsecond)
	v.duration("MaxInFlight", c.MaxInFlight, 10*time.Millisecond)
	return errors.Join(v...)
}

// NewJudge returns a breaker that is made for [WithJudge]: it is opened by [Crash],
// and comes back over a few probes and a ramp. classify is the classifier given to
// [WithClassifier]; nil is [Classify]. More options of the breaker may follow.
//
// The breaker's Update keeps its detectors unless it is given others; its SetMode
// forces it open or closed.
func NewJudge(cfg JudgeConfig, classify Classifier, opts ...circuitbreaker.Option) (*circuitbreaker.Breaker, error) {
	if classify == nil {
		classify = Classify
	}
	spec := Crash(cfg)
	cfg = cfg.withDefaults()
	own := []circuitbreaker.Option{
		circuitbreaker.WithDetector(spec), circuitbreaker.WithClassifier(health(classify)),
	}
	b, err := circuitbreaker.New(circuitbreaker.Config{
		Name: cfg.Name, OpenFor: cfg.OpenFor, MaxOpenFor: cfg.MaxOpenFor,
		Probes: cfg.Probes, ProbeSuccesses: cfg.Probes,
		Lease:     max(30*time.Second, cfg.MaxInFlight),
		RampStart: cfg.RampStart, RampStep: cfg.RampStep,
	}, append(own, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return b, nil
}

// Crash judges whether the other side is down, from three kinds of evidence that are
// added up on one scale: how late its answers are, how many of its answers are
// failures, and how long it has left calls unanswered. Only the detector's settings
// of cfg matter.
//
// Each finished call adds the logarithm of how much likelier it is when the other
// side is down than when it is as usual; the sums never fall below zero (E. S. Page's
// CUSUM). There are three sums, for three ways of being down: slow, failing, and
// somewhat of both. A call that is still running counts as one that took as long as
// it has been running, which is the least that it will: silence is evidence as it
// lasts, and not only when the time-out ends it. docs/sync-to-async.md has the
// figures.
func Crash(cfg JudgeConfig) detect.Spec { return crashSpec(cfg.withDefaults()) }

type crashSpec JudgeConfig

// New implements [detect.Spec].
func (s crashSpec) New() (detect.Detector, error) {
	if err := JudgeConfig(s).check(); err != nil {
		return nil, err
	}
	return newCrash(JudgeConfig(s)), nil
}
