package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Memory is a [Store] in this process. It is safe for concurrent use.
type Memory struct {
	keep int

	mu        sync.Mutex
	revisions []Revision            // oldest first
	changed   chan struct{}         // closed with each revision, and replaced
	instances map[string]membership // some may be over
}

type membership struct {
	Instance
	until time.Time
}

// NewMemory returns a Memory that keeps so many revisions, at least 1.
func NewMemory(history int) (*Memory, error) {
	if history < 1 {
		return nil, bad("history", history, "must be at least 1")
	}
	return &Memory{keep: history, changed: make(chan struct{}), instances: map[string]membership{}}, nil
}

var _ Store = (*Memory)(nil)

// Latest implements [Ledger].
func (m *Memory) Latest(ctx context.Context) (Revision, time.Time, error) {
	if err := ctx.Err(); err != nil {
		return Revision{}, time.Time{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest().clone(), now(), nil
}

// latest needs mu.
func (m *Memory) latest() Revision {
	if len(m.revisions) == 0 {
		return Revision{}
	}
	return m.revisions[len(m.revisions)-1]
}

// now has the precision that all stores have.
func now() time.Time { return time.Now().Truncate(time.Microsecond).UTC() }

// Save implements [Ledger].
func (m *Memory) Save(ctx context.Context, after uint64, e Edit) (Revision, error) {
	if err := ctx.Err(); err != nil {
		return Revision{}, err
	}
	if err := e.validate(); err != nil {
		return Revision{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	latest := m.latest().Number
	if latest != after {
		return Revision{}, fmt.Errorf("%w: revision %d is now %d", rules.ErrStale, after, latest)
	}
	rev := Revision{Edit: e.clone(), Number: max(latest, e.Restores) + 1, Time: now()}
	if e.For > 0 {
		rev.Until = rev.Time.Add(e.For.Truncate(time.Microsecond))
	}
	m.revisions = append(m.revisions, rev)
	if over := len(m.revisions) - m.keep; over > 0 {
		m.revisions = slices.Delete(m.revisions, 0, over)
	}
	close(m.changed)
	m.changed = make(chan struct{})
	return rev.clone(), nil
}

// History implements [Ledger].
func (m *Memory) History(ctx context.Context, n int) ([]Revision, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n = min(max(n, 0), len(m.revisions))
	list := make([]Revision, n)
	for i := range list {
		list[i] = m.revisions[len(m.revisions)-1-i].clone()
	}
	return list, nil
}

// Watch implements [Fleet].
func (m *Memory) Watch(ctx context.Context, changed func()) error {
	for {
		m.mu.Lock()
		next := m.changed
		m.mu.Unlock()
		changed()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		}
	}
}

// Acknowledge implements [Fleet].
func (m *Memory) Acknowledge(ctx context.Context, i Instance, life time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget()
	if life <= 0 {
		delete(m.instances, i.Name)
		return nil
	}
	i.Seen = now()
	m.instances[i.Name] = membership{i, i.Seen.Add(life)}
	return nil
}

// Instances implements [Fleet].
func (m *Memory) Instances(ctx context.Context) ([]Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget()
	var list []Instance
	for member := range maps.Values(m.instances) {
		list = append(list, member.Instance)
	}
	slices.SortFunc(list, func(a, b Instance) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// forget needs mu.
func (m *Memory) forget() {
	now := now()
	maps.DeleteFunc(m.instances, func(_ string, member membership) bool { return !now.Before(member.until) })
}
