package repository

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/observe"
)

// FirstPage is how many articles the cached first page of a list holds. A shorter
// page is its beginning.
const FirstPage = 100

// writeBack bounds what is written to the cache after the answer is known. It has a
// context of its own: a client that leaves must not keep the next from a copy, nor a
// change from being finished.
const writeBack = time.Second

// ArticleSettings are what an operator may change while the app runs.
type ArticleSettings struct {
	// FirstPageTTL, DraftTTL and PublishedTTL are how long the copies of a first page,
	// of an author's and of a readers' article stay cached.
	FirstPageTTL, DraftTTL, PublishedTTL time.Duration
	// Timeout bounds each call to the cache on the way to an answer.
	Timeout time.Duration
	// PassMax is how many reads may go to the store at once while the cache fails.
	PassMax int
}

// Articles keeps articles in a store, and copies in the cache. It is safe for
// concurrent use.
type Articles struct {
	store    dao.ArticleStore
	cache    *cache.Articles
	settings func() ArticleSettings
	observer observe.Observer
	passing  gate
	zeroRows zeroRows
}

// NewArticles returns a repository over store and cache. It asks settings at each
// call, and tells observer of cached reads; nil watches nothing.
func NewArticles(store dao.ArticleStore, cache *cache.Articles, settings func() ArticleSettings, observer observe.Observer) *Articles {
	return &Articles{store: store, cache: cache, settings: settings, observer: observe.OrNop(observer)}
}

// Save keeps a as the author's copy and returns its id. What readers see stays. It
// returns [domain.ErrArticleNotFound] when a has an id that is not the author's.
func (r *Articles) Save(ctx context.Context, a domain.Article) (int64, error) {
	a.Status = domain.ArticleUnpublished
	saved, err := r.saveAuthors(ctx, "save", a)
	return saved.ID, err
}

func (r *Articles) saveAuthors(ctx context.Context, operation string, a domain.Article) (domain.Article, error) {
	return r.change(ctx, operation, a, cache.OfAuthor, func() (domain.Article, error) { return r.store.Save(ctx, a) })
}

// Withdraw takes article id from the readers, or returns [domain.ErrArticleNotFound]
// when it is not the author's. Unlike other changes it needs the cache, else the
// error wraps [ErrUnavailable] and nothing has changed: what was withdrawn must not
// be read from a copy.
func (r *Articles) Withdraw(ctx context.Context, author, id int64) error {
	change, err := r.begin(ctx, author, id, cache.OfBoth)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer r.finish(ctx, change, nil)
	err = r.store.Withdraw(ctx, author, id)
	r.reportZeroRows("withdraw", err)
	return err
}

// change runs a write between the two steps that keep the cache honest. It goes on
// without the cache: what was written is not reported as an error because a copy could
// not be dropped; that one ends with its time.
func (r *Articles) change(ctx context.Context, operation string, a domain.Article, scope cache.Scope, write func() (domain.Article, error)) (domain.Article, error) {
	change, err := r.begin(ctx, a.AuthorID, a.ID, scope)
	if err != nil && ctx.Err() != nil {
		return domain.Article{}, err // the caller left: nothing has been written
	}
	var fresh *domain.Article
	if err != nil {
		// The cache may be back by then.
		defer func() { r.drop(ctx, a.AuthorID, a.ID, scope) }()
	} else {
		defer func() { r.finish(ctx, change, fresh) }()
	}
	saved, err := write()
	r.reportZeroRows(operation, err)
	if err == nil && saved.Status == domain.ArticlePublished && scope == cache.OfBoth {
		fresh = &saved
	}
	return saved, err
}

func (r *Articles) begin(ctx context.Context, author, id int64, scope cache.Scope) (cache.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, r.settings().Timeout)
	defer cancel()
	change, err := r.cache.Begin(ctx, author, id, scope)
	r.reportWrite(ctx, "begin", err)
	return change, err
}

func (r *Articles) finish(ctx context.Context, change cache.Change, fresh *domain.Article) {
	ctx, cancel := detached(ctx)
	defer cancel()
	r.reportWrite(ctx, "finish", r.cache.Finish(ctx, change, fresh, r.settings().PublishedTTL))
}

func (r *Articles) drop(ctx context.Context, author, id int64, scope cache.Scope) {
	ctx, cancel := detached(ctx)
	defer cancel()
	change, err := r.cache.Begin(ctx, author, id, scope)
	if err == nil {
		err = r.cache.Finish(ctx, change, nil, 0)
	}
	r.reportWrite(ctx, "drop", err)
}

func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), writeBack)
}

// List returns the author's copies without content, last changed first. The first
// page comes from the cache.
func (r *Articles) List(ctx context.Context, author int64, offset, limit int) ([]domain.Article, error) {
	if offset != 0 || limit > FirstPage {
		return r.store.Drafts(ctx, author, offset, limit)
	}
	page, err := cached(ctx, r, "first_page",
		func(ctx context.Context) ([]domain.Article, cache.Lease, error) {
			return r.cache.FirstPage(ctx, author)
		},
		func(ctx context.Context) ([]domain.Article, error) { return r.store.Drafts(ctx, author, 0, FirstPage) },
		func(ctx context.Context, lease cache.Lease, page []domain.Article) error {
			err := r.cache.StoreFirstPage(ctx, lease, author, page, r.settings().FirstPageTTL)
			if err == nil && len(page) > 0 {
				err = r.preload(ctx, author, page[0].ID)
			}
			return err
		})
	return page[:min(limit, len(page))], err
}

// preload caches the article that stands first in a list: it is the one that most
// people open next.
func (r *Articles) preload(ctx context.Context, author, id int64) error {
	_, lease, err := r.cache.Draft(ctx, id)
	if !errors.Is(err, cache.ErrMiss) {
		return err
	}
	a, err := r.store.Draft(ctx, author, id)
	if err != nil {
		return err
	}
	return r.cache.StoreDraft(ctx, lease, a, r.settings().DraftTTL)
}

// Draft returns the author's copy of article id, or [domain.ErrArticleNotFound] when
// it is not the author's.
func (r *Articles) Draft(ctx context.Context, author, id int64) (domain.Article, error) {
	a, err := cached(ctx, r, "draft",
		func(ctx context.Context) (domain.Article, cache.Lease, error) { return r.cache.Draft(ctx, id) },
		func(ctx context.Context) (domain.Article, error) { return r.store.Draft(ctx, author, id) },
		func(ctx context.Context, lease cache.Lease, a domain.Article) error {
			return r.cache.StoreDraft(ctx, lease, a, r.settings().DraftTTL)
		})
	if err == nil && a.AuthorID != author {
		return domain.Article{}, domain.ErrArticleNotFound // the copy was another's
	}
	return a, err
}

// Published returns the readers' copy of article id, or [domain.ErrArticleNotFound].
func (r *Articles) Published(ctx context.Context, id int64) (domain.Article, error) {
	return cached(ctx, r, "published",
		func(ctx context.Context) (domain.Article, cache.Lease, error) { return r.cache.Published(ctx, id) },
		func(ctx context.Context) (domain.Article, error) { return r.store.Published(ctx, id) },
		func(ctx context.Context, lease cache.Lease, a domain.Article) error {
			return r.cache.StorePublished(ctx, lease, a, r.settings().PublishedTTL)
		})
}

// PublishedAfter lists what readers may see, newest first, from the cursor on and
// without content. It is for background work, so it passes by the cache.
func (r *Articles) PublishedAfter(ctx context.Context, from domain.Cursor, limit int) ([]domain.Article, error) {
	return r.store.PublishedAfter(ctx, from, limit)
}

// FromNow is the cursor of all that is published up to now.
func FromNow() domain.Cursor { return domain.Cursor{Time: time.Now(), ID: math.MaxInt64} }

// cached reads a copy, and only where there is none the store, whose answer it writes
// back. While the cache fails, as many reads as settings say pass to the store; the
// others are told [ErrBusy].
func cached[T any](ctx context.Context, r *Articles, name string,
	get func(context.Context) (T, cache.Lease, error),
	load func(context.Context) (T, error),
	store func(context.Context, cache.Lease, T) error,
) (T, error) {
	var none T
	s := r.settings()
	asking, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	found, lease, err := get(asking)
	switch {
	case err == nil:
		r.reportRead(ctx, observe.OK, name, "hit", nil)
		return found, nil
	case errors.Is(err, cache.ErrMiss):
		r.reportRead(ctx, observe.OK, name, "miss", nil)
	case ctx.Err() != nil:
		return none, err // the caller left or is out of time: not the cache's failure
	case !r.passing.enter(s.PassMax):
		err = fmt.Errorf("%w: %w", ErrBusy, err)
		r.reportRead(ctx, observe.Rejected, name, "busy", err)
		return none, err
	default:
		defer r.passing.leave()
		r.reportRead(ctx, observe.Degraded, name, "pass", err)
		return load(ctx)
	}
	found, err = load(ctx)
	if err != nil {
		return none, err
	}
	ctx, done := detached(ctx)
	defer done()
	r.reportWrite(ctx, "store", store(ctx, lease, found))
	return found, nil
}
