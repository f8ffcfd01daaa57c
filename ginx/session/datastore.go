package session

import (
	"context"
	"time"
)

// DataStore keeps server-side sessions: who is logged in, and fields of text. A
// session is addressed by a reference, which is what the cookie holds: a random
// id where the store remembers, or the sealed session itself. sessiontest.TestData
// and sessiontest.TestForget are the contract in code; [MemoryData],
// [CookieData] and redissession.Data keep it.
//
// Every method is atomic and safe for concurrent use, except that two changes of
// one sealed session can't know of each other. A reference that leads to no
// living session is [ErrRevoked]; what else goes wrong is taken as
// [ErrUnavailable].
type DataStore interface {
	// Create stores a session without fields, for ttl, and returns its reference.
	Create(ctx context.Context, r Record, ttl time.Duration) (ref string, err error)
	// Access reads and changes a session, in this order: changes, extension,
	// reading. It never creates one.
	Access(ctx context.Context, ref string, a Access) (Record, error)
	// Drop forgets the session. An unknown one is no error. A store that seals
	// the session into the reference can't: the copy lives to its end.
	Drop(ctx context.Context, ref string) error
}

// Access is what to do with a session. The zero Access reads who it belongs to.
type Access struct {
	// Set sets fields, Delete deletes fields; other fields stay as they are.
	Set    map[string]string
	Delete []string
	// TTL, when positive, is how long the session lives from now on, but never
	// beyond its EndsAt. When the last extension is less than After ago, nothing
	// is extended.
	TTL, After time.Duration
	// Get names the fields to read.
	Get []string
}

// Record is a server-side session.
type Record struct {
	// ID names the session in logs. Unlike the reference, it opens nothing.
	ID string
	// UserID is who is logged in; 0 is nobody.
	UserID int64
	// EndsAt is the absolute end, in whole milliseconds.
	EndsAt time.Time
	// Fields are those asked for that the session has.
	Fields map[string]string
	// Extended tells whether the session lives for longer now.
	Extended bool
	// Ref is the reference to use from now on.
	Ref string
}
