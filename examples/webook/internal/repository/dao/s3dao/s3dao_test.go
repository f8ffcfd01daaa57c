package s3dao_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao/daotest"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao/s3dao"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LeakOptions()...) }

const (
	bucket = "articles-test"
	grace  = time.Minute
)

// world is a store over a bucket that can be away.
type world struct {
	*s3dao.Articles
	db     *gorm.DB
	client *s3.Client
	away   *atomic.Pointer[string] // the method that fails; nil: none
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{db: testenv.SQL(t), away: &atomic.Pointer[string]{}}
	require.NoError(t, dao.MigrateArticles(t.Context(), w.db))
	require.NoError(t, dao.MigrateArticleObjects(t.Context(), w.db))
	fake := gofakes3.New(s3mem.New()).Server()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if method := w.away.Load(); method != nil && *method == r.Method {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fake.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.client = s3.New(s3.Options{
		BaseEndpoint: &server.URL, UsePathStyle: true, Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""), HTTPClient: server.Client(),
	})
	_, err := w.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	require.NoError(t, err)
	w.Articles, err = s3dao.New(dao.NewArticleObjects(w.db), w.client, s3dao.Config{Bucket: bucket, Grace: grace}, nil)
	require.NoError(t, err)
	return w
}

func (w world) fail(method string) { w.away.Store(&method) }
func (w world) heal()              { w.away.Store(nil) }

func (w world) objects(t *testing.T) (keys []string) {
	t.Helper()
	list, err := w.client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	require.NoError(t, err)
	for _, object := range list.Contents {
		keys = append(keys, *object.Key)
	}
	return keys
}

func (w world) publish(t *testing.T, id int64, content string) domain.Article {
	t.Helper()
	saved, err := w.Publish(t.Context(), domain.Article{ID: id, AuthorID: 1, Title: content, Content: content})
	require.NoError(t, err)
	return saved
}

func (w world) content(t *testing.T, id int64) string {
	t.Helper()
	a, err := w.Published(t.Context(), id)
	require.NoError(t, err)
	return a.Content
}

func TestArticlesInS3(t *testing.T) {
	daotest.Articles(t, func(t *testing.T) dao.ArticleStore { return newWorld(t) })
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	for _, cfg := range []s3dao.Config{{}, {Bucket: "b", Grace: -1}, {Bucket: "b", SweepEvery: -1}} {
		_, err := s3dao.New(dao.ArticleObjects{}, nil, cfg, nil)
		require.ErrorContains(t, err, "s3dao")
	}
}

func TestTheContentIsInTheBucketAndNotInTheTable(t *testing.T) {
	w := newWorld(t)
	a := w.publish(t, 0, "<p>one</p>")
	var row struct{ Content, Object string }
	require.NoError(t, w.db.Table("published_articles").Where("id = ?", a.ID).Take(&row).Error)
	require.Empty(t, row.Content)
	require.Equal(t, []string{row.Object}, w.objects(t))
	_, err := dao.NewArticles(w.db).Published(t.Context(), a.ID)
	require.ErrorContains(t, err, "object store", "the SQL store says that it can't, and shows no empty article")
	require.NotErrorIs(t, err, domain.ErrArticleNotFound)
}

func TestOnlyTheObjectThatReadersNeedIsKept(t *testing.T) {
	w := newWorld(t)
	a := w.publish(t, 0, "one")
	for _, text := range []string{"two", "three"} {
		w.publish(t, a.ID, text)
		require.Len(t, w.objects(t), 1)
		require.Equal(t, text, w.content(t, a.ID))
	}
	require.NoError(t, w.Withdraw(t.Context(), 1, a.ID))
	require.Empty(t, w.objects(t))
	w.publish(t, a.ID, "four")
	require.Equal(t, "four", w.content(t, a.ID))
}

func TestAWithdrawalHoldsWhileS3IsAwayAndItsObjectGoesLater(t *testing.T) {
	w := newWorld(t)
	a := w.publish(t, 0, "one")
	w.fail(http.MethodDelete)
	require.NoError(t, w.Withdraw(t.Context(), 1, a.ID))
	_, err := w.Published(t.Context(), a.ID)
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
	require.Len(t, w.objects(t), 1)
	require.Error(t, w.Sweep(t.Context()), "still away")
	w.heal()

	// Another instance finds it: nothing of this is in a process' memory.
	cfg := s3dao.Config{Bucket: bucket, SweepEvery: time.Millisecond}
	other, err := s3dao.New(dao.NewArticleObjects(w.db), w.client, cfg, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- other.Run(ctx) }()
	require.Eventually(t, func() bool { return len(w.objects(t)) == 0 }, 15*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, w.Sweep(t.Context()), "and then there is nothing left to do")
}

func TestReadersKeepTheirsWhenANewObjectCannotBeMade(t *testing.T) {
	w := newWorld(t)
	a := w.publish(t, 0, "one")
	w.fail(http.MethodPut)
	_, err := w.Publish(t.Context(), domain.Article{ID: a.ID, AuthorID: 1, Title: "two", Content: "two"})
	require.Error(t, err)
	w.heal()
	require.Equal(t, "one", w.content(t, a.ID))
	own, err := w.Draft(t.Context(), 1, a.ID)
	require.NoError(t, err)
	require.Equal(t, a, own, "neither copy has changed")
}

func TestAReaderOfAnArticleWhoseObjectIsAwayGetsAnErrorAndNotA404(t *testing.T) {
	w := newWorld(t)
	a := w.publish(t, 0, "one")
	w.fail(http.MethodGet)
	_, err := w.Published(t.Context(), a.ID)
	require.Error(t, err)
	require.NotErrorIs(t, err, domain.ErrArticleNotFound)
}

// An object whose article was never saved: the process died, or it was somebody
// else's article.
func TestWhatNeverBecameAnArticlesIsDeletedAfterItsGrace(t *testing.T) {
	w := newWorld(t)
	a := w.publish(t, 0, "one")
	_, err := w.Publish(t.Context(), domain.Article{ID: a.ID, AuthorID: 2, Title: "theft", Content: "theft"})
	require.ErrorIs(t, err, domain.ErrArticleNotFound)
	require.Len(t, w.objects(t), 2)
	require.NoError(t, w.Sweep(t.Context()))
	require.Len(t, w.objects(t), 2, "it might still become one")
	older := time.Now().Add(-2 * grace).UnixMilli()
	require.NoError(t, w.db.Exec("UPDATE article_objects SET ctime = ?", older).Error)
	require.NoError(t, w.Sweep(t.Context()))
	require.Len(t, w.objects(t), 1)
	require.Equal(t, "one", w.content(t, a.ID))
}

func TestAnObjectThatWasGivenUpCannotBecomeAnArticles(t *testing.T) {
	tables := dao.NewArticleObjects(newWorld(t).db)
	require.NoError(t, tables.Announce(t.Context(), "late"))
	doomed, err := tables.Doomed(t.Context(), time.Now().Add(time.Hour), 10)
	require.NoError(t, err)
	require.Equal(t, []string{"late"}, doomed)
	_, err = tables.Publish(t.Context(), domain.Article{AuthorID: 1, Title: "t"}, "late")
	require.ErrorIs(t, err, dao.ErrObjectDoomed)
	list, err := tables.Drafts(t.Context(), 1, 0, 10)
	require.NoError(t, err)
	require.Empty(t, list)
}
