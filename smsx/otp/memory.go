package otp

import (
	"context"
	"sync"
	"time"
)

// Memory is a [Store] in memory, for one instance and for tests. It is safe for
// concurrent use. Make it with [NewMemory].
type Memory struct {
	now      func() time.Time
	capacity int

	mu     sync.Mutex
	states map[string]*state
	swept  time.Time
}

// NewMemory returns an empty store of up to a million subjects; more are refused
// with [ErrFull], since forgetting one would forget what it may no longer do.
func NewMemory(opts ...MemoryOption) *Memory {
	m := &Memory{now: time.Now, capacity: 1_000_000, states: map[string]*state{}}
	for _, opt := range opts {
		opt.applyMemory(m)
	}
	return m
}

// MemoryOption configures a [Memory].
type MemoryOption interface{ applyMemory(*Memory) }

type memoryOption func(*Memory)

func (f memoryOption) applyMemory(m *Memory) { f(m) }

// WithClock sets the wall clock, safe for concurrent use. Without it it is
// [time.Now].
func WithClock(now func() time.Time) MemoryOption {
	return memoryOption(func(m *Memory) { m.now = now })
}

// WithCapacity sets how many subjects there can be, at least one.
func WithCapacity(n int) MemoryOption {
	return memoryOption(func(m *Memory) { m.capacity = max(n, 1) })
}

// Issue implements [Store].
func (m *Memory) Issue(ctx context.Context, name string, in Issue) (Issued, error) {
	if err := ctx.Err(); err != nil {
		return Issued{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	s := m.find(name, now)
	if s == nil {
		if !m.room(now) {
			return Issued{}, ErrFull
		}
		s = &state{}
		m.states[name] = s
	}
	return s.issue(now, in), nil
}

// Verify implements [Store].
func (m *Memory) Verify(ctx context.Context, name string, in Guess) (Outcome, error) {
	if err := ctx.Err(); err != nil {
		return Absent, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	s := m.find(name, now)
	if s == nil {
		s = &state{} // as much work as for a subject that is known
	}
	return s.verify(now, in), nil
}

// Refund implements [Store].
func (m *Memory) Refund(ctx context.Context, name, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if s := m.find(name, now); s != nil && s.id == id {
		s.advance(now)
		s.id, s.code, s.cooldown = "", "", 0
	}
	return nil
}

func (m *Memory) find(name string, now time.Time) *state {
	s := m.states[name]
	if s != nil && s.idle(now) {
		delete(m.states, name)
		return nil
	}
	return s
}

// room makes room for one, by looking through all at most once a second.
func (m *Memory) room(now time.Time) bool {
	if len(m.states) < m.capacity {
		return true
	}
	if now.Sub(m.swept).Abs() < time.Second {
		return false
	}
	m.swept = now
	for name, s := range m.states {
		if s.idle(now) {
			delete(m.states, name)
		}
	}
	return len(m.states) < m.capacity
}
