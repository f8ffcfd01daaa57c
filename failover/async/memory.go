package async

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] in this process, for tests and for trying things out: what it
// holds is gone with the process, so nothing that it accepts is durable. Its methods
// take about as long with a million rows as with a few.
type Memory struct {
	mu     sync.Mutex
	queues map[string]*memoryQueue
	rows   map[int64]*memoryRow
	last   int64
}

// memoryRow has points in time where a [Row] has durations.
type memoryRow struct {
	Row
	stored, ended, due, notAfter, lease time.Time // zero notAfter: for ever
	never                               bool
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{queues: make(map[string]*memoryQueue), rows: make(map[int64]*memoryRow)}
}

// queue is the one of a name.
func (m *Memory) queue(name string) *memoryQueue {
	q := m.queues[name]
	if q == nil {
		q = newMemoryQueue()
		m.queues[name] = q
	}
	return q
}

// Put implements [Store].
func (m *Memory) Put(_ context.Context, entries []Entry) ([]Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	answers := make([]Stored, len(entries))
	for i, e := range entries {
		q := m.queue(e.Queue)
		if r, ok := q.keys[e.Key]; ok {
			answers[i] = Stored{Duplicate: true, State: r.State}
			continue
		}
		m.last++
		r := &memoryRow{stored: now, Row: Row{
			ID: m.last, Queue: e.Queue, Key: e.Key, Priority: e.Priority, State: e.State,
			Payload: slices.Clone(e.Payload), Carried: maps.Clone(e.Carried), Reason: e.Reason, LastError: e.Note,
		}}
		r.delay(now, e.Delay)
		if e.NotAfter > 0 {
			r.notAfter = now.Add(e.NotAfter)
		}
		m.rows[r.ID], q.keys[r.Key] = r, r
		q.rows.add(r)
		q.in(r)
		answers[i].State = e.State
	}
	return answers, nil
}

func (r *memoryRow) delay(now time.Time, d time.Duration) { r.due, r.never = now.Add(d), d < 0 }

func (r *memoryRow) expired(now time.Time) bool {
	return !r.notAfter.IsZero() && !now.Before(r.notAfter)
}

// at is the Row as of now.
func (r *memoryRow) at(now time.Time) Row {
	row := r.Row
	row.Payload, row.Carried = slices.Clone(r.Payload), maps.Clone(r.Carried)
	row.Age, row.Due = now.Sub(r.stored), r.due.Sub(now)
	if r.never {
		row.Due = longest
	}
	if !r.notAfter.IsZero() {
		if row.Left = r.notAfter.Sub(now); row.Left == 0 {
			row.Left = -1
		}
	}
	return row
}

// Claim implements [Store].
func (m *Memory) Claim(_ context.Context, c Claim) ([]Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue(c.Queue)
	if q.paused {
		return nil, nil
	}
	now := time.Now()
	order := Priorities()
	if c.LowFirst {
		slices.Reverse(order)
	}
	var due []*memoryRow
	for _, p := range order {
		due = q.first(due, c.Most-len(due), lane{c.From, p}, c.Newest, now)
	}
	var rows []Row
	for _, r := range due {
		q.change(r, func() {
			r.Token++
			r.Owner, r.lease = c.Owner, now.Add(c.Lease)
			if c.From == Unknown {
				r.State = Reconciling
				r.Checks++
			} else {
				r.State = Leased
				r.Attempts++
			}
		})
		rows = append(rows, r.at(now))
	}
	return rows, nil
}

// Write implements [Store].
func (m *Memory) Write(_ context.Context, changes []Change) ([]error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	answers := make([]error, len(changes))
	for i, c := range changes {
		answers[i] = m.write(now, c)
	}
	return answers, nil
}

func (m *Memory) write(now time.Time, c Change) error {
	r := m.rows[c.ID]
	if r == nil || r.Token != c.Token || r.State != c.From {
		return ErrLost
	}
	if c.To == Submitted {
		if now.After(r.lease) {
			return ErrLost
		}
		if r.expired(now) {
			m.queue(r.Queue).change(r, func() { r.end(now, Expired) })
			return ErrExpired
		}
	}
	m.queue(r.Queue).change(r, func() { r.apply(now, c) })
	return nil
}

// apply makes a change that was found right.
func (r *memoryRow) apply(now time.Time, c Change) {
	r.end(now, c.To)
	if c.To == Queued || c.To == Unknown {
		r.delay(now, c.Delay)
	}
	if c.GiveBack && c.From == Reconciling {
		r.Checks--
	} else if c.GiveBack {
		r.Attempts--
	}
	if c.Note != "" {
		r.LastError = c.Note
	}
}

func (r *memoryRow) end(now time.Time, s State) {
	r.State = s
	if s.Final() {
		r.ended = now
	}
}

// Renew implements [Store].
func (m *Memory) Renew(_ context.Context, lease time.Duration, rows []Held) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	kept := make([]bool, len(rows))
	for i, h := range rows {
		if r := m.rows[h.ID]; r != nil && r.Token == h.Token && r.held() {
			r.lease, kept[i] = now.Add(lease), true
		}
	}
	return kept, nil
}

func (r *memoryRow) held() bool {
	return r.State == Leased || r.State == Submitted || r.State == Reconciling
}

// Sweep implements [Store].
func (m *Memory) Sweep(_ context.Context, s Sweep) (swept Swept, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, q := time.Now(), m.queue(s.Queue)
	for _, r := range q.held {
		if now.After(r.lease) {
			q.change(r, func() {
				r.Token++ // whoever held it holds it no more
				r.release(now, s, &swept)
			})
		}
	}
	for _, r := range upTo(&q.ending, s.Most, func(r *memoryRow) bool { return r.expired(now) }) {
		q.change(r, func() { r.end(now, Expired) })
		swept.Expired++
	}
	if s.Retain > 0 {
		for _, r := range upTo(&q.finished, s.Most, func(r *memoryRow) bool { return now.Sub(r.ended) > s.Retain }) {
			m.remove(r)
			swept.Deleted++
		}
	}
	return swept, nil
}

// upTo are the first rows that are over, at most n.
func upTo(s *sorted, n int, over func(*memoryRow) bool) (rows []*memoryRow) {
	for r := range s.all() {
		if len(rows) == n || !over(r) {
			break
		}
		rows = append(rows, r)
	}
	return rows
}

// abandoned is the note of a row whose worker was given up.
const abandoned = "lease ended without a result"

func (r *memoryRow) release(now time.Time, s Sweep, swept *Swept) {
	r.LastError = abandoned
	again := r.State == Leased || r.State == Submitted && s.Resend
	switch {
	case r.State == Reconciling:
		r.State = Unknown
		r.delay(now, s.CheckAfter)
		swept.Released++
	case again && r.Attempts >= s.Tries:
		r.end(now, Dead)
		swept.Dead++
	case again && r.State == Leased:
		r.State = Queued
		r.delay(now, 0)
		swept.Released++
	case again:
		r.State = Queued
		r.delay(now, 0)
		swept.Resent++
	default:
		r.State = Unknown
		r.delay(now, s.CheckAfter)
		swept.Unknown++
	}
}

func (m *Memory) remove(r *memoryRow) {
	m.queue(r.Queue).forget(r)
	delete(m.rows, r.ID)
}

// Stats implements [Store].
func (m *Memory) Stats(_ context.Context, queue string, most int64) (s Stats, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue(queue)
	s.Paused, s.Oldest = q.paused, q.oldest(time.Now())
	for state, n := range q.depth {
		s.Depth[state] = min(n, most)
	}
	return s, nil
}

// matching returns the rows that f selects, by ascending ID.
func (m *Memory) matching(f Filter, also func(*memoryRow) bool) (rows []*memoryRow) {
	most := f.Most
	if most == 0 {
		most = DefaultMost
	}
	q := m.queue(f.Queue)
	among := &q.rows
	if len(f.Keys) > 0 {
		among = &sorted{compare: q.rows.compare}
		for _, key := range slices.Compact(slices.Sorted(slices.Values(f.Keys))) {
			if r := q.keys[key]; r != nil {
				among.add(r)
			}
		}
	}
	for r := range among.after(f.After) {
		if len(rows) == most {
			break
		}
		if also(r) && (len(f.States) == 0 || slices.Contains(f.States, r.State)) {
			rows = append(rows, r)
		}
	}
	return rows
}

func (r *memoryRow) free() bool { return !r.held() }

// List implements [Store].
func (m *Memory) List(_ context.Context, f Filter) (rows []Row, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, r := range m.matching(f, func(*memoryRow) bool { return true }) {
		rows = append(rows, r.at(now))
	}
	return rows, nil
}

// Requeue implements [Store].
func (m *Memory) Requeue(_ context.Context, f Filter) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	rows := m.matching(f, (*memoryRow).free)
	for _, r := range rows {
		m.queue(r.Queue).change(r, func() {
			if r.State == Expired {
				r.notAfter = time.Time{}
			}
			r.State, r.Attempts, r.Checks = Queued, 0, 0
			r.delay(now, 0)
		})
	}
	return int64(len(rows)), nil
}

// Purge implements [Store].
func (m *Memory) Purge(_ context.Context, f Filter) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := m.matching(f, (*memoryRow).free)
	for _, r := range rows {
		m.remove(r)
	}
	return int64(len(rows)), nil
}

// Pause implements [Store].
func (m *Memory) Pause(_ context.Context, queue string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue(queue).paused = true
	return nil
}

// Resume implements [Store].
func (m *Memory) Resume(_ context.Context, queue string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue(queue).paused = false
	return nil
}
