package detect

import (
	"fmt"
	"math"
	"time"
)

// The settings of LatencyGrowth are constants: they belong together, and were
// chosen by the false alarms and the delay that its test measures.
const (
	// cusumSlack is how many standard deviations above the mean a latency may lie
	// for free; half of the shift to be found is the textbook optimum.
	cusumSlack = 0.5
	// cusumLimit is the sum that raises the alarm.
	cusumLimit = 14.0
	// cusumFreeze is the sum from which on nothing is learned: an incident must
	// not become the new normal while it is being noticed.
	cusumFreeze = cusumLimit / 2
	// cusumWarmup is how many calls are learned from before any is judged.
	cusumWarmup = 256
	// cusumMemory is how many calls the learned mean looks back on, about.
	cusumMemory = 2048
	// cusumMinSigma is the least standard deviation of log latency assumed, about
	// ±20 %: an even series must not make ordinary noise look like an outlier.
	cusumMinSigma = 0.2
	// cusumFloor is what shorter latencies are taken for: from microseconds to more
	// of them is the scheduler's doing, and nobody's incident.
	cusumFloor = time.Millisecond
	// cusumClip bounds one call's weight, so that one very late call alone never
	// raises the alarm nor spoils what was learned.
	cusumClip = 4.0
)

// LatencyGrowth finds the target ill when its latencies have moved up from what
// the detector has learned: a one-sided CUSUM on the logarithm of the latency, in
// learned standard deviations (E. S. Page, "Continuous inspection schemes", 1954).
// For log-normal latencies with sigma 0.6 it notices a doubling after some 25
// calls and a tripling after some 12, with less than one false alarm in half a million
// calls; latencies that come in waves raise that.
//
// It learns from its first 256 calls and slowly follows later ones, so that a
// drift over thousands of calls is not an alarm; only successful calls count, as a
// fast refusal says nothing about speed, and latencies below a millisecond are taken
// for one. A new detector learns anew: a change that
// lasts raises one alarm, not one after the other.
func LatencyGrowth() Spec {
	return specFunc(func() (Detector, error) { return &latencyGrowth{}, nil })
}

type latencyGrowth struct {
	n              int
	mean, variance float64
	sum            float64
}

func (d *latencyGrowth) Timed() {}

func (d *latencyGrowth) Record(c Call) bool {
	if c.Failed || c.Latency < 0 {
		return false
	}
	x := math.Log(float64(max(c.Latency, cusumFloor)))
	if d.n >= cusumWarmup {
		z := (x - d.mean) / d.sigma()
		d.sum = max(0, d.sum+min(z, cusumClip)-cusumSlack)
		if d.sum >= cusumFreeze {
			return d.sum >= cusumLimit
		}
		x = d.mean + max(-cusumClip, min(z, cusumClip))*d.sigma()
	}
	d.learn(x)
	return false
}

// learn moves mean and variance towards x: a plain average of the first calls,
// exponentially weighted from cusumMemory on.
func (d *latencyGrowth) learn(x float64) {
	d.n = min(d.n+1, cusumMemory)
	weight := 1 / float64(d.n)
	delta := x - d.mean
	d.mean += weight * delta
	d.variance = (1 - weight) * (d.variance + weight*delta*delta)
}

func (d *latencyGrowth) sigma() float64 { return max(math.Sqrt(d.variance), cusumMinSigma) }

func (d *latencyGrowth) Ill(time.Duration) (string, bool) {
	if d.sum < cusumLimit {
		return "", false
	}
	usual := time.Duration(math.Exp(d.mean)).Round(time.Microsecond)
	return fmt.Sprintf("latency grew above the usual %v (CUSUM %.1f)", usual, d.sum), true
}
