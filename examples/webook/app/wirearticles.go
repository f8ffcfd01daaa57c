package app

import (
	"context"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/ioc"
	"github.com/bulwark-go/bulwark/observe"
)

// wireArticles builds what articles are made of.
func (a *App) wireArticles(ctx context.Context, cfg config.Config, db *gorm.DB, dir string, rdb *redis.Client, accounts *repository.Users, observer observe.Observer) error {
	store, err := ioc.NewArticleStore(ctx, &a.closers, cfg.Articles, db, dir, observer)
	if err != nil {
		return err
	}
	repo := ioc.ArticleRepository(store, rdb, a.live, observer)
	a.articles, err = ioc.NewArticles(ctx, store, repo, accounts, db, cfg.Articles, observer, a.interactive.ArticleOptions()...)
	return err
}
