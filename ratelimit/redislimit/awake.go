package redislimit

import "time"

// awake is a monotonic clock that goes on while the machine is suspended, which
// Go's does not everywhere: a lease that slept through the night must have ended.
// The wall clock tells how long that was; where it was merely set forward, leases
// end early, which does no harm. It is guarded by its owner's lock.
type awake struct {
	now     func() time.Time
	base    time.Time
	ahead   time.Duration // of the wall clock, since base
	skipped time.Duration
}

func newAwake(now func() time.Time) *awake { return &awake{now: now, base: now()} }

// nap is less than any suspension, and more than what lies between the readings of
// two clocks.
const nap = time.Millisecond

func (a *awake) read() time.Duration {
	now := a.now()
	passed := now.Sub(a.base)
	ahead := now.Round(0).Sub(a.base.Round(0)) - passed // Round drops the monotonic reading
	if jump := ahead - a.ahead; jump > nap {
		a.skipped += jump
	}
	a.ahead = ahead
	return passed + a.skipped
}
