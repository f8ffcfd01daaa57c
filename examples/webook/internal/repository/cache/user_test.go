package cache_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

var ann = domain.User{
	ID: 7, Email: "ann@example.com", Nickname: "Ann", AboutMe: "“hi”\n",
	Birthday: time.Date(1990, 5, 17, 0, 0, 0, 0, time.UTC),
}

func TestACopyComesBackAsItWas(t *testing.T) {
	rdb := testenv.Redis(t)
	users := cache.NewUsers(rdb, time.Minute)
	_, err := users.Get(t.Context(), ann.ID)
	require.ErrorIs(t, err, cache.ErrMiss)
	require.NoError(t, users.Store(t.Context(), ann, time.Minute))
	got, err := users.Get(t.Context(), ann.ID)
	require.NoError(t, err)
	require.Equal(t, ann, got)
	ttl := rdb.TTL(t.Context(), "user:info:7").Val()
	require.Greater(t, ttl, 50*time.Second)
	require.LessOrEqual(t, ttl, time.Minute)
}

func TestWhatCanNotBeReadIsAMiss(t *testing.T) {
	rdb := testenv.Redis(t)
	users := cache.NewUsers(rdb, time.Minute)
	for _, text := range []string{"", "nonsense", "{}", `{"id":8}`, `{"id":7,"birthday":5}`} {
		require.NoError(t, rdb.Set(t.Context(), "user:info:7", text, 0).Err())
		_, err := users.Get(t.Context(), 7)
		require.ErrorIs(t, err, cache.ErrMiss, text)
	}
}

// A reader that read the row before an edit must not bring the old values back
// after it.
func TestALateCopyOfTheOldRowIsNotStored(t *testing.T) {
	rdb := testenv.Redis(t)
	users := cache.NewUsers(rdb, time.Minute)
	require.NoError(t, users.Store(t.Context(), ann, time.Minute))
	require.NoError(t, users.Forget(t.Context(), ann.ID))
	_, err := users.Get(t.Context(), ann.ID)
	require.ErrorIs(t, err, cache.ErrMiss)
	require.NoError(t, users.Store(t.Context(), ann, time.Minute))
	_, err = users.Get(t.Context(), ann.ID)
	require.ErrorIs(t, err, cache.ErrMiss)
}

func TestTheFenceFallsByItself(t *testing.T) {
	rdb := testenv.Redis(t)
	users := cache.NewUsers(rdb, 50*time.Millisecond)
	require.NoError(t, users.Forget(t.Context(), ann.ID))
	require.Eventually(t, func() bool {
		require.NoError(t, users.Store(t.Context(), ann, time.Minute))
		_, err := users.Get(t.Context(), ann.ID)
		return err == nil
	}, 5*time.Second, 10*time.Millisecond)
}

func TestARedisThatIsAwayIsNotAMiss(t *testing.T) {
	rdb := testenv.Redis(t)
	users := cache.NewUsers(rdb, time.Minute)
	require.NoError(t, rdb.Close())
	_, err := users.Get(t.Context(), ann.ID)
	require.Error(t, err)
	require.NotErrorIs(t, err, cache.ErrMiss)
	require.Error(t, users.Store(t.Context(), ann, time.Minute))
	require.Error(t, users.Forget(t.Context(), ann.ID))
}
