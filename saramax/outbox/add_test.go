package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/gormx"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/saramax/outbox"
)

func TestAddOutsideATransactionIsRefused(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		require.ErrorIs(t, outbox.Add(db, "paid", "k", Paid{1}), outbox.ErrNoTransaction)
		require.ErrorIs(t, outbox.Add(db.Session(&gorm.Session{SkipDefaultTransaction: true}), "paid", "k", Paid{1}), outbox.ErrNoTransaction)
		require.ErrorIs(t, outbox.Add(nil, "paid", "k", Paid{1}), outbox.ErrNoTransaction)
		require.Zero(t, rows(t, db, "outbox_events"))
	})
}

func TestAddAfterTheEndFails(t *testing.T) {
	db := testenv.SQLite(t)
	install(t, db, outbox.Settings{})
	tx := db.Begin()
	require.NoError(t, tx.Commit().Error)
	require.Error(t, outbox.Add(tx, "paid", "k", Paid{1}))
	require.Zero(t, rows(t, db, "outbox_events"))
}

func TestAddRefusesWhatNoBrokerTakes(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		for name, c := range map[string]struct {
			topic, key string
			event      any
			opts       []outbox.AddOption
			says       string
		}{
			"no topic":      {"", "k", Paid{1}, nil, "topic"},
			"long topic":    {strings.Repeat("t", 250), "k", Paid{1}, nil, "topic"},
			"long key":      {"t", strings.Repeat("k", 256), Paid{1}, nil, "key"},
			"NUL":           {"t", "a\x00b", Paid{1}, nil, "NUL"},
			"not UTF-8":     {"t", "a\xffb", Paid{1}, nil, "UTF-8"},
			"long type":     {"t", "k", Paid{1}, []outbox.AddOption{outbox.WithType(strings.Repeat("x", 256))}, "type"},
			"long id":       {"t", "k", Paid{1}, []outbox.AddOption{outbox.WithID(strings.Repeat("x", 65))}, "id"},
			"no JSON":       {"t", "k", func() {}, nil, "unsupported type"},
			"large":         {"t", "k", strings.Repeat("x", outbox.DefaultMaxBytes), nil, "too large"},
			"large headers": {"t", "k", Paid{1}, []outbox.AddOption{outbox.WithHeader("h", strings.Repeat("x", outbox.DefaultMaxBytes))}, "too large"},
		} {
			t.Run(name, func(t *testing.T) {
				err := db.Transaction(func(tx *gorm.DB) error { return outbox.Add(tx, c.topic, c.key, c.event, c.opts...) })
				require.ErrorContains(t, err, c.says)
				require.Equal(t, c.says == "too large", errors.Is(err, outbox.ErrTooLarge))
			})
		}
		require.Zero(t, rows(t, db, "outbox_events"))
	})
}

func TestAddStoresTheColumnsOfDebezium(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		type traced struct{}
		install(t, db, outbox.Settings{Table: "my_events", MaxBytes: 1000},
			outbox.WithInject(func(ctx context.Context, h map[string]string) { h["traceparent"] = ctx.Value(traced{}).(string) }),
			outbox.WithCodec(func(v any) ([]byte, error) { return []byte(v.(string)), nil }))
		ctx := context.WithValue(t.Context(), traced{}, "00-1-2-01")
		require.NoError(t, db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			return outbox.Add(tx, "payment_events", "T-1", "raw", outbox.WithID("evt-1"), outbox.WithType("paid"), outbox.WithHeader("tenant", "a"))
		}))
		var row struct {
			ID, Aggregatetype, Aggregateid, Type string
			Payload, Headers                     []byte
		}
		require.NoError(t, db.Raw("SELECT id, aggregatetype, aggregateid, type, payload, headers FROM my_events").Scan(&row).Error)
		require.Equal(t, []string{"evt-1", "payment_events", "T-1", "paid", "raw"}, []string{row.ID, row.Aggregatetype, row.Aggregateid, row.Type, string(row.Payload)})
		var headers map[string]string
		require.NoError(t, json.Unmarshal(row.Headers, &headers))
		require.Equal(t, map[string]string{"tenant": "a", "traceparent": "00-1-2-01"}, headers)
	})
}

// The relay polls far too seldom here: only the commit can have woken it.
func TestCommitWakesTheRelay(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, db *gorm.DB) *gorm.DB{
		"plain":           func(_ *testing.T, db *gorm.DB) *gorm.DB { return db },
		"prepared":        func(_ *testing.T, db *gorm.DB) *gorm.DB { return db.Session(&gorm.Session{PrepareStmt: true}) },
		"beneath another": wrapped,
	} {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, db *gorm.DB) {
				b, writer := &broker{}, prepare(t, db)
				var asked atomic.Int64
				require.NoError(t, db.Callback().Row().Before("gorm:row").Register("test:count", func(*gorm.DB) { asked.Add(1) }))
				idle := func() { // what is added now is found by no look that was under way
					last := int64(-1)
					require.Eventually(t, func() bool {
						before := last
						last = asked.Load()
						return last > 0 && last == before
					}, long, 100*time.Millisecond)
				}
				r, _ := start(t, db, b, outbox.Config{MinPoll: time.Hour})
				require.Eventually(t, func() bool { return r.Snapshot().Owned == outbox.DefaultBuckets }, long, soon)
				idle()
				add(t, writer, "paid", "k", 1)
				require.Eventually(t, func() bool { return len(b.all()) == 1 }, long, soon)
				empties(t, db)
				idle()
				add(t, writer, "paid", "k", 2)
				require.Eventually(t, func() bool { return len(b.all()) == 2 }, long, soon)
			})
		})
	}
}

// wrapped puts another plugin's pool over that of the outbox.
func wrapped(t *testing.T, db *gorm.DB) *gorm.DB {
	require.NoError(t, db.Use(gormx.Observe(observetest.NewRecorder(t), gormx.WithTransactions())))
	return db
}

// Both are told apart by the broker only: what each database thinks of "a" and "A ".
func TestKeysAreBytes(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		b := &broker{}
		for i, key := range []string{"a", "A", "a ", "ä", ""} {
			add(t, db, "paid", key, i)
		}
		start(t, db, b, quick())
		empties(t, db)
		require.ElementsMatch(t, []string{`paid/a:{"n":0}`, `paid/A:{"n":1}`, `paid/a :{"n":2}`, `paid/ä:{"n":3}`, `paid/:{"n":4}`}, b.all())
	})
}

func TestPluginNamesWhatIsWrong(t *testing.T) {
	_, err := outbox.NewPlugin(outbox.Settings{Table: "a; DROP TABLE b", Buckets: 1000, MaxBytes: -1}, outbox.WithCodec(nil), outbox.WithInject(nil))
	for _, field := range []string{"Settings.Table", "Settings.Buckets", "Settings.MaxBytes", "WithCodec", "WithInject"} {
		require.ErrorContains(t, err, field)
	}
}

func TestRelayNamesWhatIsWrong(t *testing.T) {
	_, err := outbox.NewRelay(nil, &broker{}, outbox.Config{})
	require.ErrorContains(t, err, "db <nil>")
	_, err = outbox.NewRelay(testenv.SQLite(t), nil, outbox.Config{Batch: -1, Lease: 1, MinPoll: time.Second, MaxPoll: 1, MaxAttempts: -1, OnDead: 7, Order: 7}, outbox.WithInstance(""))
	for _, field := range []string{"publisher", "Config.Batch", "Config.Lease", "Config.MaxPoll", "Config.MaxAttempts", "Config.OnDead", "Config.Order", "WithInstance"} {
		require.ErrorContains(t, err, field)
	}
}

func TestMigrateTwiceAndAtOnce(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		errs := make(chan error)
		for range 4 {
			go func() { errs <- outbox.Migrate(t.Context(), db) }()
		}
		for range 4 {
			require.NoError(t, <-errs)
		}
		require.NoError(t, outbox.Migrate(t.Context(), db))
		require.Equal(t, outbox.DefaultBuckets, rows(t, db, "outbox_events_buckets"))
	})
}

// Writers and relays that disagree about the buckets would lose events or their order.
func TestAnotherNumberOfBucketsIsRefused(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		require.NoError(t, outbox.Migrate(t.Context(), db))
		p, err := outbox.NewPlugin(outbox.Settings{Buckets: 128})
		require.NoError(t, err)
		require.NoError(t, db.Use(p))
		r, err := outbox.NewRelay(db, &broker{}, outbox.Config{})
		require.NoError(t, err)
		require.ErrorContains(t, r.Run(t.Context()), "64 buckets")
		refused := 0
		for n := range 50 {
			if db.Transaction(func(tx *gorm.DB) error { return outbox.Add(tx, "paid", fmt.Sprint(n), Paid{n}) }) != nil {
				refused++
			}
		}
		require.Positive(t, refused, "what no relay would find")
	})
}
