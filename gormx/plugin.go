package gormx

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/observe"
	"gorm.io/gorm"
)

// operationKind is one statement, or one step of a transaction.
var operationKind = observe.Kind{
	Component: "gorm", Action: "operation", Help: "SQL statements and transaction steps.",
	Role: observe.Client, StartLabels: []string{"db", "operation", "table"}, Amount: "rows",
}

// DefaultMaxTables bounds the table label: above what one service's schema has,
// below what sharded table names would make of it.
const DefaultMaxTables = 100

// noTable is the label of statements that belong to no one table.
const noTable = "none"

// Option configures [Observe].
type Option interface{ apply(*plugin) }

type optionFunc func(*plugin)

func (f optionFunc) apply(p *plugin) { f(p) }

// WithName sets the value of the label "db", for services with several databases;
// the default is the dialector's name.
func WithName(db string) Option {
	return optionFunc(func(p *plugin) { p.name = db })
}

// WithMaxTables sets how many table names become labels before the rest is "other";
// the default is [DefaultMaxTables]. db.Use fails when n is not positive.
func WithMaxTables(n int) Option {
	return optionFunc(func(p *plugin) { p.maxTables = n })
}

// WithTransactions reports begin, commit and rollback, too. It is an option because
// gorm has no callback for them: the connection pool is wrapped, so that code which
// asserts the type of db.ConnPool no longer finds a *sql.DB there (db.DB() still
// does).
func WithTransactions() Option {
	return optionFunc(func(p *plugin) { p.transactions = true })
}

// Observe returns a gorm plugin that reports every statement to o, by database,
// operation (create, query, update, delete, row, raw; begin, commit and rollback
// with [WithTransactions]) and table, with its outcome and its rows. It measures
// the statement alone, pool wait included, not the hooks and associations around
// it, whose statements are reported by themselves. While a statement runs, its
// context is the one that o returned; a nil o is [observe.Nop].
//
// A statement that found no row, and a duplicate with gorm's TranslateError, have
// the outcome Skipped; one whose caller went away is Canceled. Dry runs and
// statements that an earlier error prevents are not reported.
//
// Give it to db.Use once per database; db.Use reports bad options.
func Observe(o observe.Observer, opts ...Option) gorm.Plugin {
	p := &plugin{observer: observe.OrNop(o), maxTables: DefaultMaxTables}
	for _, opt := range opts {
		opt.apply(p)
	}
	return p
}

type plugin struct {
	observer     observe.Observer
	name         string
	maxTables    int
	transactions bool
}

// Name implements [gorm.Plugin].
func (p *plugin) Name() string { return "bulwark:observe" }

// Initialize implements [gorm.Plugin].
func (p *plugin) Initialize(db *gorm.DB) error {
	if p.maxTables <= 0 {
		return fmt.Errorf("gormx: WithMaxTables %d is not positive", p.maxTables)
	}
	if observe.IsNop(p.observer) {
		return nil // nobody listens: leave gorm as it is
	}
	name := p.name
	if name == "" {
		name = db.Dialector.Name()
	}
	r := &reporter{observer: p.observer, db: name, tables: tables{max: p.maxTables}}
	if err := r.wrapCallbacks(db); err != nil {
		return err
	}
	if p.transactions {
		r.wrapPool(db)
	}
	return nil
}

// reporter reports what one *gorm.DB does.
type reporter struct {
	observer observe.Observer
	db       string
	tables   tables
}

// callback is the part of gorm's callback processors that we use.
type callback interface {
	Get(name string) func(*gorm.DB)
	Replace(name string, fn func(*gorm.DB)) error
}

// wrapCallbacks puts a report around the one callback of each operation that talks
// to the database. A pair of callbacks before and after it would miss the end when
// something in between panics.
func (r *reporter) wrapCallbacks(db *gorm.DB) error {
	all := db.Callback()
	var errs []error
	for operation, c := range map[string]callback{
		"create": all.Create(), "query": all.Query(), "update": all.Update(),
		"delete": all.Delete(), "row": all.Row(), "raw": all.Raw(),
	} {
		next := c.Get("gorm:" + operation)
		if next == nil {
			continue // a dialector without it
		}
		if err := c.Replace("gorm:"+operation, r.around(operation, next)); err != nil {
			errs = append(errs, fmt.Errorf("gormx: callback %s: %w", operation, err))
		}
	}
	return errors.Join(errs...)
}

func (r *reporter) around(operation string, next func(*gorm.DB)) func(*gorm.DB) {
	return func(db *gorm.DB) {
		if db.Error != nil || db.DryRun {
			next(db)
			return
		}
		stmt, parent := db.Statement, db.Statement.Context
		ctx, end := r.observer.Start(parent, observe.Operation{
			Kind: &operationKind, Values: observe.Values{r.db, operation, r.tables.label(stmt)},
		})
		stmt.Context = ctx
		res := observe.Result{Outcome: observe.Panicked, Amount: -1} // unless we get further
		defer func() {
			stmt.Context = parent // else the next statement of this chain becomes a child
			end(res)
		}()
		next(db)
		res = result(db)
	}
}

func result(db *gorm.DB) observe.Result {
	err := db.Error
	if row, ok := db.Statement.Dest.(*sql.Row); ok && err == nil && row != nil {
		err = row.Err() // gorm hands it to the caller's Scan
	}
	res := observe.Result{Outcome: outcomeOf(db.Statement.Context, err), Err: err, Amount: -1}
	if err == nil {
		res.Amount = db.RowsAffected // -1 for rows that are still to be read
	}
	return res
}
