package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// liveness answers whether a session lives: from memory for CacheTTL, from the
// store otherwise, one question at a time per session.
type liveness struct {
	store Store
	cfg   Config

	mu      sync.RWMutex
	known   *expiring[verdict]
	flights map[string]*flight
	// contact and failed are when the last question was asked that the store
	// answered, and that it did not.
	contact, failed time.Time
}

// verdict is what the store said of a session. A dead one is kept for as long as
// its access token could last, so that an outage does not bring it back.
type verdict struct {
	dead bool
	// asked is when the question was put: an answer is never newer than that.
	asked time.Time
}

// flight is a question under way, for all who have the same one.
type flight struct {
	done chan struct{}
	err  error
}

func newLiveness(store Store, cfg Config) *liveness {
	return &liveness{
		store: store, cfg: cfg,
		known: newExpiring[verdict](cfg.CacheSize), flights: make(map[string]*flight),
	}
}

// check returns nil for a living session. When the store does not answer and
// less than failOpen has passed since it last did, a session that is not known
// to be dead is taken on trust.
func (l *liveness) check(ctx context.Context, id string, failOpen time.Duration) (trusted bool, err error) {
	now := time.Now()
	l.mu.RLock()
	v, ok := l.known.get(id, now)
	away := l.failed.After(l.contact) && now.Sub(l.failed) < l.cfg.CacheTTL
	l.mu.RUnlock()
	if ok && now.Sub(v.asked) < l.cfg.CacheTTL {
		return false, v.err()
	}
	if failOpen > 0 && away {
		// Reads need not all wait for a store that just failed to answer.
		return l.trust(id, failOpen, ErrUnavailable)
	}
	err = l.ask(ctx, id)
	if failOpen > 0 && errors.Is(err, ErrUnavailable) {
		return l.trust(id, failOpen, err)
	}
	return false, err
}

func (l *liveness) trust(id string, failOpen time.Duration, err error) (bool, error) {
	now := time.Now()
	l.mu.RLock()
	defer l.mu.RUnlock()
	if v, ok := l.known.get(id, now); ok && v.dead {
		return false, ErrRevoked
	}
	if l.contact.IsZero() || now.Sub(l.contact) >= failOpen {
		return false, err
	}
	return true, nil
}

// ask puts the question to the store, or waits for the answer to the same
// question. Whoever asks does so under their own context; when they give up, one
// of those who wait asks again.
func (l *liveness) ask(ctx context.Context, id string) error {
	for {
		l.mu.Lock()
		f := l.flights[id]
		if f == nil {
			f = &flight{done: make(chan struct{}), err: ErrUnavailable}
			l.flights[id] = f
			l.mu.Unlock()
			return l.fly(ctx, id, f)
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return fmt.Errorf("session: %w", ctx.Err())
		case <-f.done:
		}
		if f.err == nil || errors.Is(f.err, ErrRevoked) || errors.Is(f.err, ErrUnavailable) {
			return f.err
		}
	}
}

func (l *liveness) fly(ctx context.Context, id string, f *flight) error {
	defer func() {
		l.mu.Lock()
		delete(l.flights, id)
		l.mu.Unlock()
		close(f.done)
	}()
	asked, alive := time.Now(), false
	f.err = l.call(ctx, func(ctx context.Context) (err error) {
		alive, err = l.store.Alive(ctx, id)
		return err
	})
	if f.err != nil {
		return f.err
	}
	if alive && time.Since(asked) > l.cfg.StoreTimeout {
		// A logout may have overtaken this answer.
		f.err = fmt.Errorf("%w: the answer took %v", ErrUnavailable, time.Since(asked))
		return f.err
	}
	v := verdict{dead: !alive, asked: asked}
	l.learn(id, v)
	f.err = v.err()
	return f.err
}

// call runs one call of the store under StoreTimeout and tells the store's
// failures from its answers and from the caller's own cancellation.
func (l *liveness) call(ctx context.Context, f func(context.Context) error) error {
	asked := time.Now()
	limited, cancel := context.WithTimeout(ctx, l.cfg.StoreTimeout)
	defer cancel()
	err := f(limited)
	answered := err == nil || errors.Is(err, ErrRevoked) || errors.Is(err, ErrReused)
	if !answered && ctx.Err() != nil {
		return fmt.Errorf("session: %w", ctx.Err())
	}
	l.mu.Lock()
	if answered {
		l.contact = later(l.contact, asked)
	} else {
		l.failed = later(l.failed, asked)
	}
	l.mu.Unlock()
	if !answered {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// learn keeps what is known of a session. Of two answers the one that was asked
// for last holds, whichever arrives last.
func (l *liveness) learn(id string, v verdict) {
	now := time.Now()
	ends := v.asked.Add(l.cfg.CacheTTL)
	if v.dead {
		ends = now.Add(l.cfg.AccessTTL + l.cfg.Leeway)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, ok := l.known.get(id, now); ok && old.asked.After(v.asked) {
		return
	}
	l.known.put(id, v, now, ends)
}

func (v verdict) err() error {
	if v.dead {
		return ErrRevoked
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
