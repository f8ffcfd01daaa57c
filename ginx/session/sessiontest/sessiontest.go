// Package sessiontest is the contract of session stores in code: a suite that
// every implementation passes.
package sessiontest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ginx/session"
)

const (
	// short is a life that is seen both before and after its end, so it must
	// outlast a pause of the machine.
	short = time.Second
	// soon bounds how long the suite waits for an end.
	soon = 10 * time.Second
)

// Test checks a [session.Store]. Factory is called once per case and returns an
// empty store. The cases run in parallel.
func Test(t *testing.T, factory func(t *testing.T) session.Store) {
	cases := []struct {
		name string
		test func(t *testing.T, s session.Store)
	}{
		{"an unknown session is dead and never comes into being", unknown},
		{"a created session lives until its time to live is over", expires},
		{"an id can not be created twice", taken},
		{"each rotation yields the next generation", rotates},
		{"within the grace the generation before yields the current one", grace},
		{"a spent generation ends the session", reused},
		{"a generation older than the one before has no grace", older},
		{"a generation ahead of the store is taken over", ahead},
		{"a rotation sets the time to live", rotationExpires},
		{"the grace extends the session as a rotation does", graceExpires},
		{"revoking ends the session, also for rotation", revokes},
		{"sessions do not touch each other", independent},
		{"parallel rotations of one generation agree on one successor", parallel},
		{"of parallel rotations without grace one wins, and the session ends", parallelReuse},
		{"a canceled context is an error, not an answer", canceled},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, factory(t))
		})
	}
}

func alive(t *testing.T, s session.Store, id string) bool {
	t.Helper()
	ok, err := s.Alive(t.Context(), id)
	require.NoError(t, err)
	return ok
}

func rotation(generation int64, grace time.Duration) session.Rotation {
	return session.Rotation{Generation: generation, Grace: grace, TTL: time.Hour}
}

func rotate(t *testing.T, s session.Store, id string, generation int64, grace time.Duration) int64 {
	t.Helper()
	got, err := s.Rotate(t.Context(), id, rotation(generation, grace))
	require.NoError(t, err)
	return got
}

func create(t *testing.T, s session.Store, id string, ttl time.Duration) {
	t.Helper()
	require.NoError(t, s.Create(t.Context(), id, ttl))
}

func unknown(t *testing.T, s session.Store) {
	require.False(t, alive(t, s, "nobody"))
	_, err := s.Rotate(t.Context(), "nobody", rotation(1, time.Hour))
	require.ErrorIs(t, err, session.ErrRevoked)
	require.False(t, alive(t, s, "nobody"), "rotating must not create")
	require.NoError(t, s.Revoke(t.Context(), "nobody"))
}

func expires(t *testing.T, s session.Store) {
	create(t, s, "short", short)
	create(t, s, "long", time.Hour)
	require.True(t, alive(t, s, "short"))
	require.Eventually(t, func() bool { return !alive(t, s, "short") }, soon, 5*time.Millisecond)
	_, err := s.Rotate(t.Context(), "short", rotation(1, time.Hour))
	require.ErrorIs(t, err, session.ErrRevoked)
	require.True(t, alive(t, s, "long"))
}

func taken(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	rotate(t, s, "a", 1, 0)
	require.Error(t, s.Create(t.Context(), "a", time.Hour))
	require.EqualValues(t, 3, rotate(t, s, "a", 2, 0), "the first one must be unharmed")
}

func rotates(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	for generation := int64(1); generation < 20; generation++ {
		require.Equal(t, generation+1, rotate(t, s, "a", generation, 0))
		require.True(t, alive(t, s, "a"))
	}
}

func grace(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	require.EqualValues(t, 2, rotate(t, s, "a", 1, time.Hour))
	require.EqualValues(t, 2, rotate(t, s, "a", 1, time.Hour))
	require.EqualValues(t, 2, rotate(t, s, "a", 1, time.Hour), "nothing may move within the grace")
	require.EqualValues(t, 3, rotate(t, s, "a", 2, time.Hour))
}

func reused(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	rotate(t, s, "a", 1, 0)
	_, err := s.Rotate(t.Context(), "a", rotation(1, 0))
	require.ErrorIs(t, err, session.ErrReused)
	require.False(t, alive(t, s, "a"))
	_, err = s.Rotate(t.Context(), "a", rotation(2, time.Hour))
	require.ErrorIs(t, err, session.ErrRevoked, "the thief's and the owner's successor both end")
}

func older(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	rotate(t, s, "a", 1, time.Hour)
	rotate(t, s, "a", 2, time.Hour)
	_, err := s.Rotate(t.Context(), "a", rotation(1, time.Hour))
	require.ErrorIs(t, err, session.ErrReused)
	require.False(t, alive(t, s, "a"))
}

func ahead(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	require.EqualValues(t, 8, rotate(t, s, "a", 7, 0))
	_, err := s.Rotate(t.Context(), "a", rotation(7, 0))
	require.ErrorIs(t, err, session.ErrReused)
}

func rotationExpires(t *testing.T, s session.Store) {
	create(t, s, "shortened", time.Hour)
	create(t, s, "extended", short)
	rotate(t, s, "extended", 1, 0)
	_, err := s.Rotate(t.Context(), "shortened", session.Rotation{Generation: 1, TTL: short + 50*time.Millisecond})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !alive(t, s, "shortened") }, soon, 5*time.Millisecond)
	require.True(t, alive(t, s, "extended"))
}

func graceExpires(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	rotate(t, s, "a", 1, time.Hour)
	_, err := s.Rotate(t.Context(), "a", session.Rotation{Generation: 1, Grace: time.Hour, TTL: 50 * time.Millisecond})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !alive(t, s, "a") }, soon, 5*time.Millisecond)
}

func revokes(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	require.NoError(t, s.Revoke(t.Context(), "a"))
	require.False(t, alive(t, s, "a"))
	_, err := s.Rotate(t.Context(), "a", rotation(1, time.Hour))
	require.ErrorIs(t, err, session.ErrRevoked)
	require.False(t, alive(t, s, "a"))
	require.NoError(t, s.Revoke(t.Context(), "a"), "twice is fine")
}

func independent(t *testing.T, s session.Store) {
	for _, id := range []string{"a", "b", "a}b", "ab"} {
		create(t, s, id, time.Hour)
	}
	require.NoError(t, s.Revoke(t.Context(), "a"))
	require.True(t, alive(t, s, "b"))
	require.True(t, alive(t, s, "a}b"))
	rotate(t, s, "b", 1, 0)
	require.EqualValues(t, 2, rotate(t, s, "ab", 1, 0))
}

func parallel(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	for _, result := range atOnce(t, s, 32, rotation(1, time.Hour)) {
		require.NoError(t, result.err)
		require.EqualValues(t, 2, result.generation)
	}
	require.EqualValues(t, 3, rotate(t, s, "a", 2, 0))
}

func parallelReuse(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	won := 0
	for _, result := range atOnce(t, s, 32, rotation(1, 0)) {
		if result.err == nil {
			won++
			require.EqualValues(t, 2, result.generation)
		}
	}
	require.Equal(t, 1, won)
	require.False(t, alive(t, s, "a"))
}

type result struct {
	generation int64
	err        error
}

// atOnce rotates session "a" n times in parallel.
func atOnce(t *testing.T, s session.Store, n int, r session.Rotation) []result {
	t.Helper()
	results := make([]result, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			<-start
			results[i].generation, results[i].err = s.Rotate(t.Context(), "a", r)
		})
	}
	close(start)
	wg.Wait()
	return results
}

func canceled(t *testing.T, s session.Store) {
	create(t, s, "a", time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Alive(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Rotate(ctx, "a", rotation(1, 0))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, s.Create(ctx, "b", time.Hour), context.Canceled)
	require.ErrorIs(t, s.Revoke(ctx, "a"), context.Canceled)
	require.EqualValues(t, 2, rotate(t, s, "a", 1, 0), "nothing may have happened")
}
