package gormstore_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/failover/async/gormstore"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// databases runs a benchmark on each database that there is.
func databases(b *testing.B, run func(b *testing.B, db *gorm.DB)) {
	b.Run("sqlite", func(b *testing.B) { run(b, testenv.SQLite(b)) })
	b.Run("mysql", func(b *testing.B) { run(b, testenv.MySQL(b)) })
	b.Run("postgres", func(b *testing.B) { run(b, testenv.Postgres(b)) })
}

// tables counts, so that each round of a benchmark has a table of its own.
func benchStore(b *testing.B, db *gorm.DB) *gormstore.Store {
	b.Helper()
	s, err := gormstore.New(db, gormstore.WithTable(testenv.Name(b)[:30]+fmt.Sprint(b.N)))
	require.NoError(b, err)
	require.NoError(b, s.Migrate(context.Background()))
	return s
}

// BenchmarkAccept stores requests from 64 callers at a time.
func BenchmarkAccept(b *testing.B) {
	databases(b, func(b *testing.B, db *gorm.DB) {
		r := rescuedOver(b, benchStore(b, db), async.Config{Mode: async.AlwaysLater}, nil)
		b.SetParallelism(32) // times two processors
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := r.Do(context.Background(), "13800138000"); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepted/s")
	})
}

func rescuedOver(b *testing.B, s async.Store, cfg async.Config, delivered *atomic.Int64) *async.Rescued[string] {
	b.Helper()
	cfg.Name, cfg.Workers = "bench", 32
	r, err := async.New(s, func(context.Context, string) error { delivered.Add(1); return nil }, cfg)
	require.NoError(b, err)
	return r
}

// timed is a store that measures claims.
type timed struct {
	async.Store
	claims []time.Duration // by the one that claims
}

func (s *timed) Claim(ctx context.Context, c async.Claim) ([]async.Row, error) {
	began := time.Now()
	rows, err := s.Store.Claim(ctx, c)
	if len(rows) > 0 {
		s.claims = append(s.claims, time.Since(began))
	}
	return rows, err
}

// BenchmarkDeliver empties a backlog with one worker process of 32 deliveries at a
// time, to a provider that takes no time.
func BenchmarkDeliver(b *testing.B) {
	databases(b, func(b *testing.B, db *gorm.DB) {
		store := &timed{Store: benchStore(b, db)}
		for n := 0; n < b.N; {
			var entries []async.Entry
			for ; n < b.N && len(entries) < 500; n++ {
				entries = append(entries, async.Entry{Queue: "bench", Key: fmt.Sprint(n), Payload: []byte(`"13800138000"`)})
			}
			_, err := store.Put(context.Background(), entries)
			require.NoError(b, err)
		}
		var delivered atomic.Int64
		ctx, stop := context.WithCancel(context.Background())
		r, err := async.New(store, func(context.Context, string) error {
			if delivered.Add(1) == int64(b.N) {
				stop()
			}
			return nil
		}, async.Config{Name: "bench", Workers: 32})
		require.NoError(b, err)
		b.ResetTimer()
		require.NoError(b, r.Run(ctx))
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "delivered/s")
		slices.Sort(store.claims)
		b.ReportMetric(float64(store.claims[len(store.claims)*99/100].Microseconds())/1000, "ms/claim-p99")
	})
}
