package async

import (
	"context"
	"time"
)

// State is where a stored request stands. The zero State is Queued.
//
//	Queued ─claim─▶ Leased ─submit─▶ Submitted ─▶ Delivered | Dead | Queued (again)
//	   │               │                 │
//	   ▼               ▼ lease ends      ▼ lease ends, or nobody knows
//	Expired         Queued            Unknown ─claim─▶ Reconciling ─▶ any of these
type State uint8

// The states. Delivered, Dead and Expired are final: nothing but an operator's
// requeue leads out of them.
const (
	// Queued: to be delivered when due.
	Queued State = iota
	// Leased: claimed by a worker that has not called yet.
	Leased
	// Submitted: the call is being made, or was made by a worker that died.
	Submitted
	// Unknown: nobody knows whether the call was carried out.
	Unknown
	// Reconciling: claimed by a worker that finds out.
	Reconciling
	// Delivered: carried out.
	Delivered
	// Dead: given up, for the reason in [Row.LastError].
	Dead
	// Expired: not delivered within [Terms.NotAfter].
	Expired

	states
)

var stateNames = []string{"queued", "leased", "submitted", "unknown", "reconciling", "delivered", "dead", "expired"}

// String returns the state's name, "invalid" for a value out of range.
func (s State) String() string { return nameOf(stateNames, int(s)) }

// States are all of them, in order.
func States() []State {
	all := make([]State, states)
	for i := range all {
		all[i] = State(i)
	}
	return all
}

// Final tells whether the request is at its end.
func (s State) Final() bool { return s >= Delivered && s < states }

// Priority decides which of the due requests is claimed first. The zero Priority
// is Normal.
type Priority int8

// The priorities. One claim in eight begins at the other end, so that Low waits
// longer but never for ever.
const (
	Low    Priority = -1
	Normal Priority = 0
	High   Priority = 1
)

// Priorities are all of them, the highest first.
func Priorities() []Priority { return []Priority{High, Normal, Low} }

// Entry is a request to be stored.
type Entry struct {
	// Queue is [Config.Name], Key the request's name in it.
	Queue, Key string
	// Priority is one of [Priorities].
	Priority Priority
	// State is Queued or Unknown.
	State State
	// Delay is how long from now the request is due; negative is never, until an
	// operator's requeue.
	Delay time.Duration
	// NotAfter is how long from now it is worth delivering; 0 is for ever.
	NotAfter time.Duration
	// Payload is the encoded request; Carried what was saved of its context.
	Payload []byte
	Carried map[string]string
	// Reason tells why it is stored, Note the error that led here.
	Reason Reason
	Note   string
}

// Stored is what became of an [Entry].
type Stored struct {
	// Duplicate tells that the queue had its key before, in State; the Entry was not
	// stored.
	Duplicate bool
	State     State
}

// Row is a stored request. Durations are relative to the store's clock at the time
// of the answer.
type Row struct {
	// ID is the store's own name for the row, and Token that of its present lease;
	// with both a worker proves that it holds the row.
	ID, Token int64
	// Queue, Key, Priority, State, Payload, Carried and Reason are those stored.
	Queue, Key string
	Priority   Priority
	State      State
	Payload    []byte
	Carried    map[string]string
	Reason     Reason
	// Attempts counts claims for delivery that were not given back, this one
	// included; Checks those for reconciling.
	Attempts, Checks int
	// Age is how long ago it was stored.
	Age time.Duration
	// Due is how long until it is due; negative when it has been for some time.
	Due time.Duration
	// Left is how long it is still worth delivering: 0 is for ever, negative is
	// expired.
	Left time.Duration
	// LastError is what went wrong last, for people.
	LastError string
	// Owner is the worker that claimed it last.
	Owner string
}

// Claim asks a [Store] for due requests.
type Claim struct {
	// Queue and Owner name the queue and the worker.
	Queue, Owner string
	// From is Queued, to deliver, or Unknown, to reconcile.
	From State
	// Most is how many rows are wanted, at least 1.
	Most int
	// Lease is how long they are held.
	Lease time.Duration
	// Newest asks for those stored last first.
	Newest bool
	// LowFirst begins at the lowest priority.
	LowFirst bool
}

// Change moves a claimed row on. It applies only while the row is in From with the
// Token given.
type Change struct {
	ID, Token int64
	// From is the state that the worker holds the row in, To the next one. From
	// Leased to Submitted it also needs the lease not to be over, and the request to
	// be still worth delivering; an expired one becomes Expired instead.
	From, To State
	// Delay is how long from now the row is due, where To is Queued or Unknown;
	// negative is never.
	Delay time.Duration
	// GiveBack takes the attempt, or check, of the present claim back.
	GiveBack bool
	// Note replaces [Row.LastError] when it is not empty.
	Note string
}

// Held is a row that a worker holds, to be renewed.
type Held struct{ ID, Token int64 }

// Sweep asks a [Store] to put away what time has decided.
type Sweep struct {
	Queue string
	// Resend says that Submitted rows whose lease is over become Queued, not
	// Unknown.
	Resend bool
	// CheckAfter is the Delay of those that become Unknown; negative is never.
	CheckAfter time.Duration
	// Tries is after how many attempts a row whose lease is over is Dead instead of
	// Queued.
	Tries int
	// Retain is how long Delivered and Expired rows are kept; 0 is for ever.
	Retain time.Duration
	// Most bounds the rows of each kind that one Sweep touches.
	Most int
}

// Swept counts what a [Sweep] moved.
type Swept struct {
	// Released went from Leased to Queued or from Reconciling to Unknown, Unknown
	// and Resent from Submitted, Dead from either, Expired from Queued; Deleted were
	// at their end.
	Released, Unknown, Resent, Dead, Expired, Deleted int64
}

// Stats are figures of one queue.
type Stats struct {
	// Depth counts rows by state. Each count is exact up to the bound that was asked
	// for.
	Depth [states]int64
	// Oldest is for how long the Queued row that has been due longest has been due; 0
	// when none is due.
	Oldest time.Duration
	// Paused tells whether the queue is paused.
	Paused bool
}

// Backlog counts what still takes work: everything that is not final.
func (s Stats) Backlog() int64 {
	var n int64
	for state, count := range s.Depth {
		if !State(state).Final() {
			n += count
		}
	}
	return n
}

// Filter selects rows of a queue.
type Filter struct {
	// Queue is required.
	Queue string
	// States selects by state; none is all of them. Requeue and Purge need some.
	States []State
	// Keys selects by key; none is all of them.
	Keys []string
	// After selects rows with a higher ID, for paging.
	After int64
	// Most bounds the answer, or the rows that are changed; 0 is 100.
	Most int
}

// DefaultMost is what a zero [Filter.Most] means.
const DefaultMost = 100

// Store keeps requests. Every method is atomic for each row, durable when it
// returns without an error, and safe for concurrent use by many processes; times
// are those of one clock that all of them share. An error means that nothing is
// known: the work may have been done. async/asynctest is the suite that every Store
// passes.
type Store interface {
	// Put stores the entries, each key of a queue once. The answers are in the order
	// of entries.
	Put(ctx context.Context, entries []Entry) ([]Stored, error)
	// Claim leases due rows that are still worth delivering, in the order of priority
	// and due time, and counts the attempt or check. No two claims return the same
	// row while its lease lasts. A paused queue has none.
	Claim(ctx context.Context, c Claim) ([]Row, error)
	// Write applies the changes. The answers are in their order: nil, or [ErrLost]
	// where the row was not held, or [ErrExpired].
	Write(ctx context.Context, changes []Change) ([]error, error)
	// Renew makes leases last for lease from now, and tells for each whether it was
	// still held.
	Renew(ctx context.Context, lease time.Duration, rows []Held) ([]bool, error)
	// Sweep puts away what time has decided.
	Sweep(ctx context.Context, s Sweep) (Swept, error)
	// Stats returns the figures of a queue, counting each state up to most.
	Stats(ctx context.Context, queue string, most int64) (Stats, error)
	// List returns rows by ascending ID.
	List(ctx context.Context, f Filter) ([]Row, error)
	// Requeue makes rows Queued and due now, with no attempts made. Rows that a
	// worker holds are left alone.
	Requeue(ctx context.Context, f Filter) (int64, error)
	// Purge deletes rows. Rows that a worker holds are left alone.
	Purge(ctx context.Context, f Filter) (int64, error)
	// Pause stops claims of a queue, everywhere, until Resume.
	Pause(ctx context.Context, queue string) error
	// Resume ends a pause.
	Resume(ctx context.Context, queue string) error
}
