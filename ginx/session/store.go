package session

import (
	"context"
	"time"
)

// Store remembers the living token sessions: for each its generation, and when
// it came to it. sessiontest.Test is its contract in code; [MemoryStore] and
// redissession.Store keep it.
//
// Every method is atomic and safe for concurrent use, and honours ctx. What the
// methods do not name as their answer is an error of the store: the caller takes
// it as [ErrUnavailable].
type Store interface {
	// Create remembers a new session at generation 1, for ttl. An id that is
	// taken is an error.
	Create(ctx context.Context, id string, ttl time.Duration) error
	// Alive tells whether the session is remembered.
	Alive(ctx context.Context, id string) (bool, error)
	// Rotate trades a generation for the next one and returns that. See Rotation.
	Rotate(ctx context.Context, id string, r Rotation) (generation int64, err error)
	// Revoke forgets the session. An unknown one is no error.
	Revoke(ctx context.Context, id string) error
}

// Rotation asks a [Store] to move a session on. By what is presented:
//
//   - the current generation: the next one is current from now on;
//   - the one before, and the current one came less than Grace ago: the current
//     one is the answer, nothing moves;
//   - a later one than the store knows: it must have lost a write, for tokens are
//     signed. The presented one counts as current;
//   - any other: the session is forgotten, and the error is [ErrReused].
//
// A session that is not remembered is never created; the error is [ErrRevoked].
// Whenever a generation is returned, the session is remembered for TTL from now.
type Rotation struct {
	// Generation is the presented one, at least 1.
	Generation int64
	// Grace is measured by the store's clock; 0 means none.
	Grace time.Duration
	// TTL is positive.
	TTL time.Duration
}
