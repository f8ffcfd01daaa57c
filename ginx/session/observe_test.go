package session_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/observe"
)

// record is an Observer that keeps the outcomes of the checks it was told of.
type record struct {
	mu       sync.Mutex
	outcomes []observe.Outcome
}

func (r *record) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	return ctx, func(result observe.Result) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.outcomes = append(r.outcomes, result.Outcome)
	}
}

func TestLoginChecksAreReported(t *testing.T) {
	store, seen := &outage{Store: session.NewMemoryStore()}, &record{}
	m, err := session.New(store, newKeys(), session.Config{CacheTTL: time.Nanosecond, StoreTimeout: time.Second}, session.WithObserver(seen))
	require.NoError(t, err)
	tokens, err := m.Issue(t.Context(), 42, browser)
	require.NoError(t, err)
	g := newGate(t, m, session.Public("/users/login"), session.Optional("/articles/pub/:id"), session.FailOpenFor(time.Minute))

	g.do("GET", "/users/login", tokens.Access) // not checked, not reported
	g.do("GET", "/articles/7", tokens.Access)
	g.do("GET", "/articles/pub/7", "")
	g.do("GET", "/articles/pub/7", "null") // what front ends send before the login is no attack
	g.do("GET", "/articles/pub/7", "garbage")
	store.down = true
	g.do("GET", "/articles/7", tokens.Access)
	g.do("POST", "/articles/7", tokens.Access)
	require.Equal(t, []observe.Outcome{
		observe.OK, observe.Skipped, observe.Skipped, observe.Rejected, observe.Degraded, observe.Failed,
	}, seen.outcomes)
}

// A store that panics must not leave the check in flight.
func TestChecksEndEvenInAPanic(t *testing.T) {
	seen := &record{}
	m, err := session.New(panicking{session.NewMemoryStore()}, newKeys(), session.Config{CacheTTL: time.Nanosecond, StoreTimeout: time.Second}, session.WithObserver(seen))
	require.NoError(t, err)
	tokens, err := m.Issue(t.Context(), 42, browser)
	require.NoError(t, err)
	g := newGate(t, m)
	require.Panics(t, func() { g.do("GET", "/articles/7", tokens.Access) })
	require.Equal(t, []observe.Outcome{observe.Panicked}, seen.outcomes)
}

// panicking is a store with a bug.
type panicking struct{ session.Store }

func (panicking) Alive(context.Context, string) (bool, error) { panic("bug") }

func BenchmarkVerify(b *testing.B) {
	m, err := session.New(session.NewMemoryStore(), newKeys(), session.Config{})
	require.NoError(b, err)
	tokens, err := m.Issue(b.Context(), 42, browser)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Verify(b.Context(), tokens.Access, browser); err != nil {
			b.Fatal(err)
		}
	}
}
