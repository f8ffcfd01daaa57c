package session

import (
	"context"
	"crypto/rand"
	"maps"
	"sync"
	"time"
)

// MemoryData is a [DataStore] for tests and for services of one node: it forgets
// everything when the process ends. It is bounded by [MemoryLimit] sessions, runs
// no goroutine, and is safe for concurrent use.
type MemoryData struct {
	mu       sync.Mutex
	sessions *expiring[*memorySession]
}

type memorySession struct {
	record   Record // Fields are all of them
	extended time.Time
	ends     time.Time
}

// NewMemoryData returns an empty MemoryData.
func NewMemoryData() *MemoryData {
	return &MemoryData{sessions: newExpiring[*memorySession](MemoryLimit)}
}

// Create implements [DataStore].
func (d *MemoryData) Create(ctx context.Context, r Record, ttl time.Duration) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	now := time.Now()
	r.Ref, r.Fields, r.Extended = rand.Text(), map[string]string{}, false
	s := &memorySession{record: r, extended: now, ends: sooner(now.Add(ttl), r.EndsAt)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions.put(r.Ref, s, now, s.ends)
	return r.Ref, nil
}

// Access implements [DataStore].
func (d *MemoryData) Access(ctx context.Context, ref string, a Access) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	s, ok := d.sessions.get(ref, now)
	if !ok {
		return Record{}, ErrRevoked
	}
	maps.Copy(s.record.Fields, a.Set)
	for _, field := range a.Delete {
		delete(s.record.Fields, field)
	}
	r := s.record
	if a.due(now, s.extended) {
		r.Extended, s.extended, s.ends = true, now, sooner(now.Add(a.TTL), r.EndsAt)
		d.sessions.put(ref, s, now, s.ends)
	}
	r.Fields = a.read(s.record.Fields)
	return r, nil
}

// Drop implements [DataStore].
func (d *MemoryData) Drop(ctx context.Context, ref string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions.remove(ref)
	return nil
}

// due tells whether to extend a session that was extended last at the time given.
func (a Access) due(now, extended time.Time) bool {
	return a.TTL > 0 && now.Sub(extended) >= a.After
}

func (a Access) read(fields map[string]string) map[string]string {
	found := make(map[string]string, len(a.Get))
	for _, field := range a.Get {
		if value, ok := fields[field]; ok {
			found[field] = value
		}
	}
	return found
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
