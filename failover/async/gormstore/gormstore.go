// Package gormstore is the [async.Store] in MySQL, MariaDB, PostgreSQL or SQLite,
// over the *gorm.DB that a service has.
//
// There are two tables, made by [Store.Migrate], or by you with the statements of
// [Store.Schema]: one row per request, and one per paused queue. Claims read a range
// of the index (queue, state, priority, due, id), sweeps one of (queue, state, ends):
// neither grows with what is finished. All times are microseconds of the database's
// clock.
//
// A transaction that stays open, as a backup or a forgotten one does, keeps the index
// entries of all that is claimed meanwhile. So a claim begins where the last one of this
// Store and queue ended, and once a second at the beginning, for rows that were
// committed late. On PostgreSQL it then reads no more than it claims, and what was
// stored by the same statement. Not so: claims of the newest first, sweeps and
// statistics; and a claim at the beginning. Watch the age of the oldest transaction.
//
// On MySQL and MariaDB a range without due rows ends for InnoDB at the next row that is
// alive, however many dead entries lie between. There each queue has six rows of the
// Store's own, whose keys begin with "\x00end of " and which no method shows: they are
// these ends. Put refuses such keys.
//
// Claims take FOR UPDATE SKIP LOCKED on MySQL 8, MariaDB 10.6, PostgreSQL 9.5 and
// later, one UPDATE with RETURNING on SQLite 3.35 and later, and compare-and-set,
// row by row, where the database refuses the former or [WithCompareAndSet] asks for
// it.
//
// Give SQLite its write-ahead log and a busy time-out, and with "_txlock=immediate"
// transactions that begin as writers. synchronous=NORMAL keeps what was accepted when
// the process dies, but not when the machine loses power; FULL does.
//
// Errors: those of the database, wrapped; [async.ErrLost] and [async.ErrExpired] as
// the answers of Write. New returns an error for a bad table name or dialect.
package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/failover/async"
)

// DefaultTable is the table of requests without [WithTable].
const DefaultTable = "async_requests"

// Option configures [New].
type Option interface{ apply(*Store) }

type optionFunc func(*Store)

func (f optionFunc) apply(s *Store) { f(s) }

// WithTable names the table of requests, [DefaultTable] without it. That of pauses
// has "_pauses" added.
func WithTable(name string) Option { return optionFunc(func(s *Store) { s.table = name }) }

// WithCompareAndSet claims row by row, by compare-and-set on state and token, where
// the database would offer better. It is slower, and right everywhere.
func WithCompareAndSet() Option { return optionFunc(func(s *Store) { s.plain.Store(true) }) }

// Store implements [async.Store]. Create it with [New].
type Store struct {
	db      *gorm.DB
	table   string
	dialect dialect
	plain   atomic.Bool // claim by compare-and-set
	marks   marks
	ended   sync.Map // the queues whose ranges have rows at their ends
}

var _ async.Store = (*Store)(nil)

// tableName is what may stand in a statement without quotes.
var tableName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// New returns a Store in db. It does not use the database yet; call [Store.Migrate]
// where the tables may be missing.
func New(db *gorm.DB, opts ...Option) (*Store, error) {
	if db == nil {
		return nil, errors.New("gormstore: db <nil>: must be given")
	}
	s := &Store{table: DefaultTable}
	for _, o := range opts {
		o.apply(s)
	}
	var ok bool
	if s.dialect, ok = dialects[db.Name()]; !ok {
		return nil, fmt.Errorf("gormstore: dialect %q: must be mysql, postgres or sqlite", db.Name())
	}
	if !tableName.MatchString(s.table) {
		return nil, fmt.Errorf("gormstore: table %q: must be up to 48 of a-z, 0-9 and _, not beginning with a digit", s.table)
	}
	// Payloads do not belong in anybody's log of slow statements.
	s.db = db.Session(&gorm.Session{NewDB: true, SkipDefaultTransaction: true})
	return s, nil
}

// Migrate makes the tables and indexes that are missing. Instances may do so at the
// same time.
func (s *Store) Migrate(ctx context.Context) error {
	for _, statement := range s.Schema() {
		err := s.db.WithContext(ctx).Exec(statement).Error
		if err != nil && s.there(ctx) {
			err = nil // another instance was faster
		}
		if err != nil {
			return fmt.Errorf("gormstore: migrate: %w", err)
		}
	}
	return nil
}

func (s *Store) there(ctx context.Context) bool {
	db := s.db.WithContext(ctx).Migrator()
	return db.HasTable(s.table) && db.HasTable(s.pauses())
}

func (s *Store) pauses() string { return s.table + "_pauses" }

// Schema returns the statements that make the tables, for the database's dialect. Keep
// the indexes and their names: on MySQL claims name theirs.
func (s *Store) Schema() []string {
	statements := make([]string, len(s.dialect.schema))
	for i, text := range s.dialect.schema {
		statements[i] = strings.ReplaceAll(strings.TrimSpace(text), "{table}", s.table)
	}
	return statements
}

// sql fills the table's name and the clock into a statement.
func (s *Store) sql(text string) string {
	return strings.NewReplacer("{table}", s.table, "{pauses}", s.pauses(), "{now}", s.dialect.now).Replace(text)
}

// exec runs a statement and returns how many rows it changed.
func (s *Store) exec(db *gorm.DB, text string, args ...any) (int64, error) {
	done := db.Exec(s.sql(text), args...)
	return done.RowsAffected, done.Error
}

func (s *Store) query(db *gorm.DB, into any, text string, args ...any) error {
	return db.Raw(s.sql(text), args...).Scan(into).Error
}

// attempts is how often a transaction is tried that the database ended for another's
// sake.
const attempts = 5

// retry runs f again while it fails for another's sake: a deadlock, a busy database.
// None of these left anything done.
func (s *Store) retry(ctx context.Context, what string, f func(*gorm.DB) error) error {
	var err error
	for range attempts {
		if err = f(s.db.WithContext(ctx)); err == nil {
			return nil
		}
		if ctx.Err() != nil || !transient(err) {
			break
		}
	}
	return fmt.Errorf("gormstore: %s: %w", what, err)
}

// transient tells a statement that was rolled back for another's sake. Drivers are
// not known here, their texts are.
func transient(err error) bool {
	text := err.Error()
	for _, sign := range []string{"Deadlock found", "deadlock detected", "could not serialize", "database is locked", "Record has changed since last read"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// inTx runs f in a transaction. Without gaps locked, as REPEATABLE READ has it on
// MySQL, claims and accepts do not get into each other's way.
func (s *Store) inTx(ctx context.Context, what string, f func(*gorm.DB) error) error {
	return s.retry(ctx, what, func(db *gorm.DB) error {
		if s.dialect.readCommitted {
			return db.Transaction(f, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		}
		return db.Transaction(f)
	})
}

// Pause implements [async.Store].
func (s *Store) Pause(ctx context.Context, queue string) error {
	return s.retry(ctx, "pause", func(db *gorm.DB) error {
		_, err := s.exec(db, "INSERT INTO {pauses} (queue) VALUES (?)", queue)
		if err == nil {
			return nil
		}
		var there int64
		if s.query(db, &there, "SELECT COUNT(*) FROM {pauses} WHERE queue = ?", queue) == nil && there > 0 {
			return nil // paused already
		}
		return err
	})
}

// Resume implements [async.Store].
func (s *Store) Resume(ctx context.Context, queue string) error {
	return s.retry(ctx, "resume", func(db *gorm.DB) error {
		_, err := s.exec(db, "DELETE FROM {pauses} WHERE queue = ?", queue)
		return err
	})
}
