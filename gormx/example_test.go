package gormx_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bulwark-go/bulwark/gormx"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"
)

// lines is a logger.Core that prints messages and SQL.
type lines struct{}

func (lines) Enabled(l logger.Level) bool     { return l >= logger.LevelWarn }
func (lines) With([]logger.Field) logger.Core { return lines{} }
func (lines) Write(e logger.Entry, fields []logger.Field) {
	fmt.Println(e.Message, "|", fields[0].Text)
}

// outcomes is an observe.Observer that prints what ended.
type outcomes struct{}

func (outcomes) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	return ctx, func(r observe.Result) { fmt.Println(op.Values[1], op.Values[2], r.Outcome) }
}

// openExample opens a database in a temporary file.
func openExample(cfg *gorm.Config) (db *gorm.DB, closeDB func()) {
	dir, err := os.MkdirTemp("", "gormx")
	if err != nil {
		panic(err)
	}
	db, err = gorm.Open(sqlite.Open(filepath.Join(dir, "test.db")), cfg)
	if err != nil {
		panic(err)
	}
	return db, func() {
		if pool, err := db.DB(); err == nil {
			_ = pool.Close()
		}
		_ = os.RemoveAll(dir)
	}
}

func ExampleNewLogger() {
	log, err := gormx.NewLogger(logger.New(lines{}), gormx.LoggerConfig{Dialect: "sqlite"})
	if err != nil {
		panic(err)
	}
	db, closeDB := openExample(&gorm.Config{Logger: log})
	defer closeDB()
	db.Exec("UPDATE users SET phone = '13800138000' WHERE id = 7")
	// Output: sql failed | UPDATE users SET phone = ? WHERE id = ?
}

func ExampleObserve() {
	db, closeDB := openExample(&gorm.Config{Logger: gormlogger.Discard})
	defer closeDB()
	if err := db.Use(gormx.Observe(outcomes{}, gormx.WithName("library"))); err != nil {
		panic(err)
	}
	db.Exec("CREATE TABLE users (id integer primary key, name text)")
	db.Table("users").Create(map[string]any{"name": "ann"})
	db.Table("users").Where("name = ?", "bob").Take(&map[string]any{})
	// Output:
	// raw none ok
	// create users ok
	// query users skipped
}

func ExampleNewPoolStats() {
	db, closeDB := openExample(&gorm.Config{})
	defer closeDB()
	pool, err := db.DB()
	if err != nil {
		panic(err)
	}
	pool.SetMaxOpenConns(20)
	source, err := gormx.NewPoolStats("library", pool) // give it to prom's Observer.Register
	if err != nil {
		panic(err)
	}
	for r := range source.Readings() {
		if r.Gauge.Name == "max_open_connections" {
			fmt.Println(r.Gauge.Component, r.Gauge.Name, r.Values[0], r.Value)
		}
	}
	// Output: db_pool max_open_connections library 20
}

func ExampleFingerprint() {
	fmt.Println(gormx.Fingerprint("mysql", "SELECT * FROM users WHERE phone = '13800138000' AND id IN (1, 2, 3)"))
	// Output: SELECT * FROM users WHERE phone = ? AND id IN (?)
}
