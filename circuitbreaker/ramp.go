package circuitbreaker

import (
	"math"
	"time"
)

// whole is a share of 1 in the fixed point that shares are kept in: sums of it are
// exact, sums of floats are not.
const whole = uint64(1) << 32

// ramp admits a growing share of calls. The share doubles with each step of time,
// which makes the way back equally long whatever the traffic; and calls are
// admitted by credit rather than by chance, so that the share holds for any number
// of calls.
type ramp struct {
	share  uint64 // of whole
	credit uint64
	began  time.Duration // of the step
	held   bool          // the step is over, but its calls are not

	admitted, answered uint64 // calls since the ramp began
	good, bad          uint64
	stepGood, stepBad  uint64
}

// newRamp begins with the share start, rounded up, so that 0.01 is one call in
// exactly a hundred.
func newRamp(start float64, now time.Duration) ramp {
	return ramp{share: uint64(math.Ceil(start * float64(whole))), began: now}
}

// admit reports whether the next call is one of the share. Until there are
// answers, no more than slack calls wait for one, and then no more than that
// beyond as many as have come: a target that hangs must not be fed because
// nothing bad was heard of it.
func (r *ramp) admit(slack int) bool {
	r.credit = min(r.credit+r.share, 2*whole-1)
	if r.credit < whole {
		return false
	}
	if r.share < whole && r.admitted-r.answered >= uint64(slack)+r.answered {
		r.credit = whole
		return false
	}
	r.credit -= whole
	r.admitted++
	return true
}

// answer counts a result.
func (r *ramp) answer(bad bool) {
	r.answered++
	if bad {
		r.bad++
		r.stepBad++
	} else {
		r.good++
		r.stepGood++
	}
}

// withdraw forgets a call that taught nothing.
func (r *ramp) withdraw() {
	if r.admitted > r.answered {
		r.admitted--
	}
}

// failing tells whether too much failed, of all calls or of this step's.
func (r *ramp) failing(failures int, ratio float64) bool {
	tooMuch := func(bad, good uint64) bool {
		return bad >= uint64(failures) && float64(bad) >= ratio*float64(bad+good)
	}
	return tooMuch(r.bad, r.good) || tooMuch(r.stepBad, r.stepGood)
}

// step doubles the share if a step is over by now, and reports whether it did. A
// step is not over while less than half of the calls have been answered; one that
// was held up so ends when they are.
func (r *ramp) step(now, length time.Duration) bool {
	if now < r.began+length {
		return false
	}
	if 2*r.answered < r.admitted {
		r.held = true
		return false
	}
	r.began += length
	if r.held {
		r.held, r.began = false, now
	}
	r.stepGood, r.stepBad = 0, 0
	r.share = min(2*r.share, whole)
	return true
}

// fraction is the share as a number from 0 to 1.
func (r *ramp) fraction() float64 { return float64(r.share) / float64(whole) }
