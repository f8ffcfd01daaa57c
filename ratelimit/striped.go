package ratelimit

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Striped is a token bucket for paths where even one clock reading for a call is
// too dear: each processor takes tokens from a [Bucket] in batches, and spends
// them without looking at the clock or at the others.
//
// The price is exactness. Tokens of a batch may be spent long after they were
// taken: in any window it admits up to processors × batch more than its Bucket.
// And a batch that one processor holds is out of the others' reach, so that up to
// (processors - 1) × batch tokens may be refused for a while. Keep
// processors × batch small against the burst.
type Striped struct {
	bucket *Bucket
	batch  int64
	cells  []cell
	turn   atomic.Uint32
	// pool serves each processor the cell that it had last. It holds pointers
	// into cells only, so what the garbage collector drops from it loses nothing.
	pool sync.Pool
}

// cell is one processor's batch, on a cache line of its own.
type cell struct {
	tokens atomic.Int64
	refill sync.Mutex
	_      [128 - 16]byte
}

// NewStriped returns a Striped that takes batch tokens at a time from bucket, or
// as many as there are. The batch must be from 1 to the bucket's burst.
func NewStriped(bucket *Bucket, batch int64) (*Striped, error) {
	if bucket == nil {
		return nil, &FieldError{"bucket", "nil", "must be given"}
	}
	if burst := bucket.Quota().Burst; batch < 1 || batch > burst {
		return nil, &FieldError{"batch", batch, "must be from 1 to the bucket's burst"}
	}
	s := &Striped{bucket: bucket, batch: batch, cells: make([]cell, runtime.GOMAXPROCS(0))}
	s.pool.New = func() any { return &s.cells[int(s.turn.Add(1)-1)%len(s.cells)] }
	return s, nil
}

// Allow takes one token, and reports whether there was one.
func (s *Striped) Allow() bool {
	c := s.pool.Get().(*cell)
	ok := c.tokens.Add(-1) >= 0 || s.takeBatch(c)
	s.pool.Put(c)
	return ok
}

// takeBatch fetches a batch for c and takes one token of it.
func (s *Striped) takeBatch(c *cell) bool {
	c.refill.Lock()
	defer c.refill.Unlock()
	if c.tokens.Load() > 0 && c.tokens.Add(-1) >= 0 {
		return true // somebody else has refilled it
	}
	n := s.bucket.takeUpTo(s.batch)
	// Whoever has decremented since found no token, and waits for the lock or was
	// refused: overwriting the count takes nothing from anybody.
	c.tokens.Store(max(n-1, 0))
	return n > 0
}

// Most implements [Bounded].
func (s *Striped) Most(window time.Duration) int64 {
	if window <= 0 {
		return 0
	}
	return plus(s.bucket.Most(window), int64(len(s.cells))*s.batch)
}
