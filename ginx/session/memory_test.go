package session_test

import (
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/ginx/session/sessiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryStore(t *testing.T) {
	sessiontest.Test(t, func(*testing.T) session.Store { return session.NewMemoryStore() })
}

func TestMemoryData(t *testing.T) {
	factory := func(*testing.T) session.DataStore { return session.NewMemoryData() }
	sessiontest.TestData(t, factory)
	sessiontest.TestForget(t, factory)
}

func TestCookieData(t *testing.T) {
	sessiontest.TestData(t, func(t *testing.T) session.DataStore {
		d, err := session.NewCookieData(newKey("c"))
		require.NoError(t, err)
		return d
	})
}

// wait lets d pass; in a synctest bubble that takes no time.
func wait(d time.Duration) { <-time.After(d) }

func newKey(id string) session.Key {
	secret := make([]byte, session.MinSecret)
	_, _ = rand.Read(secret)
	return session.Key{ID: id, Secret: secret}
}

func newKeys() session.Keys {
	return session.Keys{Access: []session.Key{newKey("a1")}, Refresh: []session.Key{newKey("r1")}}
}

func TestMemoryStoreTellsTheGraceToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := session.NewMemoryStore()
		require.NoError(t, s.Create(t.Context(), "a", time.Hour))
		rotation := session.Rotation{Generation: 1, Grace: 10 * time.Second, TTL: time.Hour}
		_, err := s.Rotate(t.Context(), "a", rotation)
		require.NoError(t, err)
		wait(10*time.Second - time.Millisecond)
		_, err = s.Rotate(t.Context(), "a", rotation)
		require.NoError(t, err)
		wait(time.Millisecond)
		_, err = s.Rotate(t.Context(), "a", rotation)
		require.ErrorIs(t, err, session.ErrReused)
	})
}
