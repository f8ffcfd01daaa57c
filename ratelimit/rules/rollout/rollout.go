// Package rollout steers the rules of a fleet while it runs: a [Follower] keeps
// the [rules.Set] of each instance equal to a [Store], in which each change is a
// numbered [Revision] with an author.
//
//		store, err := redisrules.New(rdb, "api")
//		follower, err := rollout.New(set, store, "pod-7", rollout.Config{})
//		go follower.Run(ctx)
//		…
//		rev, err := follower.Save(ctx, seen.Number, rollout.Edit{Rules: edited, Author: "kim"})
//
//	  - A change is made against the revision that its author saw. If another came
//	    first, it is refused with [rules.ErrStale] and changes nothing.
//	  - A revision with a limited life ends by itself: whichever instance notices
//	    first saves the rules that stood before as a new revision.
//	  - A rollback is a new revision too. Numbers only grow.
//	  - Bad rules are refused when they are saved, and again where they are read: a
//	    document that someone damaged never replaces good rules.
//	  - Rules that a configuration file asks for come in when the file's own rules
//	    have changed, once for all instances, and not over what people decided since:
//	    see [Follower.Configure].
//	  - While the store fails, the rules in force stay. [Follower.Snapshot] tells
//	    since when, and why.
//	  - A store that has lost its revisions gets back, from the first instance that
//	    notices, the newest that one runs, under a higher number. The same fills a
//	    new store with the rules that the first set was made with.
//
// Nothing runs but in [Follower.Run]; a page that only looks needs no more than
// the methods.
package rollout

import (
	"context"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Edit is a change that somebody wants.
type Edit struct {
	// Rules are all rules that shall be in force.
	Rules []rules.Rule
	// Author says who wants it, for the history.
	Author string
	// Note says why; it may be empty.
	Note string
	// For limits the life of the change; 0 is for good. A [Store] counts in
	// microseconds, by its own clock.
	For time.Duration

	// Then are the rules that come back after For, and Base is the number of their
	// revision. [Follower.Save] sets them: those of the last revision without a
	// limit.
	Then []rules.Rule
	Base uint64
	// Restores is the number of the revision whose rules are taken up again: by a
	// rollback, at the end of a temporary one, or after the store lost it. The
	// Follower sets it; 0 otherwise.
	Restores uint64
	// Configured tells which rules the configuration asked for when it was heard
	// last: a digest of theirs. The Follower sets it; see [Follower.Configure].
	Configured string
}

// Revision is an edit that was saved.
type Revision struct {
	Edit
	// Number is 1 or more, and only grows; 0 is that of a store without revisions.
	Number uint64
	// Time is when it was saved, by the store's clock.
	Time time.Time
	// Until is when it ends; zero if never.
	Until time.Time
}

// Temporary tells whether the revision ends by itself.
func (r Revision) Temporary() bool { return !r.Until.IsZero() }

// Store is a [Ledger] and a [Fleet] in one place. [NewMemory] makes one for a
// single process, package redisrules one for many; package rulestest has what
// both must pass. It is safe for concurrent use.
type Store interface {
	Ledger
	Fleet
}

// Ledger keeps revisions.
type Ledger interface {
	// Latest returns the revision with the highest number, or the zero Revision,
	// and the store's time. It fails with a [*DocumentError] on what it cannot
	// read.
	Latest(ctx context.Context) (Revision, time.Time, error)

	// Save makes a revision of e if the latest is that with the number after, or
	// there is none and after is 0; else it fails with [rules.ErrStale]. The new
	// number is the next after both the latest and e.Restores. Bad rules are
	// refused with [*ratelimit.FieldError]s.
	//
	// After another error it may have been saved or not.
	Save(ctx context.Context, after uint64, e Edit) (Revision, error)

	// History returns the last n revisions, or as many as are kept, newest first.
	// What cannot be read is left out, and joined to the error as
	// [*DocumentError]s beside the rest.
	History(ctx context.Context, n int) ([]Revision, error)
}

// Fleet lets instances hear of revisions and of each other.
type Fleet interface {
	// Watch calls changed once it listens, and then whenever the latest revision
	// may be another, on the goroutine that called it. It returns when it has to stop
	// listening, with the error, or
	// that of ctx. Whoever watches looks from time to time as well.
	Watch(ctx context.Context, changed func()) error

	// Acknowledge says which revision an instance runs. It is forgotten after
	// life, if not said again; with a life of 0, at once.
	Acknowledge(ctx context.Context, i Instance, life time.Duration) error

	// Instances returns those that are not forgotten, by name.
	Instances(ctx context.Context) ([]Instance, error)
}

// Instance is a process that runs a revision.
type Instance struct {
	Name string
	// Revision is the number of the revision that it runs.
	Revision uint64
	// Problem says why it does not run the latest, or has been unable to look;
	// empty if all is well.
	Problem string
	// Seen is when it was heard of last, by the store's clock. A store sets it.
	Seen time.Time
}

// DocumentError is returned for a revision that the store holds but that is none:
// it was damaged, or written by something else.
type DocumentError struct {
	// Number is that of the revision; 0 where it is not known.
	Number uint64
	// Err says what is wrong, with a [*ratelimit.FieldError] for each bad field.
	Err error
}
