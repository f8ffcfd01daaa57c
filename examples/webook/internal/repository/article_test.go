package repository_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
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

// gatedStore lets a test stop a read after the row was read.
type gatedStore struct {
	dao.ArticleStore
	afterRead func()
	afterPub  func()
}

func (s *gatedStore) Published(ctx context.Context, id int64) (domain.Article, error) {
	a, err := s.ArticleStore.Published(ctx, id)
	if s.afterRead != nil {
		s.afterRead()
	}
	return a, err
}

func (s *gatedStore) Publish(ctx context.Context, a domain.Article) (domain.Article, error) {
	saved, err := s.ArticleStore.Publish(ctx, a)
	if s.afterPub != nil {
		s.afterPub()
	}
	return saved, err
}

// articleWorld is a repository on servers that a test can kill.
type articleWorld struct {
	*repository.Articles
	store *gatedStore
	db    *gorm.DB
	redis *testenv.Node
	rdb   *redis.Client
}

func newArticleWorld(t *testing.T) articleWorld {
	t.Helper()
	w := articleWorld{db: testenv.SQL(t), redis: testenv.RestartableRedis(t)}
	require.NoError(t, dao.MigrateArticles(t.Context(), w.db))
	w.rdb = redis.NewClient(&redis.Options{Addr: w.redis.Addr(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = w.rdb.Close() })
	w.store = &gatedStore{ArticleStore: dao.NewArticles(w.db)}
	settings := repository.ArticleSettings{
		FirstPageTTL: time.Minute, DraftTTL: time.Minute, PublishedTTL: 10 * time.Minute, Timeout: time.Second, PassMax: 1,
	}
	w.Articles = repository.NewArticles(w.store, cache.NewArticles(w.rdb, time.Minute),
		func() repository.ArticleSettings { return settings }, nil)
	return w
}

const author = int64(7)

func (w articleWorld) publish(t *testing.T, id int64, text string) int64 {
	t.Helper()
	id, err := w.Publish(t.Context(), domain.Article{ID: id, AuthorID: author, Title: text, Content: text})
	require.NoError(t, err)
	return id
}

func (w articleWorld) read(t *testing.T, id int64) string {
	t.Helper()
	a, err := w.Published(t.Context(), id)
	require.NoError(t, err)
	return a.Content
}

func (w articleWorld) cached(t *testing.T, key string) bool {
	t.Helper()
	n, err := w.rdb.Exists(t.Context(), key).Result()
	require.NoError(t, err)
	return n == 1
}

func published(id int64) string { return "article:pub:detail:" + strconv.FormatInt(id, 10) }

func TestPublishingPutsTheArticleIntoTheCacheForItsTime(t *testing.T) {
	w := newArticleWorld(t)
	for _, id := range []int64{0, w.publish(t, 0, "one")} {
		id = w.publish(t, id, "two")
		ttl, err := w.rdb.PTTL(t.Context(), published(id)).Result()
		require.NoError(t, err)
		require.Greater(t, ttl, 9*time.Minute)
		require.LessOrEqual(t, ttl, 10*time.Minute)
		w.store.afterRead = func() { t.Error("the store was asked") }
		require.Equal(t, "two", w.read(t, id))
		w.store.afterRead = nil
	}
}

func TestAnEditDropsTheCachedDetailAndFirstPage(t *testing.T) {
	w := newArticleWorld(t)
	id := w.publish(t, 0, "one")
	list, err := w.List(t.Context(), author, 0, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Empty(t, list[0].Content, "abstracts only")
	draft, page := "article:"+strconv.FormatInt(id, 10), "article:first_page:7"
	require.True(t, w.cached(t, draft), "the first of a list is there before it is opened")
	require.True(t, w.cached(t, page))
	_, err = w.Save(t.Context(), domain.Article{ID: id, AuthorID: author, Title: "two", Content: "two"})
	require.NoError(t, err)
	require.False(t, w.cached(t, draft))
	require.False(t, w.cached(t, page))
	require.True(t, w.cached(t, published(id)), "readers' copy is as it was")
	a, err := w.Draft(t.Context(), author, id)
	require.NoError(t, err)
	require.Equal(t, "two", a.Content)
	_, err = w.Draft(t.Context(), author+1, id)
	require.ErrorIs(t, err, domain.ErrArticleNotFound, "a copy is no way around who the author is")
}

func TestTheFirstPageIsCachedWholeAndCutToTheLimit(t *testing.T) {
	w := newArticleWorld(t)
	for range 3 {
		w.publish(t, 0, "x")
	}
	for _, limit := range []int{1, 3, 2} {
		list, err := w.List(t.Context(), author, 0, limit)
		require.NoError(t, err)
		require.Len(t, list, limit)
	}
	for _, far := range [][2]int{{1, 10}, {0, 101}} {
		_, err := w.List(t.Context(), 8, far[0], far[1])
		require.NoError(t, err)
		require.False(t, w.cached(t, "article:first_page:8"), "only the first page is")
	}
}

func TestAReaderOvertakenByAWithdrawalDoesNotCacheTheOldArticle(t *testing.T) {
	w := newArticleWorld(t)
	id := w.publish(t, 0, "one")
	require.NoError(t, w.rdb.FlushDB(t.Context()).Err())
	w.store.afterRead = func() {
		w.store.afterRead = nil
		require.NoError(t, w.Withdraw(t.Context(), author, id))
	}
	require.Equal(t, "one", w.read(t, id), "it was there when the read began")
	_, err := w.Published(t.Context(), id)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
}

// A publication whose last step comes after a withdrawal must not put its copy back.
func TestAPublisherOvertakenByAWithdrawalDoesNotCacheItsArticle(t *testing.T) {
	w := newArticleWorld(t)
	id := w.publish(t, 0, "one")
	w.store.afterPub = func() {
		w.store.afterPub = nil
		require.NoError(t, w.Withdraw(t.Context(), author, id))
	}
	w.publish(t, id, "two")
	_, err := w.Published(t.Context(), id)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
}

func TestOverlappingPublicationsLeaveNoOldCopy(t *testing.T) {
	w := newArticleWorld(t)
	id := w.publish(t, 0, "start")
	w.store.afterPub = func() {
		w.store.afterPub = nil
		w.publish(t, id, "second")
	}
	w.publish(t, id, "first") // finished last
	require.Equal(t, "second", w.read(t, id))
	require.Equal(t, "third", w.read(t, w.publish(t, id, "third")))
	require.True(t, w.cached(t, published(id)), "and after them all is as before")
}

func TestAPublicationThatSucceededIsNoErrorWhenTheCacheFails(t *testing.T) {
	w := newArticleWorld(t)
	id := w.publish(t, 0, "one")
	w.redis.Stop()
	require.Equal(t, id, w.publish(t, id, "two"))
	require.Equal(t, "two", w.read(t, id))
	_, err := w.Save(t.Context(), domain.Article{ID: id, AuthorID: author, Title: "three"})
	require.NoError(t, err)
	list, err := w.List(t.Context(), author, 0, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestAWithdrawalNeedsTheCache(t *testing.T) {
	w := newArticleWorld(t)
	id := w.publish(t, 0, "one")
	w.redis.Stop()
	require.ErrorIs(t, w.Withdraw(t.Context(), author, id), repository.ErrUnavailable)
	require.Equal(t, "one", w.read(t, id), "nothing has changed")
	w.redis.StartEmpty()
	require.Eventually(t, func() bool { return w.Withdraw(t.Context(), author, id) == nil }, 15*time.Second, 10*time.Millisecond)
	_, err := w.Published(t.Context(), id)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
}

func TestArticleReadsThatPassAFailingCacheAreBounded(t *testing.T) {
	w := newArticleWorld(t)
	id := w.publish(t, 0, "one")
	w.redis.Stop()
	inside, leave := make(chan struct{}), make(chan struct{})
	w.store.afterRead = func() { close(inside); <-leave }
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := w.Published(context.WithoutCancel(t.Context()), id); err != nil {
			t.Error(err)
		}
	})
	<-inside
	_, err := w.Published(t.Context(), id)
	require.ErrorIs(t, err, repository.ErrBusy)
	close(leave)
	first.Wait()
	w.store.afterRead = nil
	require.Equal(t, "one", w.read(t, id))
}

// The client is gone once it has its answer; the next one's copy must not be.
func TestACopyIsStoredAlthoughTheClientLeft(t *testing.T) {
	w := newArticleWorld(t)
	id := w.publish(t, 0, "one")
	require.NoError(t, w.rdb.FlushDB(t.Context()).Err())
	ctx, cancel := context.WithCancel(t.Context())
	w.store.afterRead = cancel
	_, err := w.Published(ctx, id)
	require.NoError(t, err)
	require.True(t, w.cached(t, published(id)))

	ctx, cancel = context.WithCancel(t.Context())
	w.store.afterRead, w.store.afterPub = nil, cancel
	_, err = w.Publish(ctx, domain.Article{ID: id, AuthorID: author, Title: "two", Content: "two"})
	require.NoError(t, err)
	require.Equal(t, "two", w.read(t, id), "a change is finished as well")
}

func TestAWriterThatDiesKeepsCopiesAwayForItsTimeOnly(t *testing.T) {
	node := testenv.RestartableRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: node.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	const longest = 300 * time.Millisecond
	copies := cache.NewArticles(rdb, longest)
	_, err := copies.Begin(t.Context(), author, 1, cache.OfBoth)
	require.NoError(t, err)
	a := domain.Article{ID: 1, AuthorID: author, Title: "t"}
	stored := func() bool {
		_, lease, err := copies.Published(t.Context(), 1)
		if errors.Is(err, cache.ErrMiss) {
			err = copies.StorePublished(t.Context(), lease, a, time.Minute)
		}
		require.NoError(t, err)
		_, _, err = copies.Published(t.Context(), 1)
		return err == nil
	}
	require.False(t, stored())
	require.Eventually(t, stored, 15*time.Second, 20*time.Millisecond)
}

// Who finishes so late that the record is gone must not leave one without an end.
func TestALateFinishLeavesNoRecordBehind(t *testing.T) {
	w := newArticleWorld(t)
	copies := cache.NewArticles(w.rdb, time.Minute)
	change, err := copies.Begin(t.Context(), author, 1, cache.OfBoth)
	require.NoError(t, err)
	require.NoError(t, w.rdb.FlushDB(t.Context()).Err())
	require.NoError(t, copies.Finish(t.Context(), change, &domain.Article{ID: 1}, time.Minute))
	keys, err := w.rdb.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Empty(t, keys)
}
