package outbox

import (
	"context"
	"database/sql"
	"sync/atomic"

	"gorm.io/gorm"
)

// adding marks the context of the statement that stores an event, so that the
// transaction recognises it through whatever other plugins have put in between.
type adding struct{}

// wrapPool puts pool in front of db's connection pool: beneath GORM's prepared
// statements where they are on, as GORM looks for its own type on top.
func (p *Plugin) wrapPool(db *gorm.DB) {
	if prepared, ok := db.ConnPool.(*gorm.PreparedStmtDB); ok {
		prepared.ConnPool = &pool{ConnPool: prepared.ConnPool, plugin: p}
		return
	}
	wrapped := &pool{ConnPool: db.ConnPool, plugin: p}
	db.ConnPool, db.Statement.ConnPool = wrapped, wrapped
}

// pool is a connection pool whose transactions tell of their commit. It must not have
// Commit and Rollback: GORM takes what has them for a transaction.
type pool struct {
	gorm.ConnPool
	plugin *Plugin
}

var (
	_ gorm.ConnPoolBeginner = (*pool)(nil)
	_ gorm.GetDBConnector   = (*pool)(nil)
	_ gorm.TxCommitter      = (*tx)(nil)
	_ gorm.Tx               = (*preparedTx)(nil)
)

// GetDBConn serves db.DB().
func (p *pool) GetDBConn() (*sql.DB, error) {
	switch next := p.ConnPool.(type) {
	case *sql.DB:
		return next, nil
	case gorm.GetDBConnector:
		return next.GetDBConn()
	}
	return nil, gorm.ErrInvalidDB
}

// Ping serves gorm.Open and whoever else pings through the pool.
func (p *pool) Ping() error {
	if next, ok := p.ConnPool.(interface{ Ping() error }); ok {
		return next.Ping()
	}
	return nil
}

// BeginTx begins a transaction, in either of the ways that GORM knows.
func (p *pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	var begun gorm.ConnPool
	var err error
	switch next := p.ConnPool.(type) {
	case gorm.TxBeginner:
		begun, err = next.BeginTx(ctx, opts)
	case gorm.ConnPoolBeginner:
		begun, err = next.BeginTx(ctx, opts)
	default:
		return nil, gorm.ErrInvalidTransaction // GORM compares it by ==
	}
	if err != nil {
		return nil, err // and not begun, which may be a typed nil
	}
	end, ok := begun.(gorm.TxCommitter)
	if !ok {
		return begun, nil
	}
	t := &tx{ConnPool: begun, end: end, pool: p}
	if whole, ok := begun.(gorm.Tx); ok {
		return &preparedTx{tx: t, whole: whole}, nil
	}
	return t, nil
}

// tx is a transaction that knows whether it holds events.
type tx struct {
	gorm.ConnPool
	end    gorm.TxCommitter
	pool   *pool
	events atomic.Bool
}

func (t *tx) note(ctx context.Context) {
	if ctx.Value(adding{}) != nil {
		t.events.Store(true)
	}
}

// ExecContext looks for events as they are stored.
func (t *tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	t.note(ctx)
	return t.ConnPool.ExecContext(ctx, query, args...)
}

// Commit commits, and then wakes the relays if there is something for them.
func (t *tx) Commit() error {
	err := t.end.Commit()
	if err == nil && t.events.Load() {
		t.pool.plugin.committed()
	}
	return err
}

// Rollback rolls back.
func (t *tx) Rollback() error { return t.end.Rollback() }

// GetDBConn serves db.DB() within a transaction.
func (t *tx) GetDBConn() (*sql.DB, error) { return t.pool.GetDBConn() }

// preparedTx is a tx for statements that were prepared outside it.
type preparedTx struct {
	*tx
	whole gorm.Tx
}

// StmtContext looks for events as they are stored by a prepared statement.
func (t *preparedTx) StmtContext(ctx context.Context, stmt *sql.Stmt) *sql.Stmt {
	t.note(ctx)
	return t.whole.StmtContext(ctx, stmt)
}
