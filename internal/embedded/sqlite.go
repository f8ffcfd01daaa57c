package embedded

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// SQLiteConfig configures [OpenSQLite].
type SQLiteConfig struct {
	// Path is the database file, made when it is not there; its folder must
	// exist. Required: a database in memory would live and die with one
	// connection, and deadlocks when that connection is wanted twice.
	Path string
	// BusyTimeout is how long a writer waits for the one before it. The default
	// of 5 s is far above any transaction that should be, and makes a forgotten
	// one visible.
	BusyTimeout time.Duration
	// MaxConns bounds the connection pool. The default of 8 lets readers go on
	// beside the one writer.
	MaxConns int
}

// SQLite is an open SQLite database.
type SQLite struct {
	db    *gorm.DB
	close func() error
}

// OpenSQLite opens the database file for GORM: write-ahead log, transactions that
// take the write lock when they begin (otherwise concurrent read-then-write
// transactions fail with "database is locked"), foreign keys enforced, and errors
// translated, so that a duplicate is [gorm.ErrDuplicatedKey]. A commit survives
// the process, and all but the last moments a power cut.
func OpenSQLite(cfg SQLiteConfig) (*SQLite, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	db, err := gorm.Open(sqlite.Open(cfg.dsn()), &gorm.Config{
		TranslateError: true,
		Logger:         logger.Discard, // the owner sets its own on DB
	})
	if err != nil {
		return nil, fmt.Errorf("embedded: open SQLite %s: %w", cfg.Path, err)
	}
	conns, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("embedded: open SQLite %s: %w", cfg.Path, err)
	}
	conns.SetMaxOpenConns(cfg.MaxConns)
	conns.SetMaxIdleConns(cfg.MaxConns)
	return &SQLite{db: db, close: sync.OnceValue(conns.Close)}, nil
}

// DB is the database. It logs nothing: set its Logger before first use, or use
// [gorm.DB.Session].
func (s *SQLite) DB() *gorm.DB { return s.db }

// Close closes all connections. A second call does nothing.
func (s *SQLite) Close() error { return s.close() }

func (c SQLiteConfig) checked() (SQLiteConfig, error) {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("SQLiteConfig.Path is empty"))
	}
	if c.BusyTimeout < 0 {
		errs = append(errs, fmt.Errorf("SQLiteConfig.BusyTimeout %v is negative", c.BusyTimeout))
	}
	if c.MaxConns < 0 {
		errs = append(errs, fmt.Errorf("SQLiteConfig.MaxConns %d is negative", c.MaxConns))
	}
	if err := errors.Join(errs...); err != nil {
		return c, fmt.Errorf("embedded: %w", err)
	}
	if c.BusyTimeout == 0 {
		c.BusyTimeout = 5 * time.Second
	}
	if c.MaxConns == 0 {
		c.MaxConns = 8
	}
	return c, nil
}

// dsn is a URI, so that a path may hold any character.
func (c SQLiteConfig) dsn() string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", c.BusyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(NORMAL)",
		"foreign_keys(1)",
	}}
	return (&url.URL{
		Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(c.Path)}).EscapedPath(), RawQuery: q.Encode(),
	}).String()
}
