package rollout

import (
	"context"
	"time"
)

// Memory is a [Store] in this process.
type Memory struct{}

// NewMemory returns a Memory that keeps that many revisions; at least 1.
func NewMemory(history int) (*Memory, error) { return &Memory{}, nil }

var _ Store = (*Memory)(nil)

// Latest implements [Ledger].
func (m *Memory) Latest(ctx context.Context) (Revision, time.Time, error) {
	return Revision{}, time.Time{}, nil
}

// Save implements [Ledger].
func (m *Memory) Save(ctx context.Context, after uint64, e Edit) (Revision, error) {
	return Revision{}, nil
}

// History implements [Ledger].
func (m *Memory) History(ctx context.Context, n int) ([]Revision, error) { return nil, nil }

// Watch implements [Fleet].
func (m *Memory) Watch(ctx context.Context, changed func()) error { return nil }

// Acknowledge implements [Fleet].
func (m *Memory) Acknowledge(ctx context.Context, i Instance, life time.Duration) error { return nil }

// Instances implements [Fleet].
func (m *Memory) Instances(ctx context.Context) ([]Instance, error) { return nil, nil }
