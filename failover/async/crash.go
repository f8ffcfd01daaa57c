package async

import (
	"fmt"
	"math"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// The shape of the evidence. These belong together: the threshold's meaning rests on
// them, so they are no settings.
const (
	// crashShift is the growth of log latency, in usual standard deviations, that "slow"
	// means; crashBoth that of "somewhat of both".
	crashShift = 1.0
	crashBoth  = 0.7
	// crashClip bounds the weight of one latency, in standard deviations: no single
	// call raises the alarm.
	crashClip = 4.0
	// crashLate is from how late on a running call is evidence, in standard deviations:
	// one call in a thousand gets there in the best of times.
	crashLate = 3.0
	// crashMinSigma is the least standard deviation of log latency assumed: an even
	// series must not make ordinary noise look like an outlier.
	crashMinSigma = 0.25
	// crashMemory is how many calls what is usual looks back on, about.
	crashMemory = 2048
	// crashSlices is in how many slices of time the running calls are sorted.
	crashSlices = 256
)

// crash is the detector of [Crash].
type crash struct {
	cfg JudgeConfig

	seen           int // successes learned from, up to crashMemory
	mean, variance float64
	calls          int // calls that the share of failures was learned from
	share          float64

	slow, failing, both float64       // the sums
	good                time.Duration // when slow was last zero: the last good news

	slots   [crashSlices]slice
	running int
}

// slice counts the running calls that began in it.
type slice struct {
	number  int64
	running int
}

func newCrash(cfg JudgeConfig) *crash { return &crash{cfg: cfg} }

// Timed implements [detect.Timed].
func (d *crash) Timed() {}

// usual is the share of failures taken for usual. What is learned stays well below
// the share that evidence is sought for, else there would be none.
func (d *crash) usual() float64 {
	return max(d.cfg.ErrorFloor, min(d.share, (d.cfg.ErrorFloor+d.cfg.ErrorAlarm)/2))
}

func (d *crash) sigma() float64 { return max(math.Sqrt(d.variance), crashMinSigma) }

// late is how late a latency is, in standard deviations; 0 while that is not known.
func (d *crash) late(latency time.Duration) float64 {
	if d.seen < d.cfg.Warmup || latency < 0 {
		return 0
	}
	x := math.Log(float64(max(latency, d.cfg.LatencyFloor)))
	return max(-crashClip, min(crashClip, (x-d.mean)/d.sigma()))
}

// latencyEvidence is the log-likelihood ratio of a latency z deviations late, for a
// shift against none.
func latencyEvidence(z, shift float64) float64 { return shift * (z - shift/2) }

// errorEvidence is that of one result, for a share of failures against the usual one.
func (d *crash) errorEvidence(failed bool, share float64) float64 {
	usual := d.usual()
	share = max(share, math.Sqrt(usual))
	if failed {
		return math.Log(share / usual)
	}
	return math.Log((1 - share) / (1 - usual))
}

// Record implements [detect.Detector].
func (d *crash) Record(c detect.Call) bool {
	if c.Successes > 1 { // many untimed successes, no failure among them
		for range min(c.Successes, 1024) {
			d.add(0, false, false)
		}
		return false
	}
	timed := c.Latency >= 0 && d.seen >= d.cfg.Warmup
	z := d.late(c.Latency)
	if c.Failed {
		// A failure says how slow the other side is only where it took its time over
		// it: a quick refusal is no sign of speed.
		timed = timed && z > crashShift/2
	}
	d.add(z, timed, c.Failed)
	if !c.Failed && d.slow == 0 {
		d.good = max(d.good, c.At)
	}
	d.learn(c)
	return d.most() >= d.cfg.Threshold
}

func (d *crash) add(z float64, timed, failed bool) {
	failing, both := d.errorEvidence(failed, d.cfg.ErrorAlarm), d.errorEvidence(failed, d.cfg.ErrorAlarm/2)
	slow := 0.0
	if timed {
		if failed {
			// A time-out is one piece of news, not two, and no answer that came late.
			both = max(both, latencyEvidence(z, crashBoth))
		} else {
			slow = latencyEvidence(z, crashShift)
			both += latencyEvidence(z, crashBoth)
		}
	}
	d.slow = max(0, d.slow+slow)
	d.failing = max(0, d.failing+failing)
	d.both = max(0, d.both+both)
}

func (d *crash) most() float64 { return max(d.slow, d.failing, d.both) }

// learn follows what is usual, slowly, and not at all while something looks wrong: an
// incident must not become the new normal while it is being noticed.
func (d *crash) learn(c detect.Call) {
	if d.most() >= d.cfg.Threshold/3 {
		return
	}
	d.calls = min(d.calls+1, crashMemory)
	hit := 0.0
	if c.Failed {
		hit = 1
	}
	d.share += (hit - d.share) / float64(max(d.calls, d.cfg.Warmup))
	if c.Failed || c.Latency < 0 {
		return
	}
	x := math.Log(float64(max(c.Latency, d.cfg.LatencyFloor)))
	if d.seen >= d.cfg.Warmup {
		x = d.mean + max(-crashClip, min(crashClip, (x-d.mean)/d.sigma()))*d.sigma()
	}
	d.seen = min(d.seen+1, crashMemory)
	weight := 1 / float64(d.seen)
	delta := x - d.mean
	d.mean += weight * delta
	d.variance = (1 - weight) * (d.variance + weight*delta*delta)
}

func (d *crash) number(at time.Duration) int64 { return int64(at / (d.cfg.MaxInFlight / crashSlices)) }

func (d *crash) slot(number int64) *slice { return &d.slots[uint64(number)%crashSlices] }

// Begin implements [detect.Watcher].
func (d *crash) Begin(at time.Duration) {
	number := d.number(at)
	s := d.slot(number)
	if s.number != number {
		d.running -= s.running // forgotten: it never ended
		*s = slice{number: number}
	}
	s.running++
	d.running++
}

// End implements [detect.Watcher].
func (d *crash) End(began time.Duration) {
	number := d.number(began)
	if s := d.slot(number); s.number == number && s.running > 0 {
		s.running--
		d.running--
	}
}

// silence is the evidence of the calls that run at now: each counts as one that took
// the time it has been running, for "slow", once that is out of the ordinary.
// Only those count that began after the last good news: of the calls from before it
// the quick ones have ended and are forgotten, so that the ones left are slow in the
// best of times, the more the busier it is.
func (d *crash) silence(now time.Duration) float64 {
	if d.running == 0 || d.seen < d.cfg.Warmup {
		return 0
	}
	width := d.cfg.MaxInFlight / crashSlices
	newest, oldest, sum := d.number(now), d.number(d.good), 0.0
	for i := range d.slots {
		s := &d.slots[i]
		if s.running == 0 || s.number > newest || s.number <= max(oldest, newest-crashSlices) {
			continue
		}
		// The end of its slice: never older than it is.
		age := now - time.Duration(s.number+1)*width
		if age <= 0 {
			continue
		}
		if z := d.late(age); z >= crashLate {
			sum += float64(s.running) * latencyEvidence(z, crashShift)
		}
	}
	return sum
}

// Ill implements [detect.Detector].
func (d *crash) Ill(now time.Duration) (string, bool) {
	silence := d.silence(now)
	switch {
	case d.failing >= d.cfg.Threshold:
		return fmt.Sprintf("failures above the usual %.1f%% (evidence %.1f)", 100*d.usual(), d.failing), true
	case d.slow+silence >= d.cfg.Threshold:
		usual := time.Duration(math.Exp(d.mean)).Round(time.Microsecond)
		return fmt.Sprintf("answers later than the usual %v (evidence %.1f, of it %.1f by %d calls unanswered)", usual, d.slow+silence, silence, d.running), true
	case d.both+silence*crashBoth >= d.cfg.Threshold:
		return fmt.Sprintf("slower and failing (evidence %.1f)", d.both+silence*crashBoth), true
	default:
		return "", false
	}
}
