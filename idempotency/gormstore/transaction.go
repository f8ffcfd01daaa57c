package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"gorm.io/gorm"
)

// attempts is how often a transaction is tried that the database ended for another's
// sake.
const attempts = 5

// pause is how long the first of further tries waits, at most; each next one up to
// twice as long.
const pause = 10 * time.Millisecond

// told marks an error that says all, the effect's above all: it is returned as it is.
type told struct{ error }

func (e *told) Unwrap() error { return e.error }

// inTx runs f in a transaction, and again where the database ended it for another's
// sake.
func (s *Store) inTx(ctx context.Context, f func(tx *gorm.DB) error) error {
	var err error
	for try := range attempts {
		if try > 0 && !waited(ctx, rand.N(pause<<(try-1))) {
			break
		}
		err = s.db.WithContext(ctx).Transaction(f, &sql.TxOptions{Isolation: s.isolation})
		if err == nil || ctx.Err() != nil || !transient(err) {
			break
		}
	}
	var whole *told
	switch {
	case err == nil:
		return nil
	case errors.As(err, &whole):
		return whole.error
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		// database/sql rolls back as soon as the caller leaves, and tells of that only.
		return fmt.Errorf("gormstore: transaction: %w: %w", ctx.Err(), err)
	default:
		return fmt.Errorf("gormstore: transaction: %w", err)
	}
}

func waited(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// transient tells a transaction that was rolled back for another's sake. Drivers are
// not known here, their texts are.
func transient(err error) bool {
	text := err.Error()
	for _, sign := range []string{
		"Error 1213", "Error 1020", // deadlock and lost snapshot on MySQL and MariaDB
		"SQLSTATE 40", // PostgreSQL's class of rolled back transactions
		"database is locked", "database table is locked",
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
