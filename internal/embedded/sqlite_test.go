package embedded_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/internal/embedded"
)

type counter struct {
	ID    int64
	Name  string `gorm:"uniqueIndex"`
	Count int64
}

type child struct {
	ID        int64
	CounterID int64
	Counter   counter
}

func openSQLite(t *testing.T, cfg embedded.SQLiteConfig) *gorm.DB {
	t.Helper()
	db, err := embedded.OpenSQLite(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.DB().AutoMigrate(&counter{}, &child{}))
	return db.DB()
}

func TestConcurrentReadModifyWriteTransactionsLoseNothing(t *testing.T) {
	db := openSQLite(t, embedded.SQLiteConfig{Path: filepath.Join(t.TempDir(), "test.db")})
	require.NoError(t, db.Create(&counter{ID: 1, Name: "a"}).Error)
	const workers, rounds = 8, 25
	errs := make(chan error, workers*rounds)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				errs <- db.Transaction(func(tx *gorm.DB) error {
					var c counter
					if err := tx.First(&c, 1).Error; err != nil {
						return err
					}
					return tx.Model(&c).Update("count", c.Count+1).Error
				})
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	var c counter
	require.NoError(t, db.First(&c, 1).Error)
	require.EqualValues(t, workers*rounds, c.Count)
}

func TestReadersGoOnBesideATransaction(t *testing.T) {
	db := openSQLite(t, embedded.SQLiteConfig{Path: filepath.Join(t.TempDir(), "test.db")})
	require.NoError(t, db.Create(&counter{ID: 1, Name: "a"}).Error)
	require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
		require.NoError(t, tx.Create(&counter{ID: 2, Name: "b"}).Error)
		var seen int64
		require.NoError(t, db.Model(&counter{}).Count(&seen).Error)
		require.EqualValues(t, 1, seen)
		return nil
	}))
}

func TestWritingPastAnOpenTransactionFailsAfterTheBusyTimeout(t *testing.T) {
	db := openSQLite(t, embedded.SQLiteConfig{
		Path: filepath.Join(t.TempDir(), "test.db"), BusyTimeout: 50 * time.Millisecond,
	})
	require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
		require.ErrorContains(t, db.Create(&counter{Name: "past"}).Error, "locked")
		return tx.Create(&counter{Name: "inside"}).Error
	}))
}

func TestDuplicateAndBrokenReferenceAreTranslated(t *testing.T) {
	db := openSQLite(t, embedded.SQLiteConfig{Path: filepath.Join(t.TempDir(), "test.db")})
	require.NoError(t, db.Create(&counter{Name: "a"}).Error)
	require.ErrorIs(t, db.Create(&counter{Name: "a"}).Error, gorm.ErrDuplicatedKey)
	require.ErrorIs(t, db.Omit("Counter").Create(&child{CounterID: 99}).Error, gorm.ErrForeignKeyViolated)
}

func TestPathMayHoldAnyCharacter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%20é&_txlock=deferred")
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "test.db")
	db := openSQLite(t, embedded.SQLiteConfig{Path: path})
	require.NoError(t, db.Create(&counter{Name: "a"}).Error)
	require.FileExists(t, path)
}

func TestRelativePathIsInTheWorkingFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	db := openSQLite(t, embedded.SQLiteConfig{Path: "test.db"})
	require.NoError(t, db.Create(&counter{Name: "a"}).Error)
	require.FileExists(t, "test.db")
}

func TestSQLiteNamesWhatIsWrongWithItsConfig(t *testing.T) {
	_, err := embedded.OpenSQLite(embedded.SQLiteConfig{BusyTimeout: -time.Second, MaxConns: -1})
	require.ErrorContains(t, err, "SQLiteConfig.Path is empty")
	require.ErrorContains(t, err, "SQLiteConfig.BusyTimeout -1s is negative")
	require.ErrorContains(t, err, "SQLiteConfig.MaxConns -1 is negative")

	missing := filepath.Join(t.TempDir(), "missing", "test.db")
	_, err = embedded.OpenSQLite(embedded.SQLiteConfig{Path: missing})
	require.ErrorContains(t, err, missing)
}

func TestClosedSQLiteMayBeClosedAgain(t *testing.T) {
	db, err := embedded.OpenSQLite(embedded.SQLiteConfig{Path: filepath.Join(t.TempDir(), "test.db")})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, db.Close())
	require.Error(t, db.DB().Exec("SELECT 1").Error)
}
