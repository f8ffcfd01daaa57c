package gormstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/internal/embedded"
)

// opened is the example's database: closed before leaks are looked for.
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

func exampleDB() *gorm.DB { return opened.DB() }
