// Package gormx shows what a *gorm.DB does: to a log, to metrics and to traces.
//
//	log, err := gormx.NewLogger(logger, gormx.LoggerConfig{Dialect: "mysql"})
//	db, err := gorm.Open(mysql.Open(dsn), &gorm.Config{Logger: log, TranslateError: true})
//	err = db.Use(gormx.Observe(observer, gormx.WithName("orders")))
//
// [NewLogger] writes one line for each statement, with a fingerprint of its SQL
// instead of its values. [Observe] reports each statement to an observe.Observer:
// with observe/prom that is a histogram by database, operation, table and outcome,
// with observe/otel a span under which the driver works. [NewPoolStats] shows the
// connection pool. Package gormx/dualwrite, beside, writes to two databases.
//
// Values stay out of all of it, since they are what customers entrusted to the
// database: parameters are never inlined, literals in SQL text become "?", and
// quoted parts of error texts are cut ([ErrorText]).
package gormx

import (
	"context"
	"database/sql"
	"errors"

	"github.com/bulwark-go/bulwark/observe"
	"gorm.io/gorm"
)

// outcomeOf classifies a statement's error. No row, and a duplicate that gorm's
// TranslateError recognised, are answers of a healthy database: Skipped. When the
// caller's context has ended the error is counted as that, because drivers differ
// in how they report an interrupted statement.
func outcomeOf(ctx context.Context, err error) observe.Outcome {
	switch {
	case err == nil:
		return observe.OK
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows), errors.Is(err, gorm.ErrDuplicatedKey):
		return observe.Skipped
	case ctx.Err() != nil:
		return observe.OutcomeOf(ctx.Err())
	default:
		return observe.OutcomeOf(err)
	}
}
