package dao_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao/daotest"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

func TestArticlesInSQL(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *gorm.DB{
		"sqlite": func(t *testing.T) *gorm.DB { return testenv.SQLite(t) },
		"mysql":  func(t *testing.T) *gorm.DB { testenv.RequireRealMySQL(t, "of its locks"); return testenv.MySQL(t) },
		"postgres": func(t *testing.T) *gorm.DB {
			testenv.RequireRealPostgres(t, "of its locks")
			return testenv.Postgres(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			daotest.Articles(t, func(t *testing.T) dao.ArticleStore {
				db := open(t)
				for range 2 {
					require.NoError(t, dao.MigrateArticles(t.Context(), db), "a second start must find the tables as it wants them")
				}
				return dao.NewArticles(db)
			})
		})
	}
}

func TestManyMayMigrateArticlesAtOnce(t *testing.T) {
	db := testenv.SQL(t)
	const replicas = 6
	errs := make(chan error, replicas)
	for range replicas {
		replica, err := gorm.Open(db.Dialector, &gorm.Config{Logger: db.Logger})
		require.NoError(t, err)
		pool, err := replica.DB()
		require.NoError(t, err)
		t.Cleanup(func() { _ = pool.Close() })
		go func() { errs <- dao.MigrateArticles(context.WithoutCancel(t.Context()), replica) }()
	}
	for range replicas {
		require.NoError(t, <-errs)
	}
}
