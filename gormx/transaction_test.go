package gormx_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bulwark-go/bulwark/gormx"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
)

func TestTransactionStepsAreReported(t *testing.T) {
	for name, cfg := range map[string]*gorm.Config{
		"plain": {}, "prepared statements": {PrepareStmt: true},
	} {
		t.Run(name, func(t *testing.T) {
			db, rec := observed(t, cfg, gormx.WithTransactions())
			t.Run("commit", func(t *testing.T) {
				rec.Reset()
				require.NoError(t, db.Transaction(func(tx *gorm.DB) error { return tx.Find(&[]author{}).Error }))
				require.Equal(t, []string{"begin none ok -1", "query authors ok 0", "commit none ok -1"}, told(rec))
			})
			t.Run("rollback", func(t *testing.T) {
				rec.Reset()
				no := errors.New("no")
				err := db.Transaction(func(tx *gorm.DB) error {
					require.NoError(t, tx.Create(&author{Email: "gone@x"}).Error)
					return no
				})
				require.ErrorIs(t, err, no)
				require.Equal(t, []string{"begin none ok -1", "create authors ok 1", "rollback none ok -1"}, told(rec))
				require.ErrorIs(t, db.First(&author{}, "email = ?", "gone@x").Error, gorm.ErrRecordNotFound)
			})
			t.Run("default transaction", func(t *testing.T) {
				rec.Reset()
				require.NoError(t, db.Create(&author{Email: "kept@x"}).Error)
				require.Equal(t, []string{"begin none ok -1", "create authors ok 1", "commit none ok -1"}, told(rec))
			})
			t.Run("nested transaction is a savepoint", func(t *testing.T) {
				rec.Reset()
				require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
					require.NoError(t, tx.Create(&author{Email: "outer@x"}).Error)
					inner := tx.Transaction(func(tx *gorm.DB) error {
						require.NoError(t, tx.Create(&author{Email: "inner@x"}).Error)
						return errors.New("undo")
					})
					require.Error(t, inner)
					return nil
				}))
				require.NoError(t, db.First(&author{}, "email = ?", "outer@x").Error)
				require.ErrorIs(t, db.First(&author{}, "email = ?", "inner@x").Error, gorm.ErrRecordNotFound)
				require.Equal(t, "begin none ok -1", told(rec)[0])
			})
			t.Run("session with prepared statements", func(t *testing.T) {
				require.NoError(t, db.Session(&gorm.Session{PrepareStmt: true}).Transaction(func(tx *gorm.DB) error {
					return tx.Create(&author{Email: "prepared@x"}).Error
				}))
				require.NoError(t, db.First(&author{}, "email = ?", "prepared@x").Error)
			})
			t.Run("prepared within a transaction", func(t *testing.T) {
				require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
					return tx.Session(&gorm.Session{PrepareStmt: true}).Create(&author{Email: "later@x"}).Error
				}))
				require.NoError(t, db.First(&author{}, "email = ?", "later@x").Error)
			})
			t.Run("gorm finds its prepared statements on top", func(t *testing.T) {
				require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
					_, onTop := tx.Statement.ConnPool.(*gorm.PreparedStmtTX) // it sends savepoints past them
					require.Equal(t, cfg.PrepareStmt, onTop)
					return nil
				}))
			})
			t.Run("the pool below stays in reach", func(t *testing.T) {
				pool, err := db.DB()
				require.NoError(t, err)
				require.NoError(t, pool.Ping())
				require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
					same, err := tx.DB()
					require.Same(t, pool, same)
					return err
				}))
				require.NoError(t, db.Connection(func(tx *gorm.DB) error { return tx.Find(&[]author{}).Error }))
			})
		})
	}
}

func TestFailedBeginIsReportedAndReturned(t *testing.T) {
	db, rec := observed(t, &gorm.Config{}, gormx.WithTransactions())
	pool, err := db.DB()
	require.NoError(t, err)
	require.NoError(t, pool.Close())
	ran := false
	err = db.Transaction(func(*gorm.DB) error { ran = true; return nil })
	require.ErrorContains(t, err, "database is closed")
	require.False(t, ran)
	require.Equal(t, []string{"begin none failed -1"}, told(rec))
}

func TestRollbackAfterCancelIsNotAFailure(t *testing.T) {
	db, rec := observed(t, &gorm.Config{}, gormx.WithTransactions())
	ctx, cancel := context.WithCancel(t.Context())
	err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		require.NoError(t, tx.Create(&author{Email: "a@x"}).Error)
		cancel()
		return tx.Find(&[]author{}).Error
	})
	require.ErrorIs(t, err, context.Canceled)
	lines := told(rec)
	require.Equal(t, "query authors canceled -1", lines[2])
	require.Contains(t, []string{"rollback none skipped -1", "rollback none ok -1"}, lines[3], "database/sql may have been first")
	require.ErrorIs(t, db.First(&author{}).Error, gorm.ErrRecordNotFound)
}
