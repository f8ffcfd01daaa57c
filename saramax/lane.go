package saramax

import (
	"time"

	"github.com/IBM/sarama"
)

// item is a record that a claim holds.
type item struct {
	msg     *sarama.ConsumerMessage
	number  uint64 // in the tracker
	size    int64
	arrived time.Time
	due     time.Time // zero: at once
	lane    *lane
	next    *item // in the lane

	calls  int   // of the handler, those before this topic included
	failed int   // attempts used up; a batch that is split uses none
	cause  error // of the last failure
	kept   bool  // instead of parked, as the budget is spent: it is tried again as a probe
	end    end   // what its worker made of it

	own lane // where there is no order, each record has a lane of its own
}

// end is what is to be done with an item after its worker is through with it.
type end uint8

const (
	endOpen  end = iota // given up: not done, not to be tried again here
	endDone             // worked off
	endRetry            // to be handled again after a while
	endPark             // parked
	endSkip             // passed
)

// lane is a queue of records that must be handled one after the other. It exists
// while there is work in it, so a slow key is in nobody's way.
type lane struct {
	key        string
	retry      *item // to be handled before the others; it came out of them before
	head, tail *item
	n          int // without retry
	busy       bool
	next       *lane // in the list of ready lanes
}

func (l *lane) empty() bool { return l.retry == nil && l.head == nil }

// lanes are the queues of one claim: which records wait, and which may be begun. It
// does no locking.
type lanes struct {
	order  Order
	perKey int // of one lane, no more records than this count as waiting

	sole        lane
	byKey       map[string]*lane
	first, last *lane // those that may be begun, longest waiting first
	ready       int   // how many lanes these are
	records     int   // how many records are in these
	waiting     int   // records in all lanes, but for the surplus of hot keys and for retries
}

func newLanes(order Order, perKey int) lanes {
	q := lanes{order: order, perKey: perKey}
	if order == OrderKey {
		q.byKey = make(map[string]*lane)
	}
	if order == OrderPartition {
		q.perKey = int(^uint(0) >> 1) // there is one lane, and it counts in full
	}
	return q
}

// push appends a record.
func (q *lanes) push(it *item) {
	l := q.laneOf(it)
	it.lane, it.next = l, nil
	if l.tail == nil {
		l.head = it
	} else {
		l.tail.next = it
	}
	l.tail = it
	l.n++
	if l.n <= q.perKey {
		q.waiting++
	}
	if l.busy {
		return
	}
	q.records++
	if l.n == 1 {
		q.enlist(l)
	}
}

// laneOf finds or makes the lane of a record. A record without a key has no order
// among those with one.
func (q *lanes) laneOf(it *item) *lane {
	switch {
	case q.order == OrderPartition:
		return &q.sole
	case q.order == Unordered || it.msg.Key == nil:
		it.own = lane{}
		return &it.own
	}
	l := q.byKey[string(it.msg.Key)]
	if l == nil {
		l = &lane{key: string(it.msg.Key)}
		q.byKey[l.key] = l
	}
	return l
}

func (q *lanes) enlist(l *lane) {
	l.next = nil
	if q.last == nil {
		q.first = l
	} else {
		q.last.next = l
	}
	q.last = l
	q.ready++
}

// peek returns the record that take would begin with; nil without one.
func (q *lanes) peek() *item {
	switch l := q.first; {
	case l == nil:
		return nil
	case l.retry != nil:
		return l.retry
	default:
		return l.head
	}
}

// take takes the lane that waited longest out of those that are ready, and up to most
// of its records that are due by now, which it appends to items. The lane is busy until
// release.
func (q *lanes) take(items []*item, most int, now time.Time) ([]*item, *lane) {
	l := q.first
	if q.first = l.next; q.first == nil {
		q.last = nil
	}
	l.next, l.busy = nil, true
	q.ready--
	q.records -= l.n
	if l.retry != nil {
		q.records--
		items, l.retry = append(items, l.retry), nil
		most--
	}
	for ; most > 0 && l.head != nil && !l.head.due.After(now); most-- {
		items = append(items, q.pop(l))
	}
	return items, l
}

func (q *lanes) pop(l *lane) *item {
	it := l.head
	if l.head = it.next; l.head == nil {
		l.tail = nil
	}
	it.next = nil
	if l.n <= q.perKey {
		q.waiting--
	}
	l.n--
	return it
}

// release makes a busy lane ready again, or lets go of it when nothing is in it.
func (q *lanes) release(l *lane) {
	l.busy = false
	switch {
	case !l.empty():
		q.records += l.n
		if l.retry != nil {
			q.records++
		}
		q.enlist(l)
	case q.byKey[l.key] == l:
		delete(q.byKey, l.key)
	}
}
