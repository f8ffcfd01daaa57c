package gormstore_test

import (
	"database/sql"
	"testing"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/idempotency/idempotencytest"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

func TestSuite(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		idempotencytest.Test(t, func(t *testing.T) idempotencytest.Harness[*gorm.DB] { return harness(t, db) })
	})
}

func TestSuiteReadCommitted(t *testing.T) {
	db := testenv.MySQL(t)
	idempotencytest.Test(t, func(t *testing.T) idempotencytest.Harness[*gorm.DB] {
		return harness(t, db, gormstore.WithTxOptions(sql.TxOptions{Isolation: sql.LevelReadCommitted}))
	})
}
