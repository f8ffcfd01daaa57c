package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// attempts is how often a look starts again because others changed the store
// between a read and a write. Each time somebody got on.
const attempts = 10

// automatic is the author of what followers save by themselves.
const automatic = "rollout"

// look makes the set and the store equal: mostly by applying what the store has,
// but a store that lost what runs here gets it back, and a revision whose time is
// over is followed by the rules that stood before. It needs the turn.
func (f *Follower) look(ctx context.Context) (Revision, error) {
	for range attempts {
		latest, err := f.read(ctx)
		if err != nil {
			return latest, f.failed(ctx, err)
		}
		var next Edit
		held := f.now()
		switch {
		case latest.Number == 0 || held.held.lostTo(latest):
			if held.held.Number == 0 { // the set may have been changed since New
				held.held.Rules, _ = f.set.Rules()
			}
			next = held.restored()
		case latest.Temporary() && !held.storeTime().Before(latest.Until):
			next = latest.after()
		default:
			if err := f.apply(latest); err != nil {
				return latest, f.failed(ctx, err)
			}
			f.change(func(s *state) { s.failures, s.err = 0, nil })
			return latest, nil
		}
		if _, err := f.write(ctx, latest.Number, next); err != nil && !errors.Is(err, rules.ErrStale) {
			return latest, f.failed(ctx, err)
		}
	}
	return Revision{}, f.failed(ctx, fmt.Errorf("%w, %d times in a row", rules.ErrStale, attempts))
}

// lostTo tells whether the store, whose latest is given, has lost r, and nobody has
// decided anything since. If somebody has, on what the store had left, that counts.
func (r Revision) lostTo(latest Revision) bool {
	if latest.Number != r.Number {
		return latest.Number < r.Number
	}
	// An instance that had not heard of r yet restored what was before it.
	return !latest.Time.Equal(r.Time) && latest.Author == automatic && latest.Restores < r.Number
}

// read asks the store, and sets the clock by it.
func (f *Follower) read(ctx context.Context) (Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	latest, stored, err := f.store.Latest(ctx)
	if err == nil {
		f.change(func(s *state) { s.stored, s.checked = stored, time.Now() })
	}
	return latest, err
}

func (f *Follower) write(ctx context.Context, after uint64, e Edit) (Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	return f.store.Save(ctx, after, e)
}

// apply puts a revision in force. It needs the turn.
func (f *Follower) apply(r Revision) error {
	s := f.now()
	_, version := f.set.Rules()
	same := r.Number == s.held.Number && r.Time.Equal(s.held.Time) && !s.ended
	if same && version == s.version { // nor has anybody changed the set itself
		return nil
	}
	if err := f.set.Replace(r.Rules); err != nil {
		return fmt.Errorf("rollout: revision %d: %w", r.Number, err)
	}
	_, version = f.set.Rules()
	f.change(func(s *state) { s.held, s.version, s.ended = r.clone(), version, false })
	return nil
}

// failed remembers a failure, and returns it. When it was the caller who gave up,
// nothing has failed.
func (f *Follower) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	f.change(func(s *state) {
		s.failures++
		s.err = err
	})
	f.end()
	return err
}

// end puts in force what follows a temporary revision when the store cannot be
// asked: that its time is over is known here, too.
func (f *Follower) end() {
	s := f.now()
	if !s.held.Temporary() || s.ended || s.storeTime().Before(s.held.Until) {
		return
	}
	if err := f.set.Replace(s.held.Then); err != nil {
		f.change(func(s *state) { s.err = errors.Join(s.err, err) })
		return
	}
	_, version := f.set.Rules()
	f.change(func(s *state) { s.ended, s.version = true, version })
}

// storeTime is the store's clock, as far as it is known: it was read once, and this
// machine's monotonic clock tells how long ago.
func (s *state) storeTime() time.Time {
	if s.checked.IsZero() {
		return time.Time{}
	}
	return s.stored.Add(time.Since(s.checked))
}

// restored is the edit that brings what is held back into a store that lost it, or
// never had it.
func (s *state) restored() Edit {
	e := s.held.clone().Edit
	e.Author, e.Restores = automatic, s.held.Number
	e.Note = fmt.Sprintf("the store had lost revision %d of %s", s.held.Number, s.held.Author)
	if s.held.Number == 0 {
		e.Note = "the store was empty: these rules were configured"
		e.Configured = digest(e.Rules)
	}
	if !s.held.Temporary() {
		return e
	}
	if e.For = s.held.Until.Sub(s.storeTime()); e.For < shortest {
		e.Rules, e.Then, e.Base, e.For = e.Then, nil, 0, 0
	}
	return e
}

// after is the edit that follows a temporary revision.
func (r Revision) after() Edit {
	return Edit{
		Rules: r.Then, Author: automatic, Restores: r.Base, Configured: r.Configured,
		Note: fmt.Sprintf("revision %d of %s has ended", r.Number, r.Author),
	}
}
