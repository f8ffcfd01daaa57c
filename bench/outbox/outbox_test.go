// Package outbox_test measures what an outbox costs a business transaction, and how
// fast a relay empties it into Kafka.
package outbox_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/glebarez/sqlite"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulwark-go/bulwark/saramax/outbox"
)

type paid struct {
	TradeNo string
	Amount  int64
}

// databases runs a benchmark on SQLite, and on the real databases that the environment
// names, in tables of its own.
func databases(b *testing.B, run func(b *testing.B, db *gorm.DB, table string)) {
	b.Run("sqlite", func(b *testing.B) {
		dsn := filepath.Join(b.TempDir(), "bench.db") + "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)"
		one(b, sqlite.Open(dsn), run)
	})
	if dsn := os.Getenv("BULWARK_TEST_MYSQL_DSN"); dsn != "" {
		b.Run("mysql", func(b *testing.B) {
			name := fmt.Sprint("bench_outbox_", time.Now().UnixNano())
			server, closeServer := open(b, mysql.Open(dsn))
			require.NoError(b, server.Exec("CREATE DATABASE "+name+" CHARACTER SET utf8mb4").Error)
			defer closeServer()
			defer server.Exec("DROP DATABASE " + name)
			one(b, mysql.Open(strings.Replace(dsn, ")/", ")/"+name, 1)+"?parseTime=true"), run)
		})
	}
	if dsn := os.Getenv("BULWARK_TEST_POSTGRES_DSN"); dsn != "" {
		b.Run("postgres", func(b *testing.B) {
			name := fmt.Sprint("bench_outbox_", time.Now().UnixNano())
			server, closeServer := open(b, postgres.Open(dsn))
			require.NoError(b, server.Exec("CREATE SCHEMA "+name).Error)
			defer closeServer()
			defer server.Exec("DROP SCHEMA " + name + " CASCADE")
			one(b, postgres.Open(dsn+"&search_path="+name), run)
		})
	}
}

func open(b *testing.B, d gorm.Dialector) (*gorm.DB, func()) {
	b.Helper()
	db, err := gorm.Open(d, &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true})
	require.NoError(b, err)
	conns, err := db.DB()
	require.NoError(b, err)
	conns.SetMaxOpenConns(16)
	conns.SetMaxIdleConns(16)
	return db, func() { _ = conns.Close() }
}

func one(b *testing.B, d gorm.Dialector, run func(b *testing.B, db *gorm.DB, table string)) {
	db, closeDB := open(b, d)
	defer closeDB()
	plugin, err := outbox.NewPlugin(outbox.Settings{})
	require.NoError(b, err)
	require.NoError(b, db.Use(plugin))
	require.NoError(b, outbox.Migrate(context.Background(), db))
	run(b, db, outbox.DefaultTable)
}

// publisher publishes to the real Kafka, or without one to nowhere.
func publisher(b *testing.B) (p outbox.Publisher, topic string, done func()) {
	addrs := os.Getenv("BULWARK_TEST_KAFKA_ADDRS")
	if addrs == "" {
		b.Log("BULWARK_TEST_KAFKA_ADDRS is not set: published to nowhere")
		return outbox.PublisherFunc(func(context.Context, []outbox.Message) []error { return nil }), "bench", func() {}
	}
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Producer.RequiredAcks, cfg.Producer.Return.Successes = sarama.WaitForAll, true
	cfg.Producer.Idempotent, cfg.Net.MaxOpenRequests = true, 1
	admin, err := sarama.NewClusterAdmin(strings.Split(addrs, ","), cfg)
	require.NoError(b, err)
	topic = fmt.Sprint("bench-outbox-", time.Now().UnixNano())
	require.NoError(b, admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 6, ReplicationFactor: 1}, false))
	producer, err := sarama.NewSyncProducer(strings.Split(addrs, ","), cfg)
	require.NoError(b, err)
	return outbox.NewSaramaPublisher(producer), topic, func() {
		_ = producer.Close()
		_ = admin.DeleteTopic(topic)
		_ = admin.Close()
	}
}

func fill(b *testing.B, db *gorm.DB, topic string, n int) {
	for n > 0 {
		some := min(n, 1000)
		require.NoError(b, db.Transaction(func(tx *gorm.DB) error {
			for i := range some {
				if err := outbox.Add(tx, topic, fmt.Sprint("T-", n-i), paid{fmt.Sprint("T-", n-i), 100}); err != nil {
					return err
				}
			}
			return nil
		}))
		n -= some
	}
}

// BenchmarkRelay empties a backlog with one relay: rows/s, by the size of a batch. Run
// it with -benchtime=50000x: fewer rows measure the start.
func BenchmarkRelay(b *testing.B) {
	for _, batch := range []int{10, 100, 500} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			databases(b, func(b *testing.B, db *gorm.DB, table string) {
				p, topic, done := publisher(b)
				defer done()
				fill(b, db, topic, b.N)
				ctx, stop := context.WithCancel(context.Background())
				left := b.N
				var mu sync.Mutex
				counted := outbox.PublisherFunc(func(ctx context.Context, m []outbox.Message) []error {
					errs := p.Publish(ctx, m)
					mu.Lock()
					defer mu.Unlock()
					if left -= len(m); left <= 0 {
						stop() // the last batch is settled all the same
					}
					return errs
				})
				r, err := outbox.NewRelay(db, counted, outbox.Config{Batch: batch})
				require.NoError(b, err)
				b.ResetTimer()
				require.NoError(b, r.Run(ctx))
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
				var rest int
				require.NoError(b, db.Raw("SELECT COUNT(*) FROM "+table).Scan(&rest).Error)
				require.Zero(b, rest)
			})
		})
	}
}

// BenchmarkDelay measures from the commit to the broker's answer, one event at a time,
// in the process of the relay.
func BenchmarkDelay(b *testing.B) {
	databases(b, func(b *testing.B, db *gorm.DB, _ string) {
		p, topic, done := publisher(b)
		defer done()
		acked := make(chan time.Time, 1)
		r, err := outbox.NewRelay(db, outbox.PublisherFunc(func(ctx context.Context, m []outbox.Message) []error {
			errs := p.Publish(ctx, m)
			acked <- time.Now()
			return errs
		}), outbox.Config{})
		require.NoError(b, err)
		ctx, stop := context.WithCancel(context.Background())
		var run sync.WaitGroup
		run.Go(func() { _ = r.Run(ctx) })
		fill(b, db, topic, 1)
		<-acked
		var delays []time.Duration
		idle := time.NewTicker(10 * time.Millisecond)
		defer idle.Stop()
		b.ResetTimer()
		for i := range b.N {
			<-idle.C
			require.NoError(b, db.Transaction(func(tx *gorm.DB) error { return outbox.Add(tx, topic, fmt.Sprint(i), paid{"T", 1}) }))
			committed := time.Now()
			delays = append(delays, (<-acked).Sub(committed))
		}
		b.StopTimer()
		stop()
		run.Wait()
		slices.Sort(delays)
		b.ReportMetric(float64(delays[len(delays)/2].Microseconds())/1000, "ms-p50")
		b.ReportMetric(float64(delays[len(delays)*99/100].Microseconds())/1000, "ms-p99")
	})
}

// BenchmarkAdd compares Add with an insert of the same row that is written by hand, each
// in a transaction with an update, one after the other in turns.
func BenchmarkAdd(b *testing.B) {
	databases(b, func(b *testing.B, db *gorm.DB, table string) {
		require.NoError(b, db.Exec("CREATE TABLE payments (id INT PRIMARY KEY, paid INT)").Error)
		require.NoError(b, db.Exec("INSERT INTO payments VALUES (1, 0)").Error)
		now := map[string]string{
			"mysql": "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)", "postgres": "CAST(EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP()) * 1000000 AS BIGINT)",
			"sqlite": "CAST((JULIANDAY('now') - 2440587.5) * 86400000000 AS INTEGER)",
		}[db.Name()]
		byHand := "INSERT INTO " + table + ` (bucket, aggregate_hash, id, aggregatetype, aggregateid, type, payload, headers, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ` + now + ")"
		payload, headers := []byte(`{"TradeNo":"T-1001","Amount":100}`), []byte("{}")
		update := func(tx *gorm.DB) error { return tx.Exec("UPDATE payments SET paid = paid + 1 WHERE id = 1").Error }
		ways := []func(tx *gorm.DB) error{
			func(tx *gorm.DB) error { return outbox.Add(tx, "payments", "T-1001", paid{"T-1001", 100}) },
			func(tx *gorm.DB) error {
				return tx.Exec(byHand, 1, 1, "0190a0a0-0000-7000-8000-000000000000", "payments", "T-1001", "paid", payload, headers).Error
			},
		}
		var spent [2][]time.Duration
		b.ResetTimer()
		for range b.N {
			for w, way := range ways {
				began := time.Now()
				require.NoError(b, db.Transaction(func(tx *gorm.DB) error {
					if err := update(tx); err != nil {
						return err
					}
					return way(tx)
				}))
				spent[w] = append(spent[w], time.Since(began))
			}
		}
		b.StopTimer()
		for w := range spent {
			slices.Sort(spent[w])
		}
		ours, hand := spent[0][len(spent[0])/2], spent[1][len(spent[1])/2]
		b.ReportMetric(float64(ours.Microseconds()), "µs-add")
		b.ReportMetric(float64(hand.Microseconds()), "µs-by-hand")
		b.ReportMetric(float64(ours)/float64(hand), "ratio")
	})
}
