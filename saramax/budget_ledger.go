package saramax

import (
	"errors"
	"math"
	"sync"
	"time"
)

// ErrBudgetSpent is why a record is kept instead of put aside: see [Budget].
var ErrBudgetSpent = errors.New("saramax: dead-letter budget is spent")

// ledger keeps a [Budget]. A record is put aside only after asking, so no number of
// handlers under way exceeds it. Its methods are safe for concurrent use.
type ledger struct {
	budget Budget
	now    func() time.Time

	mu   sync.Mutex
	ring [slots]slot
	run  int // records put aside since the last success
	// spent tells that records are kept; byRun that it was the run that did it; due is
	// when the next probe may start; probed tells that one has started.
	spent, byRun, probed bool
	due                  time.Time
}

// slots is the resolution of a window: a slot is forgotten as a whole.
const slots = 20

// slot counts what ended in one part of the window.
type slot struct {
	number     int64 // of the part, counted from the start of time
	all, aside int
}

func newLedger(b Budget, now func() time.Time) *ledger {
	return &ledger{budget: b.withDefaults(), now: now}
}

// ask asks for putting one record aside, and counts it when the answer is yes. turned
// tells that the answer is the first no, or the first yes after that.
func (l *ledger) ask(reason Reason) (yes, turned bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	was := l.spent
	byRun, byRatio := l.exceeded(now)
	if hopeless := reason == ReasonPermanent || reason == ReasonUndecodable; was && hopeless && l.probed {
		l.count(now) // and the budget stays spent
		return true, false
	}
	if byRun || byRatio {
		if !was {
			l.spent, l.byRun, l.probed, l.due = true, byRun, false, now.Add(l.budget.Probe)
		}
		return false, !was
	}
	l.spent = false
	l.count(now)
	return true, was
}

// exceeded tells whether one more is too many.
func (l *ledger) exceeded(now time.Time) (byRun, byRatio bool) {
	all, aside := l.window(now)
	most := max(l.budget.Ratio*float64(all+1), float64(l.budget.Run))
	return l.run >= l.budget.Run, float64(aside+1) > most
}

func (l *ledger) count(now time.Time) {
	s := l.at(now)
	s.all++
	s.aside++
	l.run++
}

// undo takes back what was counted for a record that then could not be put aside.
func (l *ledger) undo() {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.at(l.now())
	s.all, s.aside = max(s.all-1, 0), max(s.aside-1, 0)
	l.run = max(l.run-1, 0)
}

// passed counts a record that was worked off. It tells whether that opened a spent
// budget: any success does once a probe was started, since before that it may be the
// late success of a handler that began in better times.
func (l *ledger) passed() (opened bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at(l.now()).all++
	if l.spent && !l.probed {
		return false
	}
	l.run = 0
	opened = l.spent
	if opened && l.byRun {
		// What is over does not count against what comes: the first failure after an
		// outage would spend the budget again.
		l.ring = [slots]slot{}
	}
	l.spent = false
	return opened
}

// probe tells how many records may be begun, and if it is none, how long to wait before
// asking again. A spent budget lets one be begun every now and then.
func (l *ledger) probe() (most int, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.spent {
		return math.MaxInt, 0
	}
	now := l.now()
	if wait := l.due.Sub(now); wait > 0 {
		return 0, wait
	}
	// There is no waiting for the probe's end: it may hang, and others should be free to
	// find out.
	l.probed, l.due = true, now.Add(l.budget.Probe)
	return 1, 0
}

// isSpent tells whether records are kept.
func (l *ledger) isSpent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spent
}

// at is the slot of now, emptied if it was last used a window ago.
func (l *ledger) at(now time.Time) *slot {
	number := l.number(now)
	s := &l.ring[number%slots]
	if s.number != number {
		*s = slot{number: number}
	}
	return s
}

func (l *ledger) number(now time.Time) int64 {
	return now.UnixNano() / int64(l.budget.Window/slots)
}

func (l *ledger) window(now time.Time) (all, aside int) {
	oldest := l.number(now) - slots
	for _, s := range l.ring {
		if s.number > oldest {
			all += s.all
			aside += s.aside
		}
	}
	return all, aside
}
