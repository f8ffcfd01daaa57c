package service_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// halfStore is a store whose readers' half fails a number of times.
type halfStore struct {
	dao.ArticleStore
	mu    sync.Mutex
	fails int
	puts  int
}

var errHalf = errors.New("readers' store is away")

func (s *halfStore) Put(ctx context.Context, a domain.Article) error {
	s.mu.Lock()
	s.puts++
	fail := s.fails > 0
	s.fails--
	s.mu.Unlock()
	if fail {
		return errHalf
	}
	return s.ArticleStore.Put(ctx, a)
}

func newArticleRepo(t *testing.T) (*repository.Articles, *halfStore) {
	t.Helper()
	db := testenv.SQL(t)
	require.NoError(t, dao.MigrateArticles(t.Context(), db))
	store := &halfStore{ArticleStore: dao.NewArticles(db)}
	rdb := redis.NewClient(&redis.Options{Addr: testenv.EmbeddedRedis(t).Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	settings := repository.ArticleSettings{
		FirstPageTTL: time.Minute, DraftTTL: time.Minute, PublishedTTL: time.Minute, Timeout: time.Second, PassMax: 8,
	}
	return repository.NewArticles(store, cache.NewArticles(rdb, time.Minute),
		func() repository.ArticleSettings { return settings }, nil), store
}

type profiles struct {
	name string
	err  error
}

func (p profiles) Profile(context.Context, int64) (domain.User, error) {
	return domain.User{Nickname: p.name}, p.err
}

type counters func(ctx context.Context, biz string, id, uid int64) (domain.Counts, error)

func (f counters) Counts(ctx context.Context, biz string, id, uid int64) (domain.Counts, error) {
	return f(ctx, biz, id, uid)
}

type events func(ctx context.Context, uid, id int64) error

func (f events) Read(ctx context.Context, uid, id int64) error { return f(ctx, uid, id) }

var articlesConfig = service.ArticlesConfig{TitleMax: 20, ContentMax: 4096, PartTimeout: 10 * time.Second}

func TestAnArticleIsShownWithItsCountsAndReported(t *testing.T) {
	repo, _ := newArticleRepo(t)
	var heard [][2]int64
	s := service.NewArticles(repo, repo, profiles{name: "Ann"}, articlesConfig,
		service.WithCounters(counters(func(_ context.Context, biz string, id, uid int64) (domain.Counts, error) {
			require.Equal(t, service.ArticleBiz, biz)
			return domain.Counts{Reads: id, Likes: uid, Liked: true}, nil
		})),
		service.WithReadEvents(events(func(_ context.Context, uid, id int64) error {
			heard = append(heard, [2]int64{uid, id})
			return nil
		})))
	id, err := s.Publish(t.Context(), 1, service.Draft{Title: "t", Content: "<p>x</p>"})
	require.NoError(t, err)
	r, err := s.Read(t.Context(), 9, id)
	require.NoError(t, err)
	require.Equal(t, "Ann", r.AuthorName)
	require.Equal(t, domain.Counts{Reads: id, Likes: 9, Liked: true}, r.Counts)
	_, err = s.Read(t.Context(), 9, id+1)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
	require.Equal(t, [][2]int64{{9, id}}, heard, "what is not there is not read")
}

func TestAnArticleIsShownWithoutThePartsThatFail(t *testing.T) {
	repo, _ := newArticleRepo(t)
	broken := errors.New("down")
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	cfg := articlesConfig
	cfg.PartTimeout = 20 * time.Millisecond
	for name, part := range map[string]func(context.Context) error{
		"failing": func(context.Context) error { return broken },
		"hanging": hang,
	} {
		t.Run(name, func(t *testing.T) {
			s := service.NewArticles(repo, repo, profiles{err: broken}, cfg,
				service.WithCounters(counters(func(ctx context.Context, _ string, _, _ int64) (domain.Counts, error) {
					return domain.Counts{Likes: 5}, part(ctx)
				})),
				service.WithReadEvents(events(func(ctx context.Context, _, _ int64) error { return part(ctx) })))
			id, err := s.Publish(t.Context(), 1, service.Draft{Title: "t", Content: "<p>x</p>"})
			require.NoError(t, err)
			r, err := s.Read(t.Context(), 9, id)
			require.NoError(t, err)
			require.Equal(t, "<p>x</p>", r.Content)
			require.Zero(t, r.Counts)
			require.Empty(t, r.AuthorName)
		})
	}
}

// shelf keeps what is to be repaired.
type shelf struct {
	err     error
	waiting []domain.Article
}

func (s *shelf) Later(_ context.Context, a domain.Article) error {
	s.waiting = append(s.waiting, a)
	return s.err
}

func TestTheReadersHalfIsTriedThreeTimesAndThenRepaired(t *testing.T) {
	repo, store := newArticleRepo(t)
	repairs := &shelf{}
	p := service.NewTwoSteps(repo, repairs)
	a := domain.Article{AuthorID: 1, Title: "t", Content: "one"}

	store.fails = 2
	id, err := p.Publish(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, 3, store.puts)
	require.Empty(t, repairs.waiting)
	_, err = repo.Published(t.Context(), id)
	require.NoError(t, err)

	store.fails, store.puts = 3, 0
	id, err = p.Publish(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, 3, store.puts, "no more than three")
	require.Len(t, repairs.waiting, 1)
	_, err = repo.Published(t.Context(), id)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
	require.NoError(t, repo.PutPublished(t.Context(), repairs.waiting[0]))
	got, err := repo.Published(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "one", got.Content)

	store.fails, repairs.err = 3, errors.New("queue is full")
	_, err = p.Publish(t.Context(), a)
	require.ErrorIs(t, err, repairs.err, "what nobody will repair is not called published")
}

func TestALateRepairDoesNotUndoAWithdrawal(t *testing.T) {
	repo, store := newArticleRepo(t)
	repairs := &shelf{}
	store.fails = 3
	id, err := service.NewTwoSteps(repo, repairs).Publish(t.Context(), domain.Article{AuthorID: 1, Title: "t"})
	require.NoError(t, err)
	require.NoError(t, repo.Withdraw(t.Context(), 1, id))
	require.NoError(t, repo.PutPublished(t.Context(), repairs.waiting[0]))
	_, err = repo.Published(t.Context(), id)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
}

func TestTextsAreCleaned(t *testing.T) {
	repo, _ := newArticleRepo(t)
	s := service.NewArticles(repo, repo, profiles{}, articlesConfig)
	for _, c := range []struct{ title, content, wantTitle, wantContent, wantAbstract string }{
		{"plain", "text", "plain", "text", "text"},
		{" spaced ", "<p>a</p><p>b</p>", "spaced", "<p>a</p><p>b</p>", "a b"},
		{"a & b < c", "a &amp; b", "a & b < c", "a &amp; b", "a &amp; b"},
		{"<b>bold</b>", "<b>bold</b>ly", "bold", "<b>bold</b>ly", "boldly"},
		{"&lt;script&gt;x", "<script>x</script>y", "", "y", "y"},
		{"x&amp;lt;img src=a&amp;gt;", `<img src="javascript:x">z`, "x", "z", "z"},
		{"t", `<a href="https://e.com" onclick="x()">l</a>`, "t", `<a href="https://e.com" rel="nofollow">l</a>`, "l"},
		{"t", `<p style="background:url(x)">s</p>`, "t", "<p>s</p>", "s"},
		{"t", `<code class="language-go">f()</code>`, "t", `<code class="language-go">f()</code>`, "f()"},
		{"t", "<svg/onload=alert(1)>v<math><mi//xlink:href=\"data:x\">", "t", "v", "v"},
		{"t", "a\x00b", "t", "ab", "ab"},
		{"t", "&lt;b&gt; and &amp;lt;", "t", "&lt;b&gt; and &amp;lt;", "&lt;b&gt; and &amp;lt;"},
		{"t", "a\n\t b&nbsp;c", "t", "a\n\t b\u00a0c", "a b c"},
	} {
		t.Run(c.title+c.content, func(t *testing.T) {
			id, err := s.Save(t.Context(), 1, service.Draft{Title: c.title, Content: c.content})
			require.NoError(t, err)
			a, err := s.Own(t.Context(), 1, id)
			require.NoError(t, err)
			require.Equal(t, c.wantTitle, a.Title)
			require.Equal(t, c.wantContent, a.Content)
			require.Equal(t, c.wantAbstract, a.Abstract)
		})
	}
	for _, title := range []string{"a\u200bb", "a\nb", "\xe7\x86", "x\ufffd", strings.Repeat("熔", 21)} {
		_, err := s.Save(t.Context(), 1, service.Draft{Title: title})
		var known *ginx.Error
		require.ErrorAs(t, err, &known, title)
		require.Equal(t, errs.CodeInvalidArticle, known.Code)
	}
}

func TestAnAbstractIsCutByCharacters(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 129, 1000} {
		got := service.Abstract("<p>" + strings.Repeat("断", n) + "</p>")
		require.True(t, utf8.ValidString(got))
		require.LessOrEqual(t, utf8.RuneCountInString(got), 128)
		require.GreaterOrEqual(t, utf8.RuneCountInString(got), min(n, 127))
	}
}
