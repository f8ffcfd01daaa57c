package session

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// MemoryLimit bounds the sessions of a store in memory: some 15 MB in
// [MemoryStore], 35 MB and the fields in [MemoryData]. When it is reached, the
// session nearest to its end gives way to a new one.
const MemoryLimit = 100_000

// MemoryStore is a [Store] for tests and for services of one node: it forgets
// everything when the process ends. It is bounded by [MemoryLimit], runs no
// goroutine, and is safe for concurrent use.
type MemoryStore struct {
	mu       sync.Mutex
	sessions *expiring[generation]
}

// generation is the current one, and since when.
type generation struct {
	number int64
	since  time.Time
}

// NewMemoryStore returns an empty MemoryStore.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{sessions: newExpiring[generation](MemoryLimit)}
}

// Create implements [Store].
func (s *MemoryStore) Create(ctx context.Context, id string, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if _, taken := s.sessions.get(id, now); taken {
		return fmt.Errorf("session: id %s is taken", id)
	}
	s.sessions.put(id, generation{number: 1, since: now}, now, now.Add(ttl))
	return nil
}

// Alive implements [Store].
func (s *MemoryStore) Alive(ctx context.Context, id string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.sessions.get(id, time.Now())
	return ok, nil
}

// Rotate implements [Store].
func (s *MemoryStore) Rotate(ctx context.Context, id string, r Rotation) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	g, ok := s.sessions.get(id, now)
	switch {
	case !ok:
		return 0, ErrRevoked
	case r.Generation >= g.number:
		g = generation{number: r.Generation + 1, since: now}
	case r.Generation < g.number-1 || now.Sub(g.since) >= r.Grace:
		s.sessions.remove(id)
		return 0, ErrReused
	}
	s.sessions.put(id, g, now, now.Add(r.TTL))
	return g.number, nil
}

// Revoke implements [Store].
func (s *MemoryStore) Revoke(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.remove(id)
	return nil
}
