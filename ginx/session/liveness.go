package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// liveness answers whether a session lives, and what is stored with it: from
// memory for cacheTTL, from the store otherwise, one question at a time per
// session.
type liveness[V any] struct {
	bounds bounds
	// key is what an id is remembered by.
	key func(id string) string
	// fetch asks the store. Its errors are ErrRevoked and failures of the store.
	fetch func(ctx context.Context, id string) (V, error)

	mu      sync.RWMutex
	known   *expiring[verdict[V]]
	flights map[string]*flight[V]
	// contact and failed are when the last question was asked that the store
	// answered, and that it did not.
	contact, failed time.Time
}

type bounds struct {
	cacheTTL, storeTimeout time.Duration
	// keepAlive and keepDead are how long verdicts are kept for an outage. A dead
	// session must stay dead for as long as anybody can present its token.
	keepAlive, keepDead time.Duration
	size                int
}

// verdict is what the store said of a session.
type verdict[V any] struct {
	value V
	dead  bool
	// asked is when the question was put: an answer is never newer than that.
	asked time.Time
}

func (v verdict[V]) err() error {
	if v.dead {
		return ErrRevoked
	}
	return nil
}

// flight is a question under way, for all who have the same one.
type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
}

func newLiveness[V any](b bounds, key func(string) string, fetch func(context.Context, string) (V, error)) *liveness[V] {
	return &liveness[V]{
		bounds: b, key: key, fetch: fetch,
		known: newExpiring[verdict[V]](b.size), flights: make(map[string]*flight[V]),
	}
}

// source tells where a verdict comes from. The zero source is the store.
type source uint8

const (
	asked source = iota
	remembered
	trusted
)

// check returns what is stored with a living session. When the store does not
// answer and less than failOpen has passed since it last did, a session that is
// not known to be dead is taken on trust, with the value last seen, if any.
func (l *liveness[V]) check(ctx context.Context, id string, failOpen time.Duration) (value V, from source, err error) {
	now, key := time.Now(), l.key(id)
	l.mu.RLock()
	v, ok := l.known.get(key, now)
	away := l.failed.After(l.contact) && now.Sub(l.failed) < l.bounds.cacheTTL
	l.mu.RUnlock()
	if ok && now.Sub(v.asked) < l.bounds.cacheTTL {
		return v.value, remembered, v.err()
	}
	if failOpen > 0 && away {
		// Reads need not all wait for a store that just failed to answer.
		return l.trust(key, failOpen, ErrUnavailable)
	}
	value, err = l.ask(ctx, id, key)
	if failOpen > 0 && errors.Is(err, ErrUnavailable) {
		return l.trust(key, failOpen, err)
	}
	return value, asked, err
}

func (l *liveness[V]) trust(key string, failOpen time.Duration, err error) (value V, from source, _ error) {
	now := time.Now()
	l.mu.RLock()
	defer l.mu.RUnlock()
	v, _ := l.known.get(key, now)
	if v.dead {
		return value, remembered, ErrRevoked
	}
	if l.contact.IsZero() || now.Sub(l.contact) >= failOpen {
		return value, asked, err
	}
	return v.value, trusted, nil
}

// ask puts the question to the store, or waits for the answer to the same
// question. Whoever asks does so under their own context; when they give up, one
// of those who wait asks again.
func (l *liveness[V]) ask(ctx context.Context, id, key string) (V, error) {
	for {
		l.mu.Lock()
		f := l.flights[key]
		if f == nil {
			f = &flight[V]{done: make(chan struct{}), err: ErrUnavailable}
			l.flights[key] = f
			l.mu.Unlock()
			l.fly(ctx, id, key, f)
			return f.value, f.err
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			var none V
			return none, fmt.Errorf("session: %w", ctx.Err())
		case <-f.done:
		}
		if f.err == nil || errors.Is(f.err, ErrRevoked) || errors.Is(f.err, ErrUnavailable) {
			return f.value, f.err
		}
	}
}

func (l *liveness[V]) fly(ctx context.Context, id, key string, f *flight[V]) {
	defer func() {
		l.mu.Lock()
		delete(l.flights, key)
		l.mu.Unlock()
		close(f.done)
	}()
	began := time.Now()
	f.err = l.call(ctx, func(ctx context.Context) (err error) {
		f.value, err = l.fetch(ctx, id)
		return err
	})
	switch took := time.Since(began); {
	case f.err == nil && took > l.bounds.storeTimeout:
		// A logout may have overtaken this answer.
		f.err = fmt.Errorf("%w: the answer took %v", ErrUnavailable, took)
	case f.err == nil:
		l.learn(id, verdict[V]{value: f.value, asked: began})
	case errors.Is(f.err, ErrRevoked):
		l.learn(id, verdict[V]{dead: true, asked: began})
	}
}

// call runs one call of the store under its time-out and tells the store's
// failures from its answers and from the caller's own cancellation.
func (l *liveness[V]) call(ctx context.Context, f func(context.Context) error) error {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, l.bounds.storeTimeout)
	defer cancel()
	err := f(limited)
	answered := err == nil || isRefusal(err) || errors.Is(err, ErrTooLarge)
	if !answered && ctx.Err() != nil {
		return fmt.Errorf("session: %w", ctx.Err())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if answered {
		l.contact = later(l.contact, began)
		return err
	}
	l.failed = later(l.failed, began)
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// learn keeps what is known of a session. Of two answers the one that was asked
// for last holds, whichever arrives last.
func (l *liveness[V]) learn(id string, v verdict[V]) {
	now, key := time.Now(), l.key(id)
	keep := l.bounds.keepAlive
	if v.dead {
		keep = l.bounds.keepDead
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, ok := l.known.get(key, now); ok && old.asked.After(v.asked) {
		return
	}
	l.known.put(key, v, now, now.Add(keep))
}

// bury marks a session dead that was ended here.
func (l *liveness[V]) bury(id string) { l.learn(id, verdict[V]{dead: true, asked: time.Now()}) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
