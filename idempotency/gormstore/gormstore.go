package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
)

// Config is what [New] takes. The zero Config keeps keys for ever in [DefaultTable].
type Config struct {
	// Table is the name of the table, DefaultTable when empty: up to 48 of a-z, 0-9 and
	// _, not beginning with a digit.
	Table string
	// Window is how long keys are remembered; 0 is for ever. It is one for the table:
	// Stores with different ones delete by the shortest.
	Window time.Duration
	// CleanEvery is the pause between deletions by [Store.Run], a minute when 0.
	CleanEvery time.Duration
	// CleanBatch is how many keys one statement deletes at most, 1000 when 0.
	CleanBatch int
}

// DefaultTable is the table without [Config.Table].
const DefaultTable = "idempotency_keys"

// Option configures [New].
type Option interface{ apply(*Store) }

type optionFunc func(*Store)

func (f optionFunc) apply(s *Store) { f(s) }

// WithTxOptions sets the isolation of the transactions that effects run in. Without it
// that is the database's default. ReadOnly is ignored.
func WithTxOptions(opts sql.TxOptions) Option {
	return optionFunc(func(s *Store) { s.isolation = opts.Isolation })
}

// Store implements [idempotency.Store]. Create it with [New]. It is safe for concurrent
// use.
type Store struct {
	db        *gorm.DB
	cfg       Config
	isolation sql.IsolationLevel
	dialect   dialect
	fill      *strings.Replacer // of the table's name and the clock
}

var _ idempotency.Store[*gorm.DB] = (*Store)(nil)

// tableName is what may stand in a statement without quotes.
var tableName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// New returns a Store in db, which must not be a transaction. It does not use the
// database yet; call [Store.Migrate] where the table may be missing.
func New(db *gorm.DB, cfg Config, opts ...Option) (*Store, error) {
	s := &Store{cfg: cfg.withDefaults()}
	errs := []error{s.cfg.validate(), s.use(db)}
	for i, o := range opts {
		if o == nil {
			errs = append(errs, violation(fmt.Sprintf("options[%d]", i), "nil", "given"))
			continue
		}
		o.apply(s)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Table == "" {
		c.Table = DefaultTable
	}
	if c.CleanEvery == 0 {
		c.CleanEvery = time.Minute
	}
	if c.CleanBatch == 0 {
		c.CleanBatch = 1000
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if !tableName.MatchString(c.Table) {
		errs = append(errs, violation("Table", fmt.Sprintf("%q", c.Table), "up to 48 of a-z, 0-9 and _, not beginning with a digit"))
	}
	if c.Window < 0 || c.Window > 0 && c.Window < time.Second {
		errs = append(errs, violation("Window", c.Window, "0, or at least 1s"))
	}
	if c.CleanEvery < time.Millisecond {
		errs = append(errs, violation("CleanEvery", c.CleanEvery, "at least 1ms"))
	}
	if c.CleanBatch < 1 || c.CleanBatch > 10_000 {
		errs = append(errs, violation("CleanBatch", c.CleanBatch, "from 1 to 10000"))
	}
	return errors.Join(errs...)
}

func (s *Store) use(db *gorm.DB) error {
	if db == nil {
		return violation("db", "nil", "given")
	}
	if _, inTx := db.Statement.ConnPool.(gorm.TxCommitter); inTx {
		return violation("db", "in a transaction", "the database itself, as what Do returns must be committed")
	}
	var ok bool
	if s.dialect, ok = dialects[db.Name()]; !ok {
		return violation("dialect", fmt.Sprintf("%q", db.Name()), "mysql, postgres or sqlite")
	}
	s.fill = strings.NewReplacer("{table}", s.cfg.Table, "{now}", s.dialect.now)
	s.db = db.Session(&gorm.Session{NewDB: true})
	return nil
}

func violation(field string, value any, want string) error {
	return fmt.Errorf("%w: gormstore: %s %v: must be %s", idempotency.ErrConfig, field, value, want)
}

// Migrate makes the table where it is missing. Instances may do so at the same time.
func (s *Store) Migrate(ctx context.Context) error {
	for _, statement := range s.Schema() {
		db := s.db.WithContext(ctx)
		err := db.Exec(statement).Error
		if err != nil && db.Migrator().HasTable(s.cfg.Table) {
			err = nil // another instance was faster
		}
		if err != nil {
			return fmt.Errorf("gormstore: migrate: %w", err)
		}
	}
	return nil
}

// Schema returns the statements that make the table, for the database's dialect. The
// only unique index besides the id is that of scope and key: leave it so.
func (s *Store) Schema() []string { return []string{s.sql(strings.TrimSpace(s.dialect.schema))} }

// sql fills the table's name and the clock into a statement.
func (s *Store) sql(text string) string {
	return s.fill.Replace(text)
}

// plain returns db without what an effect or a caller may have set on it.
func plain(db *gorm.DB) *gorm.DB {
	return db.Session(&gorm.Session{NewDB: true, Context: db.Statement.Context, SkipDefaultTransaction: true})
}
