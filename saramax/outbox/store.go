package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// store is the outbox in a database.
type store struct {
	db *gorm.DB
	*dialect
	settings Settings
	texts    *strings.Replacer
}

// newStore returns the store in db, with the settings of its Plugin.
func newStore(db *gorm.DB) (*store, error) {
	if db == nil {
		return nil, errors.New("outbox: db <nil>: must be given")
	}
	d, ok := dialects[db.Name()]
	if !ok {
		return nil, fmt.Errorf("outbox: dialect %q: must be mysql, postgres or sqlite", db.Name())
	}
	s := pluginOf(db).settings
	return &store{
		db:       db.Session(&gorm.Session{NewDB: true, SkipDefaultTransaction: true}),
		dialect:  d,
		settings: s,
		texts:    strings.NewReplacer("{table}", s.Table, "{now}", d.now, "{buckets}", strconv.Itoa(s.Buckets), "{number}", d.params[0], "{bytes}", d.params[1]),
	}, nil
}

// Schema returns the statements that make the tables of db's outbox, for those who
// migrate by themselves. Rows for the buckets are made by [Migrate] only.
func Schema(db *gorm.DB) ([]string, error) {
	s, err := newStore(db)
	if err != nil {
		return nil, err
	}
	statements := make([]string, len(s.schema))
	for i, text := range s.schema {
		statements[i] = s.texts.Replace(strings.TrimSpace(text))
	}
	return statements, nil
}

// Migrate makes the tables of db's outbox that are missing, and the rows of the
// buckets. Instances may do so at the same time.
func Migrate(ctx context.Context, db *gorm.DB) error {
	s, err := newStore(db)
	if err != nil {
		return err
	}
	statements, err := Schema(db)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if err := s.make(ctx, statement); err != nil {
			return err
		}
	}
	rows := make([]string, s.settings.Buckets)
	for i := range rows {
		rows[i] = fmt.Sprintf("(%d, 0)", i)
	}
	return s.retry(ctx, "migrate", func(db *gorm.DB) error {
		return s.exec(db, nil, "INSERT "+s.ignore[0]+"INTO {table}_buckets (bucket, owner) VALUES "+strings.Join(rows, ", ")+s.ignore[1])
	})
}

// make runs a statement that makes what is missing. Of two that do so at once one can
// fail, whatever IF NOT EXISTS says; at its next try all is there.
func (s *store) make(ctx context.Context, statement string) (err error) {
	for range tries {
		err = s.retry(ctx, "migrate", func(db *gorm.DB) error { return db.Exec(statement).Error })
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// exec runs a statement and counts into n, unless nil, how many rows it changed.
func (s *store) exec(db *gorm.DB, n *int64, text string, args ...any) error {
	done := db.Exec(s.texts.Replace(text), args...)
	if n != nil {
		*n += done.RowsAffected
	}
	return done.Error
}

func (s *store) query(db *gorm.DB, into any, text string, args ...any) error {
	return db.Raw(s.texts.Replace(text), args...).Scan(into).Error
}

// each runs a query and f for each of its rows.
func (s *store) each(db *gorm.DB, f func(*sql.Rows) error, text string, args ...any) (err error) {
	rows, err := db.Raw(s.texts.Replace(text), args...).Rows()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// tries is how often a transaction is tried that the database ended for another's sake.
const tries = 5

// retry runs f again while it fails for another's sake: a deadlock, a busy database.
// None of these left anything done.
func (s *store) retry(ctx context.Context, what string, f func(*gorm.DB) error) error {
	var err error
	for range tries {
		if err = f(s.db.WithContext(ctx)); err == nil {
			return nil
		}
		if ctx.Err() != nil || !transient(err) {
			break
		}
	}
	return fmt.Errorf("outbox: %s: %w", what, err)
}

// transient tells a statement that was rolled back for another's sake. Drivers are not
// known here, their texts are.
func transient(err error) bool {
	text := err.Error()
	for _, sign := range []string{"Deadlock found", "deadlock detected", "could not serialize", "database is locked", "Record has changed since last read"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// inTx runs f in a transaction.
func (s *store) inTx(ctx context.Context, what string, f func(*gorm.DB) error) error {
	return s.retry(ctx, what, func(db *gorm.DB) error {
		if s.readCommitted {
			return db.Transaction(f, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		}
		return db.Transaction(f)
	})
}
