package concurrency

import "math"

const (
	// minCalls is the fewest calls that a window's average is worth looking at.
	minCalls = 10
	// allowance is by how many calls the limit may grow in a window, so that it
	// finds new room; the other side's queue may hold as many.
	allowance = 4.0
	// smoothing is the weight of the newest window in the limit.
	smoothing = 0.2
	// The usual time falls quickly to faster windows, which cannot come from a
	// queue, and rises slowly: half in some 40 s of windows of 100 ms.
	fall = 1.0 / 20
	rise = 1.0 / 600
	// atFloor is how quickly it rises when the limit cannot go any lower.
	atFloor = 1.0 / 20
	// backOff is the factor for a window with dropped calls.
	backOff = 0.9
)

// reconsider moves the limit by what the window that ends now has shown. The
// caller holds mu.
func (a *Adaptive) reconsider(now int64) {
	if now < a.until.Load() {
		return // somebody else was just here
	}
	a.until.Store(now + int64(a.config.Window))
	calls, total := a.calls.Swap(0), a.total.Swap(0)
	dropped, refused := a.dropped.Swap(0) > 0, a.refused.Swap(false)
	peak := a.peak.Swap(a.inFlight.Load())
	if calls == 0 {
		return
	}
	recent := math.Max(float64(total)/float64(calls), 1)
	a.learn(recent, refused || dropped)
	switch {
	case dropped:
		a.set(a.exact * backOff)
	case float64(peak) >= a.exact/2: // else nothing was tried that could tell
		gradient := math.Min(math.Max(a.config.Tolerance*a.usual/recent, 0.5), 1)
		next := a.exact * gradient
		if gradient == 1 {
			next += allowance // only then: it must be able to go down to Min
		}
		a.set(a.exact*(1-smoothing) + next*smoothing)
	}
}

// learn moves what is usual towards the recent time of a call.
func (a *Adaptive) learn(recent float64, limited bool) {
	weight := rise
	switch {
	case a.usual == 0:
		weight = 1
	case recent < a.usual:
		weight = fall
	case a.limit.Load() <= a.config.Min:
		weight = atFloor
	case limited:
		return
	}
	a.usual += weight * (recent - a.usual)
}

func (a *Adaptive) set(limit float64) {
	a.exact = math.Min(math.Max(limit, float64(a.config.Min)), float64(a.config.Max))
	a.limit.Store(int64(a.exact))
}
