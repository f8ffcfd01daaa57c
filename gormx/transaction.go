package gormx

import (
	"context"
	"database/sql"
	"errors"

	"github.com/bulwark-go/bulwark/observe"
	"gorm.io/gorm"
)

// wrapPool puts pool in front of db's connection pool: beneath gorm's prepared
// statements where they are on, since gorm looks for its own type on top.
func (r *reporter) wrapPool(db *gorm.DB) {
	if prepared, ok := db.ConnPool.(*gorm.PreparedStmtDB); ok {
		prepared.ConnPool = &pool{next: prepared.ConnPool, report: r}
		return
	}
	p := &pool{next: db.ConnPool, report: r}
	db.ConnPool = p
	db.Statement.ConnPool = p
}

// step reports one step of a transaction and runs it.
func (r *reporter) step(ctx context.Context, operation string, run func(context.Context) error) error {
	ctx, end := r.observer.Start(ctx, observe.Operation{
		Kind: &operationKind, Values: observe.Values{r.db, operation, noTable},
	})
	res := observe.Result{Outcome: observe.Panicked, Amount: -1}
	defer func() { end(res) }()
	err := run(ctx)
	res.Outcome, res.Err = outcomeOf(ctx, err), err
	if errors.Is(err, sql.ErrTxDone) { // rolled back already, when its context ended
		res.Outcome = observe.Skipped
	}
	return err
}

// pool is a gorm.ConnPool whose transactions are reported. It has no Commit and no
// Rollback: gorm takes whatever has them for a transaction.
type pool struct {
	next   gorm.ConnPool
	report *reporter
}

var (
	_ gorm.ConnPoolBeginner = (*pool)(nil)
	_ gorm.GetDBConnector   = (*pool)(nil)
	_ gorm.Tx               = (*preparingTx)(nil)
	_ gorm.GetDBConnector   = (*preparingTx)(nil)
)

func (p *pool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.next.PrepareContext(ctx, query)
}

func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return p.next.ExecContext(ctx, query, args...)
}

func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.next.QueryContext(ctx, query, args...)
}

func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.next.QueryRowContext(ctx, query, args...)
}

// GetDBConn serves db.DB().
func (p *pool) GetDBConn() (*sql.DB, error) {
	switch next := p.next.(type) {
	case *sql.DB:
		return next, nil
	case gorm.GetDBConnector:
		return next.GetDBConn()
	default:
		return nil, gorm.ErrInvalidDB
	}
}

// Ping serves those who ping through the pool, as gorm.Open does.
func (p *pool) Ping() error {
	if next, ok := p.next.(interface{ Ping() error }); ok {
		return next.Ping()
	}
	return nil
}

// BeginTx begins a transaction in both of gorm's ways.
func (p *pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	var begun gorm.ConnPool
	err := p.report.step(ctx, "begin", func(ctx context.Context) (err error) {
		switch next := p.next.(type) {
		case gorm.TxBeginner:
			begun, err = next.BeginTx(ctx, opts)
		case gorm.ConnPoolBeginner:
			begun, err = next.BeginTx(ctx, opts)
		default:
			err = gorm.ErrInvalidTransaction // gorm compares it by ==
		}
		return err
	})
	if err != nil {
		return nil, err // and no typed nil, which gorm would use
	}
	return p.wrapTx(ctx, begun), nil
}

func (p *pool) wrapTx(ctx context.Context, begun gorm.ConnPool) gorm.ConnPool {
	committer, ok := begun.(gorm.TxCommitter)
	if !ok {
		return begun
	}
	t := &tx{ConnPool: begun, committer: committer, pool: p, ctx: context.WithoutCancel(ctx)}
	if full, ok := begun.(gorm.Tx); ok {
		return &preparingTx{tx: t, full: full}
	}
	return t
}

// tx is a transaction that is reported. It has no BeginTx: gorm then makes nested
// transactions savepoints.
type tx struct {
	gorm.ConnPool
	committer gorm.TxCommitter
	pool      *pool
	ctx       context.Context // for the reports of its end, which take none
}

func (t *tx) Commit() error {
	return t.pool.report.step(t.ctx, "commit", func(context.Context) error { return t.committer.Commit() })
}

func (t *tx) Rollback() error {
	return t.pool.report.step(t.ctx, "rollback", func(context.Context) error { return t.committer.Rollback() })
}

// GetDBConn serves db.DB() within a transaction.
func (t *tx) GetDBConn() (*sql.DB, error) { return t.pool.GetDBConn() }

// preparingTx is a tx that can use statements prepared outside it.
type preparingTx struct {
	*tx
	full gorm.Tx
}

func (t *preparingTx) StmtContext(ctx context.Context, stmt *sql.Stmt) *sql.Stmt {
	return t.full.StmtContext(ctx, stmt)
}
