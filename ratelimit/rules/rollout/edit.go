package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Latest brings the set up to date with the store and returns the revision that
// both have. A page shows this one and passes its number back to Save. If the store
// cannot be asked, the error comes with the revision that the set runs.
func (f *Follower) Latest(ctx context.Context) (Revision, error) {
	err := f.sync(ctx)
	return f.now().held.clone(), err
}

// Save makes a revision of e and puts it in force here; the other instances follow.
// It fails with [rules.ErrStale], and changes nothing, if the latest revision is not
// that with the number after, and with [*ratelimit.FieldError]s for bad rules or a
// missing author. What it sets in e itself is ignored. A latest revision that is
// damaged is replaced by passing the number of its [*DocumentError].
//
// After another error it may have been saved or not: look at the history.
func (f *Follower) Save(ctx context.Context, after uint64, e Edit) (Revision, error) {
	e.Then, e.Base, e.Restores, e.Configured = nil, 0, 0, ""
	return f.save(ctx, after, e)
}

// Rollback is Save of the rules that the revision with the number to had, for good.
// It fails with [ErrUnknown] if the history does not reach as far.
func (f *Follower) Rollback(ctx context.Context, after, to uint64, author, note string) (Revision, error) {
	history, err := f.History(ctx, math.MaxInt32)
	for _, r := range history {
		if r.Number == to { // what else the history holds may be damaged
			return f.save(ctx, after, Edit{Rules: r.Rules, Author: author, Note: note, Restores: to})
		}
	}
	return Revision{}, errors.Join(fmt.Errorf("%w: %d", ErrUnknown, to), err)
}

func (f *Follower) save(ctx context.Context, after uint64, e Edit) (Revision, error) {
	if err := e.validate(); err != nil {
		return Revision{}, err
	}
	if err := f.set.Check(e.Rules); err != nil {
		return Revision{}, err
	}
	if err := f.take(ctx); err != nil {
		return Revision{}, err
	}
	defer f.give()
	latest, err := f.look(ctx)
	var damaged *DocumentError
	if errors.As(err, &damaged) && damaged.Number == after && after > 0 {
		latest = f.now().held // what stood before the damage, as far as this instance knows
	} else if err != nil {
		return Revision{}, err
	} else if latest.Number != after {
		return Revision{}, fmt.Errorf("%w: revision %d is now %d", rules.ErrStale, after, latest.Number)
	}
	rev, err := f.write(ctx, after, e.over(latest))
	f.wake() // to acknowledge it, or to look whether it was saved all the same
	if err != nil {
		return Revision{}, err
	}
	if err := f.apply(rev); err != nil {
		return rev, f.failed(ctx, err)
	}
	f.change(func(s *state) { s.failures, s.err = 0, nil })
	return rev, nil
}

// over returns e in place of the latest revision: with what comes back after it when
// it is for a time, and with what the configuration had asked for.
func (e Edit) over(latest Revision) Edit {
	if e.Configured == "" {
		e.Configured = latest.Configured
	}
	switch {
	case e.For == 0:
	case latest.Temporary():
		e.Then, e.Base = latest.Then, latest.Base
	default:
		e.Then, e.Base = latest.Rules, latest.Number
	}
	return e
}

// History returns the last n revisions, or as many as the store keeps, newest first;
// see [Ledger].
func (f *Follower) History(ctx context.Context, n int) ([]Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	return f.store.History(ctx, n)
}

// Instances returns what each instance runs, by name; see [Fleet].
func (f *Follower) Instances(ctx context.Context) ([]Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	return f.store.Instances(ctx)
}
