package repository_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// world is a repository on servers that a test can kill.
type world struct {
	users *repository.Users
	db    *gorm.DB
	redis *testenv.Node
	rdb   *redis.Client
}

func newWorld(t *testing.T, passMax int) world {
	t.Helper()
	w := world{db: testenv.SQL(t), redis: testenv.RestartableRedis(t)}
	require.NoError(t, dao.Migrate(t.Context(), w.db))
	w.rdb = redis.NewClient(&redis.Options{Addr: w.redis.Addr(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = w.rdb.Close() })
	settings := repository.Settings{TTL: time.Minute, Timeout: time.Second, PassMax: passMax}
	w.users = repository.NewUsers(dao.NewUsers(w.db), cache.NewUsers(w.rdb, time.Minute),
		func() repository.Settings { return settings }, nil)
	return w
}

func (w world) create(t *testing.T) int64 {
	t.Helper()
	id, err := w.users.Create(t.Context(), "a@example.com", "hash")
	require.NoError(t, err)
	return id
}

// queries counts the SELECTs from now on.
func (w world) queries(t *testing.T) func() int {
	t.Helper()
	var mu sync.Mutex
	n := 0
	require.NoError(t, w.db.Callback().Query().Before("gorm:query").Register(testenv.Name(t), func(*gorm.DB) {
		mu.Lock()
		defer mu.Unlock()
		n++
	}))
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestOnlyAMissReadsSQL(t *testing.T) {
	w := newWorld(t, 1)
	id := w.create(t)
	queries := w.queries(t)
	for range 5 {
		user, err := w.users.Profile(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, domain.User{ID: id, Email: "a@example.com"}, user)
	}
	require.Equal(t, 1, queries())
}

func TestCredentialsAreNeverCached(t *testing.T) {
	w := newWorld(t, 1)
	id := w.create(t)
	queries := w.queries(t)
	for range 2 {
		c, err := w.users.Credentials(t.Context(), "a@example.com")
		require.NoError(t, err)
		require.Equal(t, domain.Credentials{UserID: id, Hash: "hash"}, c)
	}
	require.Equal(t, 2, queries())
	_, err := w.users.Profile(t.Context(), id)
	require.NoError(t, err)
	require.NotContains(t, w.rdb.Get(t.Context(), "user:info:1").Val(), "hash")
}

func TestAnEditIsSeenAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	id := w.create(t)
	_, err := w.users.Profile(t.Context(), id)
	require.NoError(t, err)
	edited := domain.User{ID: id, Nickname: "Ann", Birthday: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC), AboutMe: "hi"}
	require.NoError(t, w.users.Edit(t.Context(), edited))
	got, err := w.users.Profile(t.Context(), id)
	require.NoError(t, err)
	edited.Email = "a@example.com"
	require.Equal(t, edited, got)
}

// The reader reads the old row, the editor edits, the reader stores its copy: the
// order that leaves stale values where an edit merely deletes the entry.
func TestAReaderOvertakenByAnEditDoesNotCacheTheOldRow(t *testing.T) {
	w := newWorld(t, 1)
	id := w.create(t)
	var once sync.Once
	require.NoError(t, w.db.Callback().Query().After("gorm:query").Register("overtake", func(*gorm.DB) {
		once.Do(func() {
			require.NoError(t, w.users.Edit(context.WithoutCancel(t.Context()), domain.User{ID: id, Nickname: "new"}))
		})
	}))
	old, err := w.users.Profile(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, old.Nickname, "the reader came first")
	got, err := w.users.Profile(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "new", got.Nickname)
}

func TestWithoutRedisReadsPassToSQLAndEditsChangeNothing(t *testing.T) {
	w := newWorld(t, 1)
	id := w.create(t)
	w.redis.Stop()
	user, err := w.users.Profile(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "a@example.com", user.Email)
	require.ErrorIs(t, w.users.Edit(t.Context(), domain.User{ID: id, Nickname: "new"}), repository.ErrUnavailable)

	w.redis.Start()
	user, err = w.users.Profile(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, user.Nickname)
}

func TestWithoutRedisReadsFailWhereTheOperatorSaidSo(t *testing.T) {
	w := newWorld(t, 0)
	id := w.create(t)
	w.redis.Stop()
	queries := w.queries(t)
	_, err := w.users.Profile(t.Context(), id)
	require.ErrorIs(t, err, repository.ErrUnavailable)
	require.Zero(t, queries())
}

func TestOnlySoManyPassToSQLAtOnce(t *testing.T) {
	w := newWorld(t, 2)
	id := w.create(t)
	w.redis.Stop()
	inside, leave := make(chan struct{}), make(chan struct{})
	var queries atomic.Int64
	require.NoError(t, w.db.Callback().Query().Before("gorm:query").Register("hold", func(*gorm.DB) {
		if queries.Add(1) <= 2 {
			inside <- struct{}{}
			<-leave
		}
	}))
	release := sync.OnceFunc(func() { close(leave) })
	defer release()
	done := make(chan error, 2)
	for range 2 {
		go func() { _, err := w.users.Profile(context.WithoutCancel(t.Context()), id); done <- err }()
		<-inside
	}
	_, err := w.users.Profile(t.Context(), id)
	require.ErrorIs(t, err, repository.ErrBusy)
	release()
	require.NoError(t, errors.Join(<-done, <-done))
	_, err = w.users.Profile(t.Context(), id)
	require.NoError(t, err)
}

func TestACallerWhoLeftIsNotTheCachesFailure(t *testing.T) {
	w := newWorld(t, 1)
	id := w.create(t)
	queries := w.queries(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.users.Profile(ctx, id)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, queries())
}
