package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/saramax/outbox"
)

func TestRelaysShareTheBuckets(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		b := &broker{}
		var relays []*outbox.Relay
		var stops []func()
		for range 3 {
			r, stop := start(t, db, b, quick())
			relays, stops = append(relays, r), append(stops, stop)
		}
		owned := func() (all []int) {
			for _, r := range relays {
				all = append(all, r.Snapshot().Owned)
			}
			return all
		}
		even := func(least, sum int) func() bool {
			return func() bool {
				total := 0
				for _, n := range owned() {
					if n > 0 && n < least {
						return false
					}
					total += n
				}
				return total == sum
			}
		}
		require.Eventually(t, even(20, 64), long, soon, "%v", owned())
		for n := range 50 {
			add(t, db, "paid", fmt.Sprint(n), n)
		}
		empties(t, db)
		require.Len(t, b.all(), 50)
		// Who leaves gives back at once: its lease would last for half a minute.
		stops[0]()
		require.Eventually(t, even(32, 64), long, soon, "%v", owned())
		stops[1]()
		require.Eventually(t, even(64, 64), long, soon, "%v", owned())
	})
}

// A relay that was killed cannot give back: its buckets are taken when its lease is over,
// and what it had claimed counts as attempted.
func TestTakeOverWhenALeaseIsOver(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		add(t, db, "paid", "k", 1)
		require.NoError(t, db.Exec("INSERT INTO outbox_events_sessions (id, name, since, lease_until) VALUES (7, 'killed', 0, ?)",
			time.Now().Add(time.Hour).UnixMicro()).Error)
		require.NoError(t, db.Exec("UPDATE outbox_events_buckets SET owner = 7").Error)
		var row struct{ Bucket, Seq int64 }
		require.NoError(t, db.Raw("SELECT bucket, seq FROM outbox_events").Scan(&row).Error)
		claim := outbox.EncodeRef(int(row.Bucket), row.Seq)
		require.NoError(t, db.Exec("INSERT INTO outbox_events_claims (session, number, claimed) VALUES (7, 1, ?)", claim).Error)
		b := &broker{}
		r, _ := start(t, db, b, quick())
		other, _ := start(t, db, b, quick())
		require.Never(t, func() bool { return r.Snapshot().Owned+other.Snapshot().Owned > 0 }, 200*time.Millisecond, soon)
		require.NoError(t, db.Exec("UPDATE outbox_events_sessions SET lease_until = 1 WHERE id = 7").Error)
		empties(t, db)
		require.Equal(t, 1, b.messages()[0].Attempts)
		require.Eventually(t, func() bool { return r.Snapshot().Owned+other.Snapshot().Owned == 64 }, long, soon)
		require.Equal(t, 2, rows(t, db, "outbox_events_sessions"))
	})
}

// held is a publisher that holds what it is given until it is told to go on.
type held struct {
	broker
	entered chan context.Context
	proceed chan struct{}
}

func newHeld() *held {
	return &held{entered: make(chan context.Context, 10), proceed: make(chan struct{})}
}

func (h *held) Publish(ctx context.Context, messages []outbox.Message) []error {
	h.entered <- ctx
	<-h.proceed
	return h.broker.Publish(ctx, messages)
}

// A relay that lost its lease while it published must not delete, or count, or bury,
// what another is publishing now.
func TestALateRelayChangesNothing(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		late, other := newHeld(), newHeld()
		goOn, goOnToo := sync.OnceFunc(func() { close(late.proceed) }), sync.OnceFunc(func() { close(other.proceed) })
		defer goOn() // also where the test fails, as relays wait for it
		defer goOnToo()
		r, stop := start(t, db, late, quick())
		add(t, db, "paid", "k", 1)
		<-late.entered
		require.NoError(t, db.Exec("UPDATE outbox_events_sessions SET lease_until = 1").Error) // as if it had run out
		r2, _ := start(t, db, other, quick())
		<-other.entered
		goOn()
		require.Eventually(t, func() bool { return r.Snapshot().LeaseLost+r.Snapshot().Published > 0 }, long, soon)
		require.EqualValues(t, 1, r.Snapshot().LeaseLost)
		require.Equal(t, 1, rows(t, db, "outbox_events"))
		goOnToo()
		require.Eventually(t, func() bool { return r2.Snapshot().Published == 1 }, long, soon)
		require.Zero(t, r.Snapshot().Published)
		require.Zero(t, r2.Snapshot().Missing)
		require.Zero(t, rows(t, db, "outbox_events"))
		require.Equal(t, late.messages()[0].ID, other.messages()[0].ID)
		stop()
	})
}

// breakable lets statements of a database fail.
type breakable struct {
	mu   sync.Mutex
	fail func(sql string) bool
}

func (b *breakable) install(t *testing.T, db *gorm.DB) {
	check := func(tx *gorm.DB) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.fail != nil && b.fail(tx.Statement.SQL.String()) {
			_ = tx.AddError(errors.New("the database is away"))
		}
	}
	require.NoError(t, db.Callback().Raw().Before("gorm:raw").Register("test:break", check))
	require.NoError(t, db.Callback().Row().Before("gorm:row").Register("test:break", check))
	require.NoError(t, db.Callback().Query().Before("gorm:query").Register("test:break", check))
}

func (b *breakable) failing(f func(sql string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = f
}

// A relay that cannot renew stops publishing while its lease still lasts.
func TestPublishingStopsBeforeTheLeaseIsOver(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		var away breakable
		away.install(t, db)
		h := newHeld()
		defer close(h.proceed)
		cfg := quick()
		cfg.Lease = 3 * time.Second
		start(t, db, h, cfg)
		add(t, db, "paid", "k", 1)
		ctx := <-h.entered
		away.failing(func(sql string) bool { return strings.Contains(sql, "SET lease_until") })
		<-ctx.Done()
		require.ErrorIs(t, context.Cause(ctx), outbox.ErrLeaseLost)
		s, err := admin(t, db).Status(t.Context())
		require.NoError(t, err)
		require.Positive(t, s.Relays[0].Lease, "others do not publish yet")
	})
}

// A lease is renewed while a publisher takes its time.
func TestALeaseIsRenewedWhilePublishing(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		h := newHeld()
		cfg := quick()
		cfg.Lease = 5 * time.Second
		var renewed atomic.Int64
		r, _ := start(t, db, h, cfg, outbox.WithHook(func(step string) {
			if step == "renewed" {
				renewed.Add(1)
			}
		}))
		add(t, db, "paid", "k", 1)
		<-h.entered
		require.Eventually(t, func() bool { return renewed.Load() >= 4 }, long, soon) // 6.7 s
		close(h.proceed)
		empties(t, db)
		require.Zero(t, r.Snapshot().LeaseLost)
		require.Len(t, h.all(), 1)
	})
}

// What was acknowledged and could not be deleted is deleted as soon as the database is
// back, and not published again while the lease lasts.
func TestSettlingIsTriedAgain(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		var away breakable
		away.install(t, db)
		b := &broker{}
		r, _ := start(t, db, b, quick())
		require.Eventually(t, func() bool { return r.Snapshot().Owned == 64 }, long, soon)
		away.failing(func(sql string) bool { return strings.HasPrefix(sql, "DELETE FROM outbox_events ") })
		add(t, db, "paid", "k", 1)
		require.Eventually(t, func() bool { return r.Snapshot().Failures >= 3 }, long, soon)
		away.failing(nil)
		empties(t, db)
		require.Len(t, b.all(), 1)
	})
}

// While the publisher works, no connection and no transaction of ours is in use.
func TestNothingIsHeldWhilePublishing(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		conns, err := db.DB()
		require.NoError(t, err)
		h := newHeld()
		start(t, db, h, quick())
		add(t, db, "paid", "k", 1)
		<-h.entered
		defer close(h.proceed)
		require.Eventually(t, func() bool { return conns.Stats().InUse == 0 }, long, time.Millisecond)
	})
}

// Leases are in the database's time: no statement carries that of this process.
func TestNoStatementCarriesTheTimeOfThisProcess(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		var mu sync.Mutex
		seen, bad := 0, []string{}
		day := 24 * time.Hour
		check := func(tx *gorm.DB) {
			mu.Lock()
			defer mu.Unlock()
			seen++
			for _, v := range tx.Statement.Vars {
				var at time.Time
				switch v := v.(type) {
				case time.Time:
					at = v
				case int64:
					at = time.UnixMicro(v)
				}
				if !at.IsZero() && time.Since(at).Abs() < day {
					bad = append(bad, tx.Statement.SQL.String())
				}
			}
		}
		require.NoError(t, db.Callback().Raw().After("gorm:raw").Register("test:time", check))
		require.NoError(t, db.Callback().Row().After("gorm:row").Register("test:time", check))
		require.NoError(t, db.Callback().Query().After("gorm:query").Register("test:time", check))
		b := &broker{fail: failKey("bad", errBroken)}
		cfg := quick()
		cfg.MaxAttempts, cfg.Lease = 2, 3*time.Second
		var renewed atomic.Int64
		r, stop := start(t, db, b, cfg, outbox.WithHook(func(step string) {
			if step == "renewed" {
				renewed.Add(1)
			}
		}))
		add(t, db, "paid", "k", 1, 2)
		add(t, db, "paid", "bad", 1)
		require.Eventually(t, func() bool { return r.Snapshot().Dead >= 1 && len(b.all()) >= 2 && renewed.Load() > 0 }, long, soon)
		stop()
		mu.Lock()
		defer mu.Unlock()
		require.Greater(t, seen, 10)
		require.Empty(t, bad)
	})
}

func TestRunTwiceIsRefused(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		r, _ := start(t, db, &broker{}, quick())
		require.Eventually(t, func() bool { return r.Snapshot().Owned == 64 }, long, soon)
		require.ErrorIs(t, r.Run(t.Context()), outbox.ErrRunning)
	})
}
