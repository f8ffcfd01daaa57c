package async

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] in this process, for tests and for trying things out: what it
// holds is gone with the process, so nothing that it accepts is durable.
type Memory struct {
	mu     sync.Mutex
	rows   map[int64]*memoryRow
	keys   map[[2]string]int64
	paused map[string]bool
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
	return &Memory{rows: make(map[int64]*memoryRow), keys: make(map[[2]string]int64), paused: make(map[string]bool)}
}

// Put implements [Store].
func (m *Memory) Put(_ context.Context, entries []Entry) ([]Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	answers := make([]Stored, len(entries))
	for i, e := range entries {
		if id, ok := m.keys[[2]string{e.Queue, e.Key}]; ok {
			answers[i] = Stored{Duplicate: true, State: m.rows[id].State}
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
		m.rows[r.ID] = r
		m.keys[[2]string{e.Queue, e.Key}] = r.ID
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
	if m.paused[c.Queue] {
		return nil, nil
	}
	now := time.Now()
	first := func(a, b *memoryRow) int {
		byPriority, byTime := int(b.Priority-a.Priority), a.due.Compare(b.due)
		if byTime == 0 {
			byTime = int(a.ID - b.ID)
		}
		if c.LowFirst {
			byPriority = -byPriority
		}
		if c.Newest {
			byTime = int(b.ID - a.ID)
		}
		if byPriority != 0 {
			return byPriority
		}
		return byTime
	}
	var due []*memoryRow
	for _, r := range m.rows {
		if r.Queue == c.Queue && r.State == c.From && !r.never && !r.due.After(now) && (c.From == Unknown || !r.expired(now)) {
			due = append(due, r)
		}
		if len(due) > 4*c.Most { // of a long queue only its head needs to be in order
			slices.SortFunc(due, first)
			due = due[:c.Most]
		}
	}
	slices.SortFunc(due, first)
	var rows []Row
	for _, r := range due[:min(len(due), c.Most)] {
		r.Token++
		r.Owner, r.lease = c.Owner, now.Add(c.Lease)
		if c.From == Unknown {
			r.State = Reconciling
			r.Checks++
		} else {
			r.State = Leased
			r.Attempts++
		}
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
			r.end(now, Expired)
			return ErrExpired
		}
	}
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
	return nil
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
	now := time.Now()
	for id, r := range m.rows {
		switch {
		case r.Queue != s.Queue:
		case r.held() && now.After(r.lease):
			r.Token++ // whoever held it holds it no more
			r.release(now, s, &swept)
		case r.State == Queued && r.expired(now):
			r.end(now, Expired)
			swept.Expired++
		case (r.State == Delivered || r.State == Expired) && s.Retain > 0 && now.Sub(r.ended) > s.Retain:
			m.remove(id)
			swept.Deleted++
		}
	}
	return swept, nil
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

func (m *Memory) remove(id int64) {
	r := m.rows[id]
	delete(m.keys, [2]string{r.Queue, r.Key})
	delete(m.rows, id)
}

// Stats implements [Store].
func (m *Memory) Stats(_ context.Context, queue string, most int64) (s Stats, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	s.Paused = m.paused[queue]
	for _, r := range m.rows {
		if r.Queue != queue {
			continue
		}
		s.Depth[r.State] = min(s.Depth[r.State]+1, most)
		if r.State == Queued && !r.never {
			s.Oldest = max(s.Oldest, now.Sub(r.due))
		}
	}
	return s, nil
}

// matching returns the IDs that f selects, ascending.
func (m *Memory) matching(f Filter, also func(*memoryRow) bool) (ids []int64) {
	most := f.Most
	if most == 0 {
		most = DefaultMost
	}
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		r := m.rows[id]
		if len(ids) < most && r.Queue == f.Queue && id > f.After && also(r) &&
			(len(f.States) == 0 || slices.Contains(f.States, r.State)) &&
			(len(f.Keys) == 0 || slices.Contains(f.Keys, r.Key)) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (r *memoryRow) free() bool { return !r.held() }

// List implements [Store].
func (m *Memory) List(_ context.Context, f Filter) (rows []Row, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, id := range m.matching(f, func(*memoryRow) bool { return true }) {
		rows = append(rows, m.rows[id].at(now))
	}
	return rows, nil
}

// Requeue implements [Store].
func (m *Memory) Requeue(_ context.Context, f Filter) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	ids := m.matching(f, (*memoryRow).free)
	for _, id := range ids {
		r := m.rows[id]
		if r.State == Expired {
			r.notAfter = time.Time{}
		}
		r.State, r.Attempts, r.Checks = Queued, 0, 0
		r.delay(now, 0)
	}
	return int64(len(ids)), nil
}

// Purge implements [Store].
func (m *Memory) Purge(_ context.Context, f Filter) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := m.matching(f, (*memoryRow).free)
	for _, id := range ids {
		m.remove(id)
	}
	return int64(len(ids)), nil
}

// Pause implements [Store].
func (m *Memory) Pause(_ context.Context, queue string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused[queue] = true
	return nil
}

// Resume implements [Store].
func (m *Memory) Resume(_ context.Context, queue string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.paused, queue)
	return nil
}
