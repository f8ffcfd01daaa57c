package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glebarez/sqlite"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

func TestNewRefuses(t *testing.T) {
	db := testenv.SQLite(t)
	for field, refused := range map[string]func() error{
		"db":         func() error { _, err := gormstore.New(nil, gormstore.Config{}); return err },
		"Table":      func() error { _, err := gormstore.New(db, gormstore.Config{Table: "a; DROP TABLE b"}); return err },
		"Window":     func() error { _, err := gormstore.New(db, gormstore.Config{Window: time.Millisecond}); return err },
		"CleanEvery": func() error { _, err := gormstore.New(db, gormstore.Config{CleanEvery: -1}); return err },
		"CleanBatch": func() error { _, err := gormstore.New(db, gormstore.Config{CleanBatch: -1}); return err },
		"options[0]": func() error { _, err := gormstore.New(db, gormstore.Config{}, nil); return err },
		"transaction": func() error {
			tx := db.Begin()
			defer tx.Rollback()
			_, err := gormstore.New(tx, gormstore.Config{})
			return err
		},
	} {
		err := refused()
		require.ErrorIs(t, err, idempotency.ErrConfig, field)
		require.ErrorContains(t, err, field)
	}
	_, err := gormstore.New(nil, gormstore.Config{Window: -1, CleanBatch: -1})
	for _, field := range []string{"db", "Window", "CleanBatch"} {
		require.ErrorContains(t, err, field)
	}
}

func TestMigrateTwiceAndAtOnce(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s, err := gormstore.New(db, gormstore.Config{})
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := s.Migrate(t.Context()); err != nil {
					t.Errorf("migrate: %v", err)
				}
			})
		}
		wg.Wait()
		require.NoError(t, s.Migrate(t.Context()))
		require.Len(t, s.Schema(), 1)
	})
}

// Whoever opened the database may name columns as he likes.
func TestTheCallersNamingStrategyDoesNotMatter(t *testing.T) {
	db, err := gorm.Open(sqlite.Open(filepath.Join(t.TempDir(), "test.db")), &gorm.Config{NamingStrategy: schema.NamingStrategy{NoLowerCase: true, TablePrefix: "T_"}})
	require.NoError(t, err)
	conns, err := db.DB()
	require.NoError(t, err)
	defer func() { require.NoError(t, conns.Close()) }()
	s, err := gormstore.New(db, gormstore.Config{})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	for _, kind := range []idempotency.Kind{idempotency.First, idempotency.Repeat} {
		d, err := s.Do(t.Context(), scope.Key("1"), nil, func(*gorm.DB) error { return nil })
		require.NoError(t, err)
		require.Equal(t, kind, d.Kind)
	}
}

// A repeat found in PostgreSQL's way or MySQL's leaves the transaction usable.
func TestDecideWithinATransactionOfTheCallers(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s := open(t, db, gormstore.Config{})
		require.NoError(t, db.Create(&account{Name: "a"}).Error)
		one := idempotency.Delivery{Key: scope.Key("1"), Payload: []byte("5")}
		other := idempotency.Delivery{Key: scope.Key("1"), Payload: []byte("6")}
		for _, kind := range []idempotency.Kind{idempotency.First, idempotency.Repeat} {
			require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
				d, err := s.Decide(tx, one)
				require.NoError(t, err)
				require.Equal(t, kind, d.Kind)
				d, err = s.Decide(tx, other)
				require.NoError(t, err)
				require.Equal(t, idempotency.Conflict, d.Kind)
				return add(tx, "a", 1)
			}))
		}
		n, err := sum(t.Context(), db, "a")
		require.NoError(t, err)
		require.Equal(t, 2, n)
		_, err = s.Decide(db, one)
		require.ErrorIs(t, err, idempotency.ErrConfig, "without a transaction nothing would tie key and effect")
	})
}

// An index that someone added refuses a row: that is an error, and no repeat.
func TestADuplicateOfAnotherIndexIsNoRepeat(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s := open(t, db, gormstore.Config{})
		require.NoError(t, db.Exec("CREATE UNIQUE INDEX idempotency_keys_key_too ON idempotency_keys (digest)").Error)
		ran := 0
		effect := func(*gorm.DB) error { ran++; return nil }
		_, err := s.Do(t.Context(), scope.Key("1"), nil, effect)
		require.NoError(t, err)
		// The same digest under another key, as only a hand makes it.
		require.NoError(t, db.Exec("UPDATE idempotency_keys SET msg_key = 'other'").Error)
		d, err := s.Do(t.Context(), scope.Key("1"), nil, effect)
		require.Error(t, err)
		require.NotErrorIs(t, err, idempotency.ErrConflict)
		require.Equal(t, idempotency.Undecided, d.Kind)
		_, err = s.DoBatch(t.Context(), []idempotency.Delivery{{Key: scope.Key("1")}, {Key: scope.Key("2")}}, func(*gorm.DB, []int) error { ran++; return nil })
		require.Error(t, err)
		require.Equal(t, 1, ran)
	})
}

// A key that cannot be inserted, for whatever reason, is no repeat either.
func TestARefusedInsertIsNoRepeat(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s := open(t, db, gormstore.Config{})
		require.NoError(t, db.Exec("DROP TABLE idempotency_keys").Error)
		_, err := s.Do(t.Context(), scope.Key("1"), nil, func(*gorm.DB) error { panic("not first") })
		require.ErrorContains(t, err, "gormstore: ")
		_, err = s.Peek(t.Context(), []idempotency.Delivery{{Key: scope.Key("1")}})
		require.ErrorContains(t, err, "gormstore: ")
		if db.Name() != "mysql" {
			return
		}
		// A column that is too narrow: INSERT IGNORE would cut the digest off and be silent.
		require.NoError(t, s.Migrate(t.Context()))
		require.NoError(t, db.Exec("ALTER TABLE idempotency_keys MODIFY digest VARBINARY(8) NOT NULL").Error)
		_, err = s.Do(t.Context(), scope.Key("1"), nil, func(*gorm.DB) error { panic("not first") })
		require.ErrorContains(t, err, "Data too long")
	})
}

// What the database ended for another's sake is done again, and only then.
func TestADeadlockIsTriedAgain(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s := open(t, db, gormstore.Config{})
		require.NoError(t, db.Create(&account{Name: "a"}).Error)
		for i, text := range []string{"Error 1213 (40001): Deadlock found", "ERROR: deadlock detected (SQLSTATE 40P01)", "database is locked (5) (SQLITE_BUSY)"} {
			tries := 0
			d, err := s.Do(t.Context(), scope.Key(fmt.Sprint(i)), nil, func(tx *gorm.DB) error {
				if err := add(tx, "a", 1); err != nil {
					return err
				}
				if tries++; tries < 3 {
					return errors.New(text)
				}
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, idempotency.First, d.Kind)
			require.Equal(t, 3, tries)
		}
		tries := 0
		_, err := s.Do(t.Context(), scope.Key("other"), nil, func(*gorm.DB) error { tries++; return errors.New("no money") })
		require.EqualError(t, err, "no money")
		require.Equal(t, 1, tries)
		n, err := sum(t.Context(), db, "a")
		require.NoError(t, err)
		require.Equal(t, 3, n)
	})
}

// Two transactions that wait for each other's keys end, and both are done.
func TestKeysInOppositeOrder(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		if db.Name() == "sqlite" {
			return // has one writer
		}
		s := open(t, db, gormstore.Config{})
		var met sync.WaitGroup
		met.Add(2)
		var wg sync.WaitGroup
		for _, keys := range [][]string{{"1", "2"}, {"2", "1"}} {
			wg.Go(func() {
				wait := sync.OnceFunc(func() { met.Done(); met.Wait() })
				_, err := s.Do(t.Context(), scope.Key("outer", keys[0]), nil, func(tx *gorm.DB) error {
					if _, err := s.Decide(tx, idempotency.Delivery{Key: scope.Key(keys[0])}); err != nil {
						return err
					}
					wait()
					_, err := s.Decide(tx, idempotency.Delivery{Key: scope.Key(keys[1])})
					return err
				})
				if err != nil {
					t.Errorf("opposite order: %v", err)
				}
			})
		}
		wg.Wait()
	})
}

func TestKeysAreForgottenAfterTheWindow(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s := open(t, db, gormstore.Config{Window: time.Hour, CleanBatch: 3})
		for i := range 20 {
			_, err := s.Do(t.Context(), scope.Key(fmt.Sprint(i)), nil, func(*gorm.DB) error { return nil })
			require.NoError(t, err)
		}
		_, _, err := s.Lease(t.Context(), scope.Key("leased"), nil, time.Hour)
		require.NoError(t, err)
		deleted, err := s.Clean(t.Context())
		require.NoError(t, err)
		require.Zero(t, deleted)
		// All but the third are older than the window.
		require.NoError(t, db.Exec("UPDATE idempotency_keys SET stored_at = stored_at - ? WHERE msg_key <> '2'", (61*time.Minute).Microseconds()).Error)
		deleted, err = s.Clean(t.Context())
		require.NoError(t, err)
		require.Equal(t, int64(19), deleted)
		var left []string
		require.NoError(t, db.Raw("SELECT msg_key FROM idempotency_keys ORDER BY id").Scan(&left).Error)
		require.Equal(t, []string{"2", "leased"}, left)
	})
}

func TestWithoutAWindowNothingIsForgotten(t *testing.T) {
	db := testenv.SQLite(t)
	s := open(t, db, gormstore.Config{})
	_, err := s.Do(t.Context(), scope.Key("1"), nil, func(*gorm.DB) error { return nil })
	require.NoError(t, err)
	require.NoError(t, db.Exec("UPDATE idempotency_keys SET stored_at = 1").Error)
	deleted, err := s.Clean(t.Context())
	require.NoError(t, err)
	require.Zero(t, deleted)
	require.True(t, s.Covers(time.Time{}))
	require.Zero(t, s.Window())
}

// Who replays a message asks whether its key may be forgotten.
func TestAReplayOlderThanTheWindowIsTold(t *testing.T) {
	s := open(t, testenv.SQLite(t), gormstore.Config{Window: 72 * time.Hour})
	require.True(t, s.Covers(time.Now().Add(-71*time.Hour)))
	require.False(t, s.Covers(time.Now().Add(-7*24*time.Hour)))
	require.Equal(t, 72*time.Hour, s.Window())
}

// Cleaning reads the oldest keys by the primary key, and no more.
func TestCleaningScansNothing(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		open(t, db, gormstore.Config{})
		explain := map[string]string{"sqlite": "EXPLAIN QUERY PLAN ", "mysql": "EXPLAIN ", "postgres": "EXPLAIN "}[db.Name()]
		if db.Name() == "postgres" {
			require.NoError(t, db.Exec("INSERT INTO idempotency_keys (scope, msg_key, digest, stored_at) SELECT 's', n::text, 'd', n FROM generate_series(1, 20000) n").Error)
			require.NoError(t, db.Exec("ANALYZE idempotency_keys").Error)
		}
		sign := map[string]string{"sqlite": "USING INTEGER PRIMARY KEY", "mysql": "PRIMARY", "postgres": "Index Scan using idempotency_keys_pkey"}[db.Name()]
		for _, statement := range []string{
			"SELECT id, stored_at < 5 AS past FROM idempotency_keys WHERE id > 10 ORDER BY id LIMIT 100",
			"DELETE FROM idempotency_keys WHERE id > 10 AND id <= 110 AND stored_at < 5 AND lease_until < 5",
		} {
			require.Contains(t, plan(t, db, explain+statement), sign)
		}
	})
}

func plan(t *testing.T, db *gorm.DB, explain string) string {
	t.Helper()
	var all strings.Builder
	rows, err := db.Raw(explain).Rows()
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		into := make([]any, len(columns))
		for i := range into {
			into[i] = new(any)
		}
		require.NoError(t, rows.Scan(into...))
		for i := range into {
			fmt.Fprintf(&all, "%s ", *into[i].(*any))
		}
	}
	require.NoError(t, rows.Err())
	return all.String()
}

func TestRunCleansUntilItsContextEnds(t *testing.T) {
	db := testenv.SQLite(t)
	s := open(t, db, gormstore.Config{Window: time.Second, CleanEvery: time.Millisecond})
	_, err := s.Do(t.Context(), scope.Key("1"), nil, func(*gorm.DB) error { return nil })
	require.NoError(t, err)
	require.NoError(t, db.Exec("UPDATE idempotency_keys SET stored_at = 1").Error)
	ctx, stop := context.WithCancel(t.Context())
	told := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx, func(err error) {
			select {
			case told <- err:
			default:
			}
		}); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	require.Eventually(t, func() bool {
		var n int64
		return db.Raw("SELECT COUNT(*) FROM idempotency_keys").Scan(&n).Error == nil && n == 0
	}, time.Minute, time.Millisecond)
	require.NoError(t, db.Exec("DROP TABLE idempotency_keys").Error)
	require.ErrorContains(t, <-told, "gormstore: clean")
	stop()
	wg.Wait()
}
