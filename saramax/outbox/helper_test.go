package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/sloglog"
	"github.com/bulwark-go/bulwark/saramax/outbox"
)

// long is how long a test waits for what must come: far more than it takes.
const long = 2 * 60 * time.Second

// soon is the pause between looks of a test.
const soon = 5 * time.Millisecond

// Paid is an event.
type Paid struct {
	N int `json:"n"`
}

// eachDB runs a test on each database, with the tables made and a plugin installed.
func eachDB(t *testing.T, test func(t *testing.T, db *gorm.DB)) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		install(t, db, outbox.Settings{})
		test(t, db)
	})
}

func install(t testing.TB, db *gorm.DB, settings outbox.Settings, opts ...outbox.PluginOption) {
	t.Helper()
	p, err := outbox.NewPlugin(settings, opts...)
	require.NoError(t, err)
	require.NoError(t, db.Use(p))
	require.NoError(t, outbox.Migrate(t.Context(), db))
}

// add stores events in a transaction of their own.
func add(t testing.TB, db *gorm.DB, topic, key string, numbers ...int) {
	t.Helper()
	require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
		for _, n := range numbers {
			if err := outbox.Add(tx, topic, key, Paid{n}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// broker is a publisher that remembers, and fails as it is told.
type broker struct {
	mu   sync.Mutex
	got  []outbox.Message
	fail func(outbox.Message) error // nil: nothing fails
}

func (b *broker) Publish(_ context.Context, messages []outbox.Message) []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	errs := make([]error, len(messages))
	for i, m := range messages {
		if b.fail != nil {
			errs[i] = b.fail(m)
		}
		if errs[i] == nil {
			b.got = append(b.got, m)
		}
	}
	return errs
}

func (b *broker) failing(f func(outbox.Message) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = f
}

// all are the messages that were published, as "topic/key:payload", in their order.
func (b *broker) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, m := range b.got {
		all = append(all, fmt.Sprintf("%s/%s:%s", m.Topic, m.Key, m.Payload))
	}
	return all
}

func (b *broker) messages() []outbox.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]outbox.Message(nil), b.got...)
}

// quick are settings for tests that wait for pauses.
func quick() outbox.Config {
	return outbox.Config{Backoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond, MaxPoll: 50 * time.Millisecond, SweepEvery: 50 * time.Millisecond}
}

// start runs a relay until the test ends, or until the returned function is called.
func start(t testing.TB, db *gorm.DB, p outbox.Publisher, cfg outbox.Config, opts ...outbox.Option) (*outbox.Relay, func()) {
	t.Helper()
	log := logger.New(sloglog.New(slog.NewTextHandler(t.Output(), nil))) // seen when the test fails
	r, err := outbox.NewRelay(db, p, cfg, append([]outbox.Option{outbox.WithLogger(log)}, opts...)...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return r, stop
}

// rows counts what is in a table.
func rows(t testing.TB, db *gorm.DB, table string) int {
	t.Helper()
	var n int
	require.NoError(t, db.Raw("SELECT COUNT(*) FROM "+table).Scan(&n).Error)
	return n
}

// empties waits until all events have left the table.
func empties(t testing.TB, db *gorm.DB) {
	t.Helper()
	remain(t, db, 0)
}

// remain waits until so many events are left in the table.
func remain(t testing.TB, db *gorm.DB, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return rows(t, db, "outbox_events") == n }, long, soon)
}
