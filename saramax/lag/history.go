package lag

import "time"

// State is what a group is doing about a partition, judged by the polls of the window.
// The zero State is Unknown.
type State uint8

// The states, the most urgent last.
const (
	// Unknown: too few polls, or nothing was ever committed.
	Unknown State = iota
	// Current: the lag was zero within the window, or has not grown over it.
	Current
	// Behind: there was a lag all through the window, commits move, and the lag grew.
	Behind
	// Rewound: the commit went back within the window.
	Rewound
	// Stalled: there was a lag all through the window, and the commit did not move.
	Stalled
	// Overtaken: the commit is below the oldest record: retention took some unread.
	Overtaken

	states
)

var stateNames = [states]string{"unknown", "current", "behind", "rewound", "stalled", "overtaken"}

// String returns the state's label value, "unknown" for a value out of range.
func (s State) String() string {
	if s >= states {
		return "unknown"
	}
	return stateNames[s]
}

// point is one poll: a commit, against the end known then.
type point struct {
	at        time.Time
	committed int64
	lag       int64
}

// history is what the monitor remembers of a partition.
type history struct {
	cfg       Config
	tail      ring
	start     int64 // -1: not known
	end       int64 // -1: not known
	endAt     time.Time
	committed int64 // -1: nothing was committed
	asked     bool  // committed is known
	points    []point
}

func newHistory(cfg Config) *history {
	return &history{cfg: cfg, tail: ring{most: cfg.Samples}, start: -1, end: -1, committed: -1}
}

func (h *history) begins(_ time.Time, offset int64) { h.start = offset }

func (h *history) ends(at time.Time, offset int64) {
	h.tail.add(at, offset)
	h.end, h.endAt = offset, at
	h.judge(at)
}

func (h *history) commits(_ time.Time, offset int64) { h.committed, h.asked = offset, true }

// judge keeps a point of the commit against the end that is known with it.
func (h *history) judge(at time.Time) {
	if !h.asked || h.committed < 0 {
		return
	}
	h.points = append(h.points, point{at, h.committed, max(h.end-h.committed, 0)})
	if extra := len(h.points) - h.cfg.Window; extra > 0 {
		h.points = h.points[:copy(h.points, h.points[extra:])]
	}
}

// position is where the group stands: its commit, or the oldest record where it has
// none, which is where it will begin.
func (h *history) position() (offset int64, known bool) {
	switch {
	case !h.asked:
		return 0, false
	case h.committed >= 0:
		return h.committed, true
	case h.start >= 0:
		return h.start, true
	default:
		return 0, false
	}
}

// behind returns the age of the record at offset.
func (h *history) behind(now time.Time, offset int64) (age time.Duration, atLeast bool) {
	at, sure, known := h.tail.passed(offset)
	if !known {
		return 0, false
	}
	return max(now.Sub(at), 0), !sure
}

func (h *history) state() State {
	if h.start >= 0 && h.committed >= 0 && h.committed < h.start {
		return Overtaken
	}
	for _, p := range h.points {
		if p.lag == 0 {
			return Current
		}
	}
	if len(h.points) < h.cfg.Window {
		return Unknown
	}
	moved, fell := false, false
	for i, p := range h.points[1:] {
		before := h.points[i]
		if p.committed < before.committed {
			return Rewound
		}
		moved = moved || p.committed > before.committed
		fell = fell || p.lag < before.lag
	}
	switch {
	case !moved:
		return Stalled
	case !fell || h.points[len(h.points)-1].lag > h.points[0].lag:
		return Behind
	default:
		return Current
	}
}

// Never is the catch-up time of a group that does not gain on its producers.
const Never = time.Duration(-1)

// catchUp is how long the present lag takes to go at the window's net rate.
func (h *history) catchUp(lag int64) time.Duration {
	if lag == 0 || len(h.points) < 2 {
		return 0
	}
	first, last := h.points[0], h.points[len(h.points)-1]
	gained := first.lag - last.lag
	if gained <= 0 {
		return Never
	}
	perRecord := float64(last.at.Sub(first.at)) / float64(gained)
	return time.Duration(perRecord * float64(lag))
}
