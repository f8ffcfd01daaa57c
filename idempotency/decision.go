package idempotency

import "time"

// Kind is what a [Decision] says. The zero Kind is Undecided.
type Kind uint8

// The kinds.
const (
	// Undecided: nothing is known; beside an error, or from [Store.Peek].
	Undecided Kind = iota
	// First: the effect was run and is committed.
	First
	// Repeat: an earlier delivery's effect is committed.
	Repeat
	// InProgress: someone works on it under a lease. Try again later.
	InProgress
	// Conflict: the key was used with another payload.
	Conflict

	kinds
)

var kindNames = [kinds]string{"undecided", "first", "repeat", "in_progress", "conflict"}

// String returns the kind's label value; "invalid" for a value out of range.
func (k Kind) String() string {
	if k >= kinds {
		return "invalid"
	}
	return kindNames[k]
}

// Via is where a [Decision] was found. The zero Via is the database.
type Via uint8

// The places.
const (
	// ViaDatabase: the unique index.
	ViaDatabase Via = iota
	// ViaFilter: a pre-check within the process.
	ViaFilter
	// ViaRedis: a mark in Redis.
	ViaRedis

	vias
)

var viaNames = [vias]string{"database", "filter", "redis"}

// String returns the place's label value; "invalid" for a value out of range.
func (v Via) String() string {
	if v >= vias {
		return "invalid"
	}
	return viaNames[v]
}

// Decision tells what became of a delivery.
type Decision struct {
	// Kind is what was decided.
	Kind Kind
	// Via is where.
	Via Via
	// Answer is what the first effect of [Store.DoAnswer] answered; nil where there is
	// none.
	Answer []byte
	// RetryAfter is for how long the lease of an InProgress one still lasts.
	RetryAfter time.Duration
}

// Done tells whether the effect is committed: the delivery is first, or a repeat.
func (d Decision) Done() bool { return d.Kind == First || d.Kind == Repeat }

// Err returns what [Store.Do] would return for the decision on key: nil for First and
// Repeat, a [*ConflictError], an [*InProgressError].
func (d Decision) Err(key Key) error {
	switch d.Kind {
	case Conflict:
		return &ConflictError{Key: key}
	case InProgress:
		return &InProgressError{Key: key, RetryAfter: d.RetryAfter}
	default:
		return nil
	}
}
