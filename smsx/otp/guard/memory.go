package guard

import (
	"context"
	"sync"
	"time"
)

// Memory is a [Store] in memory, for one instance and for tests: one that restarts
// begins with full accounts. It is safe for concurrent use. Make it with [NewMemory].
type Memory struct {
	now      func() time.Time
	capacity int

	mu                        sync.Mutex
	prefixes, countries, nets table
	today                     int64
	spent                     int
	spread                    map[string]map[string]bool // countries by network, of today
	recent, older             map[string]bool            // verified numbers, two generations
}

// NewMemory returns a store of up to 100,000 accounts of a sort, and ten times as many
// verified numbers. Accounts beyond that share one, so that new names are no way
// around.
func NewMemory(opts ...MemoryOption) *Memory {
	m := &Memory{now: time.Now, capacity: 100_000, spread: map[string]map[string]bool{}, recent: map[string]bool{}}
	for _, opt := range opts {
		opt.applyMemory(m)
	}
	m.prefixes, m.countries, m.nets = newTable(m.capacity), newTable(m.capacity), newTable(m.capacity)
	return m
}

// MemoryOption configures a [Memory].
type MemoryOption interface{ applyMemory(*Memory) }

type memoryOption func(*Memory)

func (f memoryOption) applyMemory(m *Memory) { f(m) }

// WithClock sets the wall clock, safe for concurrent use; it is [time.Now] without, or
// with nil.
func WithClock(now func() time.Time) MemoryOption {
	return memoryOption(func(m *Memory) {
		if now != nil {
			m.now = now
		}
	})
}

// WithCapacity sets how many accounts of a sort there can be, at least one.
func WithCapacity(n int) MemoryOption {
	return memoryOption(func(m *Memory) { m.capacity = max(n, 1) })
}

// Take implements [Store].
func (m *Memory) Take(ctx context.Context, s Send, l Limits) (Decision, error) {
	if err := ctx.Err(); err != nil {
		return Decision{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recent[s.Number] || m.older[s.Number] {
		return Decision{Allowed: true, Known: true}, nil
	}
	now := m.roll()
	a := m.accounts(s, l, now)
	if why := m.refusal(a, s, l, now); why != "" {
		return Decision{Reason: why}, nil
	}
	for _, charged := range a {
		charged.add(-1, now)
	}
	m.spent++
	m.note(s)
	return Decision{Allowed: true}, nil
}

// roll begins a new day when it is time, and returns the milliseconds it is.
func (m *Memory) roll() int64 {
	now := m.now().UnixMilli()
	if today := now / 86_400_000; today != m.today {
		m.today, m.spent, m.spread = today, 0, map[string]map[string]bool{}
	}
	return now
}

func (m *Memory) refusal(a [3]*account, s Send, l Limits, now int64) Reason {
	reached := m.spread[s.Network]
	switch {
	case m.spent >= l.DailyCap:
		return BySpend
	case !a[0].open(now):
		return ByNetwork
	case len(reached) >= l.CountriesPerNetwork && !reached[s.Country]:
		return ByCountries
	case !a[1].open(now):
		return ByPrefix
	case !a[2].open(now):
		return ByCountry
	}
	return ""
}

// note remembers which countries a network asked for, of as many networks as there
// is room.
func (m *Memory) note(s Send) {
	reached := m.spread[s.Network]
	if reached == nil {
		if len(m.spread) >= m.capacity {
			return
		}
		reached = map[string]bool{}
		m.spread[s.Network] = reached
	}
	reached[s.Country] = true
}

// Earn implements [Store].
func (m *Memory) Earn(ctx context.Context, s Send, l Limits) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recent[s.Number] || m.older[s.Number] {
		m.recent[s.Number] = true
		return nil
	}
	if len(m.recent) >= 5*m.capacity {
		m.recent, m.older = map[string]bool{}, m.recent
	}
	m.recent[s.Number] = true
	now := m.roll()
	for _, account := range m.accounts(s, l, now) {
		account.add(float64(l.PerVerified), now)
	}
	return nil
}

// Refund implements [Store].
func (m *Memory) Refund(ctx context.Context, s Send, l Limits) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.roll()
	m.spent = max(m.spent-1, 0) // yesterday's, at midnight, makes today's cap one more
	for _, account := range m.accounts(s, l, now) {
		account.add(1, now)
	}
	return nil
}

// accounts returns those of the network, the prefix and the country.
func (m *Memory) accounts(s Send, l Limits, now int64) [3]*account {
	return [3]*account{
		m.nets.get(s.Network, l.Network, now), m.prefixes.get(s.Prefix, l.Prefix, now), m.countries.get(s.Country, l.Country, now),
	}
}

// account is what may be sent on trust. What time brings is added when it is looked
// at: a full account in a day.
type account struct {
	credit, most float64
	dry          bool  // it ran dry and was not yet seen half full again
	at           int64 // when the credit was that, in ms
}

// held is the credit by now.
func (a *account) held(now int64) float64 {
	return min(a.credit+a.most*float64(max(now-a.at, 0))/86_400_000, a.most)
}

// open tells whether a send may be charged.
func (a *account) open(now int64) bool {
	credit := a.held(now)
	a.dry = credit < 1 || a.dry && credit < a.most/2
	return !a.dry
}

// add gives, or charges, up to what the account holds at most.
func (a *account) add(n float64, now int64) { a.credit, a.at = min(a.held(now)+n, a.most), now }

// table holds accounts by key; those beyond its capacity share one.
type table struct {
	capacity int
	byKey    map[string]*account
	rest     *account
	swept    int64
}

func newTable(capacity int) table {
	return table{capacity: capacity, byKey: map[string]*account{}}
}

// get returns the account of a key, which holds most from now on.
func (t *table) get(key string, most int, now int64) *account {
	a := t.byKey[key]
	switch {
	case a != nil:
	case t.room(now):
		a = &account{credit: float64(most), at: now}
		t.byKey[key] = a
	case t.rest == nil:
		t.rest = &account{credit: float64(most), at: now}
		fallthrough
	default:
		a = t.rest
	}
	a.most, a.at = float64(most), min(a.at, now) // a clock that was set back goes on from here
	return a
}

// room forgets full accounts, which are as good as new ones, when it has to and at
// most once a second.
func (t *table) room(now int64) bool {
	if len(t.byKey) < t.capacity {
		return true
	}
	if d := now - t.swept; -1000 < d && d < 1000 {
		return false
	}
	t.swept = now
	for key, a := range t.byKey {
		if a.held(now) >= a.most {
			delete(t.byKey, key)
		}
	}
	return len(t.byKey) < t.capacity
}
