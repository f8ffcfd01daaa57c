package ioc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/examples/webook/internal/web"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/failover/async/gormstore"
	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/observe"
)

// readArticle is the route that also those who are not logged in may ask for.
const readArticle = "GET /articles/pub/:id"

// ArticleRepository returns the articles in store, with copies cached in rdb.
func ArticleRepository(store *ArticleStore, rdb *redis.Client, live *config.Live, observer observe.Observer) *repository.Articles {
	// A change, and a reader who stores what it read, take a request's time, and the
	// moment that is left to finish after it.
	longest := 2*live.Get().HTTP.Timeout + time.Second
	settings := func() repository.ArticleSettings { return articleSettings(live.Get().Articles.Cache) }
	return repository.NewArticles(store.store, cache.NewArticles(rdb, longest), settings, observer)
}

func articleSettings(cfg config.ArticleCache) repository.ArticleSettings {
	return repository.ArticleSettings{
		FirstPageTTL: cfg.FirstPage, DraftTTL: cfg.Draft, PublishedTTL: cfg.Published,
		Timeout: cfg.Timeout, PassMax: cfg.PassMax,
	}
}

// Articles are the use cases of articles, and what runs behind them.
type Articles struct {
	Service *service.Articles
	store   *ArticleStore
	repairs *async.Rescued[domain.Article] // nil: nothing to repair
	sources []observe.Source
}

// Register hands what articles count to a metrics backend's own Register.
func (a *Articles) Register(register func(observe.Source) error) error {
	var errs []error
	for _, source := range a.sources {
		errs = append(errs, register(source))
	}
	return errors.Join(errs...)
}

// NewArticles returns the use cases over repo, with authors from users. They publish
// as cfg says; opts add counters and events.
func NewArticles(ctx context.Context, store *ArticleStore, repo *repository.Articles, users *repository.Users, db *gorm.DB, cfg config.Articles, observer observe.Observer, opts ...service.ArticlesOption) (*Articles, error) {
	a := &Articles{store: store, sources: []observe.Source{repo}}
	var publisher service.Publisher = repo
	switch cfg.Publish {
	case config.PublishRepository:
		publisher = repository.NewTwoStores(repo)
	case config.PublishService:
		var err error
		if a.repairs, err = articleRepairs(ctx, db, repo, observer); err != nil {
			return nil, err
		}
		steps := service.NewTwoSteps(repo, repairs{a.repairs})
		publisher, a.sources = steps, append(a.sources, steps)
	}
	a.Service = service.NewArticles(repo, publisher, users, service.ArticlesConfig{
		TitleMax: cfg.TitleMax, ContentMax: cfg.ContentMax, PartTimeout: cfg.PartTimeout,
	}, append([]service.ArticlesOption{service.WithArticleObserver(observer)}, opts...)...)
	return a, nil
}

// articleRepairs is a durable queue of articles that readers have not got yet.
func articleRepairs(ctx context.Context, db *gorm.DB, repo *repository.Articles, observer observe.Observer) (*async.Rescued[domain.Article], error) {
	store, err := gormstore.New(db, gormstore.WithTable("async_articles"))
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("sql: %w", err)
	}
	put := func(ctx context.Context, a domain.Article) error {
		// To put it twice is as good as once, so whatever failed can be tried again.
		return async.NotDone(repo.PutPublished(ctx, a))
	}
	return async.New(store, put, async.Config{
		Name: "articles", Class: async.AtLeastOnce, Mode: async.AlwaysLater,
		Retries: 100, Backoff: time.Second, MaxBackoff: time.Minute,
	}, async.WithObserver(observer), async.WithTerms(func(a domain.Article) async.Terms {
		return async.Terms{Key: fmt.Sprintf("%d/%d", a.ID, a.Version)}
	}))
}

// repairs is a queue as the service sees it.
type repairs struct {
	queue *async.Rescued[domain.Article]
}

func (r repairs) Later(ctx context.Context, a domain.Article) error {
	_, err := r.queue.Do(ctx, a)
	return err
}

// Run works in the background until ctx ends.
func (a *Articles) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.store.Run(ctx) })
	if a.repairs != nil {
		group.Go(func() error { return a.repairs.Run(ctx) })
	}
	return group.Wait()
}

// Routes returns the routes of articles. Authors log in; readers may.
func (a *Articles) Routes(sessions *session.Manager, rules *session.Rules, limit gin.HandlerFunc) (Routes, error) {
	open, err := session.NewRules(session.Optional(readArticle))
	if err != nil {
		return nil, err
	}
	return web.NewArticles(a.Service, sessions.Login(rules), sessions.Login(open), limit), nil
}
