package quota

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// DefaultRetention is how long an ID is remembered after its last use, unless an
// option says otherwise.
const DefaultRetention = 72 * time.Hour

// ErrFull means that a memory quota has no room for another ID.
var ErrFull = errors.New("quota: memory is full")

// Memory is a [Quota] in memory, for one instance and for tests. It is safe for
// concurrent use. Make it with [NewMemory].
type Memory struct {
	now       func() time.Time
	zone      *time.Location
	retention time.Duration
	capacity  int

	mu       sync.Mutex
	accounts map[string]*account
	entries  map[name]*entry
	swept    time.Time
}

type name struct{ account, id string }

// account is a month's count.
type account struct{ month, spent int64 }

// entry is a message's. The scripts of redisquota do the same, and a property test
// holds the two together.
type entry struct {
	state   byte
	tries   string // a sign for each: open, or closed when it sent nothing
	units   int64
	month   int64 // start, Unix s
	content string
	until   int64 // ms
}

const (
	reserved byte = iota
	committed
	refunded

	open, closed = "1", "0"
)

// NewMemory returns a quota of which nothing is spent, for up to a million IDs at a
// time; [ErrFull] refuses more, since forgetting one could charge it twice. Months
// are of UTC without [WithZone].
func NewMemory(opts ...Option) (*Memory, error) {
	m := &Memory{
		now: time.Now, zone: time.UTC, retention: DefaultRetention, capacity: 1_000_000,
		accounts: map[string]*account{}, entries: map[name]*entry{},
	}
	for _, opt := range opts {
		opt.apply(m)
	}
	var errs []error
	if m.now == nil {
		errs = append(errs, errors.New("quota: clock = nil must be given"))
	}
	if m.zone == nil {
		errs = append(errs, errors.New("quota: zone = nil must be given"))
	}
	if m.retention < time.Second || m.retention%time.Millisecond != 0 {
		errs = append(errs, fmt.Errorf("quota: retention = %v must be whole milliseconds from a second", m.retention))
	}
	if m.capacity < 1 {
		errs = append(errs, fmt.Errorf("quota: capacity = %d must be at least 1", m.capacity))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

// Option configures a [Memory].
type Option interface{ apply(*Memory) }

type optionFunc func(*Memory)

func (f optionFunc) apply(m *Memory) { f(m) }

// WithClock sets the wall clock, safe for concurrent use; [time.Now] without it.
func WithClock(now func() time.Time) Option { return optionFunc(func(m *Memory) { m.now = now }) }

// WithZone sets the time zone whose months count.
func WithZone(zone *time.Location) Option { return optionFunc(func(m *Memory) { m.zone = zone }) }

// WithRetention sets how long an ID is remembered after its last use: longer than
// messages are retried.
func WithRetention(d time.Duration) Option { return optionFunc(func(m *Memory) { m.retention = d }) }

// WithCapacity sets how many IDs there can be at a time.
func WithCapacity(n int) Option { return optionFunc(func(m *Memory) { m.capacity = n }) }

// Reserve implements [Quota].
func (m *Memory) Reserve(ctx context.Context, c Charge) (Decision, error) {
	if err := errors.Join(ctx.Err(), c.Check()); err != nil {
		return Decision{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	start, end := Month(now, m.zone)
	a := m.account(c.Account, start.Unix())
	answer := func(v Verdict, try int) (Decision, error) {
		return Decision{v, Ticket{c.Account, c.ID, try}, a.spent, end.Sub(now.Truncate(time.Millisecond))}, nil
	}
	e := m.find(name{c.Account, c.ID}, now)
	if e != nil {
		switch {
		case e.content != c.Content || e.units != c.Units:
			return answer(Conflict, 0)
		case e.state == committed:
			return answer(Duplicate, 0)
		case len(e.tries) >= MaxTries:
			return answer(Overtried, 0)
		}
	}
	if e == nil || e.state == refunded {
		if a.spent+c.Units > c.Capacity {
			return answer(Exhausted, 0)
		}
		if e == nil {
			if !m.room(now) {
				return Decision{}, ErrFull
			}
			e = &entry{units: c.Units, content: c.Content}
			m.entries[name{c.Account, c.ID}] = e
		}
		a.spent += c.Units
		e.month, e.state = a.month, reserved
	}
	e.tries += open
	e.until = now.UnixMilli() + m.retention.Milliseconds()
	return answer(Granted, len(e.tries))
}

// Commit implements [Quota].
func (m *Memory) Commit(ctx context.Context, t Ticket, units int64) error {
	return m.settle(ctx, t, func(e *entry, a *account) {
		e.state = committed
		if rest := e.units - max(units, 0); rest > 0 && strings.Count(e.tries, open) == 1 {
			giveBack(e, a, rest)
		}
	})
}

// Refund implements [Quota].
func (m *Memory) Refund(ctx context.Context, t Ticket) error {
	return m.settle(ctx, t, func(e *entry, a *account) {
		e.tries = e.tries[:t.Try-1] + closed + e.tries[t.Try:]
		if !strings.Contains(e.tries, open) {
			e.state = refunded
			giveBack(e, a, e.units)
		}
	})
}

// settle runs f on the reservation of an open try.
func (m *Memory) settle(ctx context.Context, t Ticket, f func(*entry, *account)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	e := m.find(name{t.Account, t.ID}, now)
	if e == nil || e.state != reserved || t.Try < 1 || t.Try > len(e.tries) || e.tries[t.Try-1:t.Try] != open {
		return nil
	}
	f(e, m.accounts[t.Account])
	e.until = now.UnixMilli() + m.retention.Milliseconds()
	return nil
}

// giveBack does so if the account is still in the month that was charged.
func giveBack(e *entry, a *account, units int64) {
	if a != nil && a.month == e.month {
		a.spent -= units
	}
}

// account returns an account in its month. A clock that was set back over a month's
// beginning leaves it in the later one, as else its capacity would come twice.
func (m *Memory) account(key string, month int64) *account {
	a := m.accounts[key]
	if a == nil {
		a = &account{}
		m.accounts[key] = a
	}
	if a.month < month {
		*a = account{month: month}
	}
	return a
}

// find returns an entry that is still remembered.
func (m *Memory) find(n name, now time.Time) *entry {
	if e := m.entries[n]; e != nil && e.until > now.UnixMilli() {
		return e
	}
	return nil
}

// room forgets what has passed its retention when it has to, at most once a second.
// Accounts of months that have passed go too.
func (m *Memory) room(now time.Time) bool {
	if len(m.entries) < m.capacity {
		return true
	}
	if now.Sub(m.swept).Abs() >= time.Second {
		m.swept = now
		for n := range m.entries {
			if m.find(n, now) == nil {
				delete(m.entries, n)
			}
		}
		month, _ := Month(now, m.zone)
		for key, a := range m.accounts {
			if a.month < month.Unix() {
				delete(m.accounts, key)
			}
		}
	}
	return len(m.entries) < m.capacity
}
