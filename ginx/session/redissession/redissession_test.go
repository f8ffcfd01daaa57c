package redissession_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/ginx/session/redissession"
	"github.com/bulwark-go/bulwark/ginx/session/sessiontest"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LeakOptions()...) }

func TestStore(t *testing.T) {
	sessiontest.Test(t, func(t *testing.T) session.Store {
		return redissession.New(testenv.Redis(t), redissession.WithPrefix(testenv.Name(t)))
	})
}

func TestData(t *testing.T) {
	factory := func(t *testing.T) session.DataStore {
		return redissession.NewData(testenv.Redis(t), redissession.WithPrefix(testenv.Name(t)))
	}
	sessiontest.TestData(t, factory)
	sessiontest.TestForget(t, factory)
}

func TestKeysFollowTheRuleAndAlwaysEnd(t *testing.T) {
	rdb := testenv.Redis(t)
	store, data := redissession.New(rdb), redissession.NewData(rdb, redissession.WithPrefix("mine"))
	require.NoError(t, store.Create(t.Context(), "abc", time.Minute))
	ref, err := data.Create(t.Context(), session.Record{ID: "id", EndsAt: time.Now().Add(time.Hour)}, time.Minute)
	require.NoError(t, err)

	check := func() {
		keys, err := rdb.Keys(t.Context(), "*").Result()
		require.NoError(t, err)
		require.Len(t, keys, 2)
		require.Contains(t, keys, "session:token:{3:abc}")
		for _, key := range keys {
			require.Regexp(t, `^(session:token:\{3:abc\}|mine:\{64:[0-9a-f]{64}\})$`, key)
			require.NotContains(t, key, ref)
			ttl, err := rdb.PTTL(t.Context(), key).Result()
			require.NoError(t, err)
			require.Greater(t, ttl, time.Duration(0), key)
			require.LessOrEqual(t, ttl, time.Minute)
		}
	}
	check()
	_, err = store.Rotate(t.Context(), "abc", session.Rotation{Generation: 1, TTL: time.Minute})
	require.NoError(t, err)
	_, err = data.Access(t.Context(), ref, session.Access{Set: map[string]string{"a": "1"}, TTL: time.Minute})
	require.NoError(t, err)
	check()
	_, err = store.Rotate(t.Context(), "abc", session.Rotation{Generation: 1, Grace: time.Hour, TTL: time.Minute})
	require.NoError(t, err)
	check()
}
