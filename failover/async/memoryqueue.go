package async

import (
	"cmp"
	"time"
)

// memoryQueue is what a [Memory] holds of one queue, under each order that a method
// asks for, so that none of them looks at every row: a backlog has as many as
// [Config.MaxBacklog] says.
type memoryQueue struct {
	rows     sorted // all of them, by ID
	keys     map[string]*memoryRow
	lanes    map[lane]*memoryLane
	ending   sorted               // those Queued that have an end, by it
	finished sorted               // those Delivered or Expired, by when
	held     map[int64]*memoryRow // those under lease
	depth    [states]int64
	paused   bool
}

// lane are the rows that one claim may look at: Queued or Unknown ones of a priority.
type lane struct {
	state    State
	priority Priority
}

// memoryLane are its rows, but for those that are never due.
type memoryLane struct {
	due, newest sorted
}

func newMemoryQueue() *memoryQueue {
	return &memoryQueue{
		rows:     sorted{compare: func(a, b *memoryRow) int { return cmp.Compare(a.ID, b.ID) }},
		keys:     make(map[string]*memoryRow),
		lanes:    make(map[lane]*memoryLane),
		ending:   by(func(r *memoryRow) time.Time { return r.notAfter }),
		finished: by(func(r *memoryRow) time.Time { return r.ended }),
		held:     make(map[int64]*memoryRow),
	}
}

// by is the order of a point in time, and of IDs within the same one.
func by(when func(*memoryRow) time.Time) sorted {
	return sorted{compare: func(a, b *memoryRow) int {
		return cmp.Or(when(a).Compare(when(b)), cmp.Compare(a.ID, b.ID))
	}}
}

func (q *memoryQueue) lane(state State, p Priority) *memoryLane {
	l := q.lanes[lane{state, p}]
	if l == nil {
		l = &memoryLane{
			due:    by(func(r *memoryRow) time.Time { return r.due }),
			newest: sorted{compare: func(a, b *memoryRow) int { return cmp.Compare(b.ID, a.ID) }},
		}
		q.lanes[lane{state, p}] = l
	}
	return l
}

// change takes a row out of every order, changes it, and puts it in again.
func (q *memoryQueue) change(r *memoryRow, how func()) {
	q.place(r, (*sorted).remove)
	q.depth[r.State]--
	delete(q.held, r.ID)
	how()
	q.in(r)
}

func (q *memoryQueue) in(r *memoryRow) {
	q.place(r, (*sorted).add)
	q.depth[r.State]++
	if r.held() {
		q.held[r.ID] = r
	}
}

// place adds or removes r where its state says.
func (q *memoryQueue) place(r *memoryRow, put func(*sorted, *memoryRow)) {
	switch r.State {
	case Queued, Unknown:
		if !r.never {
			l := q.lane(r.State, r.Priority)
			put(&l.due, r)
			put(&l.newest, r)
		}
		if r.State == Queued && !r.notAfter.IsZero() {
			put(&q.ending, r)
		}
	case Delivered, Expired:
		put(&q.finished, r)
	}
}

// forget removes a row for good.
func (q *memoryQueue) forget(r *memoryRow) {
	q.place(r, (*sorted).remove)
	q.depth[r.State]--
	q.rows.remove(r)
	delete(q.keys, r.Key)
	delete(q.held, r.ID)
}

// first appends up to n claimable rows of a lane.
func (q *memoryQueue) first(rows []*memoryRow, n int, l lane, newest bool, now time.Time) []*memoryRow {
	lane := q.lanes[l]
	if lane == nil || n <= 0 {
		return rows
	}
	order := &lane.due
	if newest {
		order = &lane.newest
	}
	for r := range order.all() {
		if r.due.After(now) {
			if newest {
				continue
			}
			break // so are all that follow
		}
		if l.state == Queued && r.expired(now) {
			continue
		}
		rows = append(rows, r)
		if n--; n == 0 {
			break
		}
	}
	return rows
}

// oldest is for how long the row that has been due longest has been.
func (q *memoryQueue) oldest(now time.Time) (d time.Duration) {
	for l, lane := range q.lanes {
		if l.state != Queued {
			continue
		}
		for r := range lane.due.all() {
			d = max(d, now.Sub(r.due))
			break
		}
	}
	return d
}
