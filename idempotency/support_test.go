package idempotency_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/idempotency/idempotencytest"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// TestMain sizes the property tests for a database in a file.
func TestMain(m *testing.M) {
	if os.Getenv(envVictim) != "" {
		victim()
		return
	}
	flag.Parse()
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() == checks.DefValue && os.Getenv(testenv.EnvLong) != "1" {
		_ = checks.Value.Set("30")
	}
	goleak.VerifyTestMain(m)
}

type store = idempotency.Store[*gorm.DB]

// books are accounts that effects add to.
type books struct {
	db         *gorm.DB
	statements atomic.Int64 // that went to the database
}

type account struct {
	Name    string `gorm:"primaryKey;size:64"`
	Balance int
}

func (b *books) add(tx *gorm.DB, name string, n int) error {
	done := tx.Model(&account{}).Where("name = ?", name).UpdateColumn("balance", gorm.Expr("balance + ?", n))
	if done.Error != nil || done.RowsAffected > 0 {
		return done.Error
	}
	return tx.Create(&account{Name: name, Balance: n}).Error
}

func (b *books) sum(ctx context.Context, name string) (n int, err error) {
	return n, b.db.WithContext(ctx).Model(&account{}).Select("COALESCE(SUM(balance), 0)").Where("name = ?", name).Scan(&n).Error
}

// open returns a store over an empty SQLite, and its books.
func open(t testing.TB) (*gormstore.Store, *books) {
	t.Helper()
	b := &books{db: testenv.SQLite(t)}
	require.NoError(t, b.db.AutoMigrate(&account{}))
	s, err := gormstore.New(b.db, gormstore.Config{})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	count := func(*gorm.DB) { b.statements.Add(1) }
	callbacks := b.db.Callback()
	require.NoError(t, callbacks.Raw().Before("*").Register("count", count))
	require.NoError(t, callbacks.Row().Before("*").Register("count", count))
	require.NoError(t, callbacks.Query().Before("*").Register("count", count))
	require.NoError(t, callbacks.Update().Before("*").Register("count", count))
	require.NoError(t, callbacks.Create().Before("*").Register("count", count))
	return s, b
}

// suite runs the suite over stores that are decorated.
func suite(t *testing.T, decorate func(t *testing.T, s store) store) {
	idempotencytest.Test(t, func(t *testing.T) idempotencytest.Harness[*gorm.DB] {
		s, b := open(t)
		return idempotencytest.Harness[*gorm.DB]{Store: decorate(t, s), Add: b.add, Sum: b.sum}
	})
}

var errDown = errors.New("filter is down")

// filter is one that says what it is told to.
type filter struct {
	hint       func(i int) idempotency.Hint
	look       error
	rememberIt error
	remembered []idempotency.Mark
	during     func() // called by Remember
}

func (f *filter) Look(_ context.Context, keys []idempotency.Fingerprint) ([]idempotency.Hint, error) {
	if f.look != nil {
		return nil, f.look
	}
	hints := make([]idempotency.Hint, len(keys))
	for i := range hints {
		if f.hint != nil {
			hints[i] = f.hint(i)
		}
	}
	return hints, nil
}

func (f *filter) Remember(_ context.Context, done []idempotency.Mark) error {
	f.remembered = append(f.remembered, done...)
	if f.during != nil {
		f.during()
	}
	return f.rememberIt
}

func yes(int) idempotency.Hint { return idempotency.Hint{Seen: true, Via: idempotency.ViaFilter} }

// forged says yes with a digest, which nobody told it.
func forged(i int) idempotency.Hint {
	h := yes(i)
	h.Digest[0] = byte(i + 1)
	return h
}

func half(i int) idempotency.Hint { return idempotency.Hint{Seen: i%2 == 0} }

// exact is a filter that keeps every mark, as Redis does.
type exact map[idempotency.Fingerprint]idempotency.Digest

func (m exact) Look(_ context.Context, keys []idempotency.Fingerprint) ([]idempotency.Hint, error) {
	hints := make([]idempotency.Hint, len(keys))
	for i, key := range keys {
		hints[i].Digest, hints[i].Seen = m[key]
		hints[i].Via = idempotency.ViaRedis
	}
	return hints, nil
}

func (m exact) Remember(_ context.Context, done []idempotency.Mark) error {
	for _, mark := range done {
		m[mark.Key] = mark.Digest
	}
	return nil
}

func ids(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}
