package gormstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/idempotency/idempotencytest"
	"github.com/bulwark-go/bulwark/internal/embedded"
)

const scope = idempotency.Scope("test")

// opened is the examples' database: closed before leaks are looked for.
var opened *embedded.SQLite

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gormstore")
	if err != nil {
		panic(err)
	}
	if opened, err = embedded.OpenSQLite(embedded.SQLiteConfig{Path: filepath.Join(dir, "example.db")}); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}), goleak.IgnoreCurrent())
}

// account is what effects write.
type account struct {
	Name    string `gorm:"primaryKey;size:64"`
	Balance int
}

func add(tx *gorm.DB, name string, n int) error {
	if done := tx.Model(&account{}).Where("name = ?", name).UpdateColumn("balance", gorm.Expr("balance + ?", n)); done.Error != nil || done.RowsAffected > 0 {
		return done.Error
	}
	return fmt.Errorf("no account %s", name)
}

func sum(ctx context.Context, db *gorm.DB, name string) (n int, err error) {
	return n, db.WithContext(ctx).Model(&account{}).Select("COALESCE(SUM(balance), 0)").Where("name = ?", name).Scan(&n).Error
}

// open returns a store with an empty table, and accounts of nothing.
func open(t testing.TB, db *gorm.DB, cfg gormstore.Config, opts ...gormstore.Option) *gormstore.Store {
	t.Helper()
	require.NoError(t, db.AutoMigrate(&account{}))
	s, err := gormstore.New(db, cfg, opts...)
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

var tables int

// harness is one for the suite, over db.
func harness(t *testing.T, db *gorm.DB, opts ...gormstore.Option) idempotencytest.Harness[*gorm.DB] {
	tables++
	prefix := fmt.Sprintf("h%d/", tables)
	return idempotencytest.Harness[*gorm.DB]{
		Store: open(t, db, gormstore.Config{Table: fmt.Sprintf("keys_%d", tables)}, opts...),
		Add: func(tx *gorm.DB, name string, n int) error {
			if err := add(tx, prefix+name, n); err == nil {
				return nil
			}
			return tx.Create(&account{Name: prefix + name, Balance: n}).Error
		},
		Sum: func(ctx context.Context, name string) (int, error) { return sum(ctx, db, prefix+name) },
	}
}
