package detect

import "time"

// windowSlices is how many slices of time a window has: it forgets in steps of an
// eighth, which is as fine as thresholds on a few dozen samples can tell apart, and
// keeps a window within 80 bytes.
const windowSlices = 8

// window counts good and bad events of the last span of time. Time comes in as an
// offset on any monotonic clock.
type window struct {
	width  time.Duration
	head   int64 // number of the newest slice since the clock's zero
	counts [windowSlices]count
}

type count struct{ good, bad uint32 }

// newWindow returns a window that remembers between span - span/8 and span. A span
// below one nanosecond a slice is raised to it.
func newWindow(span time.Duration) window {
	return window{width: max(span/windowSlices, 1)}
}

// add counts good and bad events at now. Events may come late: they count in the
// slice they belong to, while the window remembers it.
func (w *window) add(now time.Duration, good, bad uint32) {
	w.advance(now)
	number := int64(now / w.width)
	if number <= w.head-windowSlices {
		return
	}
	c := &w.counts[w.slot(number)]
	c.good = addCapped(c.good, good)
	c.bad = addCapped(c.bad, bad)
}

// totals returns what the window holds at now, or at the latest time it was told.
func (w *window) totals(now time.Duration) (good, bad uint64) {
	w.advance(now)
	for _, c := range w.counts {
		good += uint64(c.good)
		bad += uint64(c.bad)
	}
	return good, bad
}

// advance makes the slice of now the newest and empties those passed over.
func (w *window) advance(now time.Duration) {
	number := int64(now / w.width)
	if number <= w.head {
		return
	}
	if number-w.head >= windowSlices {
		w.counts = [windowSlices]count{}
	} else {
		for n := w.head + 1; n <= number; n++ {
			w.counts[w.slot(n)] = count{}
		}
	}
	w.head = number
}

func (w *window) slot(number int64) int { return int(uint64(number) % windowSlices) }

// addCapped sticks at the maximum: a full slice must not look like an empty one.
func addCapped(a, b uint32) uint32 {
	if sum := a + b; sum >= a {
		return sum
	}
	return ^uint32(0)
}
