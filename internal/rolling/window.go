// Package rolling counts over the recent past.
package rolling

import "time"

// Buckets is how many slices a Window has: it forgets in steps of an eighth, which
// is as fine as thresholds on a few dozen samples can tell apart, and keeps a
// Window within 80 bytes.
const Buckets = 8

// Window counts good and bad events of the last span of time, in [Buckets] time
// slices. Time comes in as an offset on any monotonic clock. A Window is not safe
// for concurrent use; its owner holds a lock anyway.
//
// The zero Window has no span; use [New].
type Window struct {
	width  time.Duration
	head   int64 // number of the newest slice since the clock's zero
	counts [Buckets]count
}

type count struct{ good, bad uint32 }

// New returns a Window that remembers between span - span/8 and span. A span
// below one nanosecond a slice is raised to it.
func New(span time.Duration) Window {
	return Window{width: max(span/Buckets, 1)}
}

// Span returns the time that the window remembers at most.
func (w *Window) Span() time.Duration { return w.width * Buckets }

// Add counts good and bad events at now. Events may come late: they count in the
// slice they belong to, while the window remembers it.
func (w *Window) Add(now time.Duration, good, bad uint32) {
	w.advance(now)
	number := int64(now / w.width)
	if number <= w.head-Buckets {
		return
	}
	c := &w.counts[w.slot(number)]
	c.good = addCapped(c.good, good)
	c.bad = addCapped(c.bad, bad)
}

// Totals returns what the window holds at now, or at the latest time it was told.
func (w *Window) Totals(now time.Duration) (good, bad uint64) {
	w.advance(now)
	for _, c := range w.counts {
		good += uint64(c.good)
		bad += uint64(c.bad)
	}
	return good, bad
}

// Reset forgets everything.
func (w *Window) Reset() { w.counts = [Buckets]count{} }

// advance makes the slice of now the newest and empties those passed over.
func (w *Window) advance(now time.Duration) {
	number := int64(now / w.width)
	if number <= w.head {
		return
	}
	if number-w.head >= Buckets {
		w.Reset()
	} else {
		for n := w.head + 1; n <= number; n++ {
			w.counts[w.slot(n)] = count{}
		}
	}
	w.head = number
}

func (w *Window) slot(number int64) int { return int(uint64(number) % Buckets) }

// addCapped sticks at the maximum: a full slice must not look like an empty one.
func addCapped(a, b uint32) uint32 {
	if sum := a + b; sum >= a {
		return sum
	}
	return ^uint32(0)
}
