// Package idempotency_test measures what exactly-once costs an effect: its transaction
// with the key in it, beside the same transaction bare.
package idempotency_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

const scope = idempotency.Scope("bench")

type account struct {
	ID      int `gorm:"primaryKey"`
	Balance int
}

type posting struct {
	ID      int64 `gorm:"primaryKey"`
	Event   int   `gorm:"index"`
	Account int
	Amount  int
}

// accounts are many, so that clients seldom wait for each other's rows.
const accounts = 1000

// ledger books an event: two lines in one statement, and two balances.
func ledger(tx *gorm.DB, event int) error {
	from, to := event%(accounts/2), accounts/2+event%(accounts/2)
	if err := tx.Create(&[]posting{{Event: event, Account: from, Amount: -1}, {Event: event, Account: to, Amount: 1}}).Error; err != nil {
		return err
	}
	if err := tx.Exec("UPDATE accounts SET balance = balance - 1 WHERE id = ?", from+1).Error; err != nil {
		return err
	}
	return tx.Exec("UPDATE accounts SET balance = balance + 1 WHERE id = ?", to+1).Error
}

// counter is the smallest effect there is.
func counter(tx *gorm.DB, event int) error {
	return tx.Exec("UPDATE accounts SET balance = balance + 1 WHERE id = ?", event%accounts+1).Error
}

// counters adds up a batch of 500 events and writes the sums of 50 articles.
func counters(tx *gorm.DB, events []int) error {
	sums := map[int]int{}
	for _, event := range events {
		sums[event%50+1]++
	}
	rows := make([]account, 0, len(sums))
	for id, n := range sums {
		rows = append(rows, account{ID: id, Balance: n})
	}
	slices.SortFunc(rows, func(a, b account) int { return a.ID - b.ID })
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "id"}},
		DoUpdates: clause.Assignments(map[string]any{"balance": gorm.Expr("accounts.balance + " + excluded(tx))}),
	}).Create(&rows).Error
}

func excluded(tx *gorm.DB) string {
	if tx.Name() == "mysql" {
		return "VALUES(balance)"
	}
	return "excluded.balance"
}

func open(b *testing.B, db *gorm.DB) *gormstore.Store {
	b.Helper()
	require.NoError(b, db.AutoMigrate(&account{}, &posting{}))
	rows := make([]account, accounts)
	for i := range rows {
		rows[i].ID = i + 1
	}
	require.NoError(b, db.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error)
	s, err := gormstore.New(db, gormstore.Config{})
	require.NoError(b, err)
	require.NoError(b, s.Migrate(b.Context()))
	return s
}

func databases(b *testing.B, run func(b *testing.B, db *gorm.DB)) {
	b.Run("sqlite", func(b *testing.B) { run(b, testenv.SQLite(b)) })
	b.Run("mysql", func(b *testing.B) { run(b, testenv.MySQL(b)) })
	b.Run("postgres", func(b *testing.B) { run(b, testenv.Postgres(b)) })
}

// BenchmarkEffect is one event at a time, by one client and by eight.
func BenchmarkEffect(b *testing.B) {
	for name, effect := range map[string]func(*gorm.DB, int) error{"ledger": ledger, "counter": counter} {
		b.Run(name, func(b *testing.B) {
			databases(b, func(b *testing.B, db *gorm.DB) {
				s, next := open(b, db), 0
				for _, clients := range []int{1, 8} {
					b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
						pair(b, &next, clients, 40, func(event int) error {
							_, err := s.Do(b.Context(), scope.Key(fmt.Sprint(event)), idempotency.Fields(1), func(tx *gorm.DB) error { return effect(tx, event) })
							return err
						}, func(event int) error {
							return db.WithContext(b.Context()).Transaction(func(tx *gorm.DB) error { return effect(tx, event) })
						})
					})
				}
			})
		})
	}
}

// BenchmarkBatch is 500 events that sum up to 50 counters, none of them a repeat or half
// of them.
func BenchmarkBatch(b *testing.B) {
	for _, repeats := range []int{0, 250} {
		b.Run(fmt.Sprintf("repeats=%d", repeats), func(b *testing.B) {
			databases(b, func(b *testing.B, db *gorm.DB) {
				s, next := open(b, db), 0
				var before []int // the batch that we did last
				batch := func(n int) []int {
					events := make([]int, 500)
					for i := range events {
						events[i] = n*500 + i
					}
					copy(events[:min(repeats, len(before))], before[len(before)-min(repeats, len(before)):])
					return events
				}
				pair(b, &next, 1, 4, func(n int) error {
					before = batch(n)
					_, err := idempotency.DoEach(b.Context(), s, before, deliver, counters)
					return err
				}, func(n int) error {
					return db.WithContext(b.Context()).Transaction(func(tx *gorm.DB) error { return counters(tx, batch(n)) })
				})
			})
		})
	}
}

func deliver(event int) idempotency.Delivery {
	return idempotency.Delivery{Key: scope.Key(fmt.Sprint("e", event)), Payload: idempotency.Fields(event)}
}

// BenchmarkRepeat is a delivery that was done before.
func BenchmarkRepeat(b *testing.B) {
	databases(b, func(b *testing.B, db *gorm.DB) {
		s := open(b, db)
		again := func() error {
			_, err := s.Do(context.Background(), scope.Key("repeat"), nil, func(*gorm.DB) error { return nil })
			return err
		}
		require.NoError(b, again())
		b.ReportAllocs()
		for b.Loop() {
			if err := again(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// pair times blocks of both sides in turn, so that a machine that changes its pace
// changes both, and reports our time over that of the bare transaction: the median of
// the pairs, with its quartiles.
func pair(b *testing.B, next *int, clients, block int, ours, bare func(event int) error) {
	ratios := make([]float64, 0, b.N)
	var o, t time.Duration
	side := func(call func(int) error) time.Duration {
		var wg sync.WaitGroup
		began := time.Now()
		for client := range clients {
			first := *next + client*block
			wg.Go(func() {
				for event := first; event < first+block; event++ {
					if err := call(event); err != nil && !strings.Contains(err.Error(), "context canceled") {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		took := time.Since(began)
		*next += clients * block
		return took
	}
	for range b.N {
		one, other := side(ours), side(bare)
		ratios = append(ratios, float64(one)/float64(other))
		o, t = o+one, t+other
	}
	slices.Sort(ratios)
	calls := float64(b.N * block * clients)
	b.ReportMetric(float64(o.Microseconds())/calls, "ours-µs/call")
	b.ReportMetric(float64(t.Microseconds())/calls, "bare-µs/call")
	b.ReportMetric(ratios[len(ratios)/4], "times-bare-q1")
	b.ReportMetric(ratios[len(ratios)/2], "times-bare-median")
	b.ReportMetric(ratios[len(ratios)*3/4], "times-bare-q3")
}
