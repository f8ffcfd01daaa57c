package gormstore_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// entry is a line of a ledger: unique by business, its id and its number, and once more
// by a voucher.
type entry struct {
	ID      int64  `gorm:"primaryKey"`
	Biz     string `gorm:"size:32;uniqueIndex:by_biz"`
	BizID   int64  `gorm:"uniqueIndex:by_biz"`
	EntryNo int    `gorm:"uniqueIndex:by_biz"`
	Voucher string `gorm:"size:32;uniqueIndex"`
	Amount  int64
}

func insert(db *gorm.DB, e entry) (before *entry, err error) {
	err = db.Transaction(func(tx *gorm.DB) error {
		if before, err = gormstore.Insert(tx, &e, "biz", "biz_id", "entry_no"); err != nil {
			return err
		}
		if before == nil {
			return add(tx, "ledger", int(e.Amount))
		}
		if before.Amount != e.Amount {
			return idempotency.ErrConflict
		}
		return add(tx, "ledger", 0) // the transaction goes on
	})
	return before, err
}

func TestInsertLetsTheRowsOwnIndexDecide(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		require.NoError(t, db.AutoMigrate(&account{}, &entry{}))
		require.NoError(t, db.Create(&account{Name: "ledger"}).Error)
		before, err := insert(db, entry{Biz: "reward", BizID: 7, EntryNo: 1, Voucher: "v1", Amount: 5})
		require.NoError(t, err)
		require.Nil(t, before)
		for range 2 {
			before, err = insert(db, entry{Biz: "reward", BizID: 7, EntryNo: 1, Voucher: "v2", Amount: 5})
			require.NoError(t, err)
			require.Equal(t, &entry{ID: 1, Biz: "reward", BizID: 7, EntryNo: 1, Voucher: "v1", Amount: 5}, before)
		}
		_, err = insert(db, entry{Biz: "reward", BizID: 7, EntryNo: 1, Voucher: "v2", Amount: 6})
		require.ErrorIs(t, err, idempotency.ErrConflict)
		n, err := sum(t.Context(), db, "ledger")
		require.NoError(t, err)
		require.Equal(t, 5, n)
	})
}

func TestInsertTakesNoOtherIndexForItsOwn(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		require.NoError(t, db.AutoMigrate(&account{}, &entry{}))
		require.NoError(t, db.Create(&account{Name: "ledger"}).Error)
		_, err := insert(db, entry{Biz: "reward", BizID: 7, EntryNo: 1, Voucher: "v1", Amount: 5})
		require.NoError(t, err)
		_, err = insert(db, entry{Biz: "reward", BizID: 8, EntryNo: 1, Voucher: "v1", Amount: 5})
		require.ErrorIs(t, err, gorm.ErrDuplicatedKey)
	})
}

func TestInsertAtOnce(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		require.NoError(t, db.AutoMigrate(&account{}, &entry{}))
		require.NoError(t, db.Create(&account{Name: "ledger"}).Error)
		var first atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				before, err := insert(db, entry{Biz: "reward", BizID: 7, EntryNo: 1, Voucher: "v1", Amount: 5})
				if err != nil {
					t.Errorf("insert: %v", err)
				} else if before == nil {
					first.Add(1)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), first.Load())
	})
}

func TestInsertRefuses(t *testing.T) {
	db := testenv.SQLite(t)
	require.NoError(t, db.AutoMigrate(&entry{}))
	_, err := gormstore.Insert(db, &entry{}, "biz")
	require.ErrorIs(t, err, idempotency.ErrConfig, "no transaction")
	for _, unique := range [][]string{nil, {"nothing"}} {
		err = db.Transaction(func(tx *gorm.DB) error {
			_, err := gormstore.Insert(tx, &entry{}, unique...)
			return errors.Join(err)
		})
		require.ErrorIs(t, err, idempotency.ErrConfig)
	}
}
