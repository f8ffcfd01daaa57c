package repository

import (
	"context"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
)

// There are three ways to publish, told apart by who knows that there are two copies.
// The first, [Articles.Publish], leaves it to the store, which has one transaction for
// both; use that wherever both copies are in one database. docs/articles.md compares
// them.

// Publish keeps a as the author's and as the readers' copy and returns its id. It
// returns [domain.ErrArticleNotFound] when a has an id that is not the author's.
func (r *Articles) Publish(ctx context.Context, a domain.Article) (int64, error) {
	saved, err := r.change(ctx, "publish", a, cache.OfBoth, func() (domain.Article, error) { return r.store.Publish(ctx, a) })
	return saved.ID, err
}

// TwoStores publishes with two stores that share no transaction: first the author's
// copy, then the readers'. If the second fails the author is told, and publishing
// again mends it. It is safe for concurrent use.
type TwoStores struct {
	articles *Articles
}

// NewTwoStores returns the second way to publish, over the same stores and caches.
func NewTwoStores(articles *Articles) *TwoStores { return &TwoStores{articles: articles} }

// Publish is [Articles.Publish], in two steps.
func (p *TwoStores) Publish(ctx context.Context, a domain.Article) (int64, error) {
	r := p.articles
	saved, err := r.change(ctx, "publish", a, cache.OfBoth, func() (domain.Article, error) {
		a.Status = domain.ArticlePublished
		saved, err := r.store.Save(ctx, a)
		if err != nil {
			return saved, err
		}
		return saved, r.store.Put(ctx, saved)
	})
	return saved.ID, err
}

// SavePublished is the author's half of the third way to publish, in which the
// service has two calls to make. The copy says that it is published, which is true
// once PutPublished was called with what SavePublished returned.
func (r *Articles) SavePublished(ctx context.Context, a domain.Article) (domain.Article, error) {
	a.Status = domain.ArticlePublished
	return r.saveAuthors(ctx, "publish", a)
}

// PutPublished is the readers' half. It may come late, twice, and after newer ones,
// which it leaves alone.
func (r *Articles) PutPublished(ctx context.Context, a domain.Article) error {
	// No fresh copy: only the store knows whether this one is the newest.
	defer r.drop(ctx, a.AuthorID, a.ID, cache.OfBoth)
	return r.store.Put(ctx, a)
}
