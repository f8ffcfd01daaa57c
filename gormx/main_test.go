package gormx_test

import (
	"path/filepath"
	"testing"

	"github.com/glebarez/sqlite"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"
)

// gorm never stops the goroutine behind its cache of prepared statements.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

// author and book are tables with an association.
type author struct {
	ID    int64
	Name  string
	Email string `gorm:"uniqueIndex"`
	Books []book
}

type book struct {
	ID       int64
	AuthorID int64
	Title    string
}

// openDB returns a database in a file of its own, with both tables.
func openDB(t testing.TB, cfg *gorm.Config) *gorm.DB {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = gormlogger.Discard
	}
	dsn := filepath.Join(t.TempDir(), "test.db") + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_txlock=immediate"
	db, err := gorm.Open(sqlite.Open(dsn), cfg)
	require.NoError(t, err)
	pool, err := db.DB()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	require.NoError(t, db.AutoMigrate(&author{}, &book{}))
	return db
}
