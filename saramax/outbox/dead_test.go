package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/saramax/outbox"
)

var errBroken = errors.New("broken")

// failKey fails the messages of one key.
func failKey(key string, err error) func(outbox.Message) error {
	return func(m outbox.Message) error {
		if m.Key == key {
			return err
		}
		return nil
	}
}

func admin(t testing.TB, db *gorm.DB) *outbox.Admin {
	t.Helper()
	a, err := outbox.NewAdmin(db)
	require.NoError(t, err)
	return a
}

func TestAFailingAggregateHoldsUpNoOther(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		b := &broker{fail: failKey("bad", errBroken)}
		cfg := quick()
		cfg.MaxAttempts = 1000
		r, _ := start(t, db, b, cfg)
		// One bucket at most holds both: all of 200 keys share with somebody.
		add(t, db, "paid", "bad", 1, 2, 3)
		for n := range 200 {
			add(t, db, "paid", fmt.Sprint("good", n), n)
		}
		require.Eventually(t, func() bool { return len(b.all()) == 200 }, long, soon)
		require.Eventually(t, func() bool { return r.Snapshot().Failed >= 3 }, long, soon, "it is tried again and again")
		remain(t, db, 3)
		b.failing(nil)
		empties(t, db)
		require.Equal(t, []string{`paid/bad:{"n":1}`, `paid/bad:{"n":2}`, `paid/bad:{"n":3}`}, b.all()[200:])
	})
}

// More than the database is told not to read: those are put aside by the relay.
func TestManyFailingAggregatesHoldUpNoOther(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		b := &broker{fail: func(m outbox.Message) error {
			if m.Topic == "bad" {
				return errBroken
			}
			return nil
		}}
		cfg := quick()
		cfg.MaxAttempts, cfg.Batch, cfg.Backoff, cfg.MaxBackoff = 1000, 50, time.Hour, time.Hour
		r, _ := start(t, db, b, cfg)
		const bad = 700
		require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
			for n := range bad {
				if err := outbox.Add(tx, "bad", fmt.Sprint(n), Paid{n}); err != nil {
					return err
				}
			}
			return nil
		}))
		require.Eventually(t, func() bool { return r.Snapshot().Failed == bad }, long, soon)
		for n := range 20 {
			add(t, db, "paid", fmt.Sprint("good", n), n)
		}
		require.Eventually(t, func() bool { return len(b.all()) == 20 }, long, soon)
	})
}

func TestDeadAfterItsAttemptsAndFollowersWait(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		b := &broker{fail: func(m outbox.Message) error {
			if string(m.Payload) == `{"n":1}` {
				return errBroken
			}
			return nil
		}}
		cfg := quick()
		cfg.MaxAttempts = 3
		r, stop := start(t, db, b, cfg)
		add(t, db, "paid", "k", 1, 2, 3)
		require.Eventually(t, func() bool { return r.Snapshot().Dead == 1 }, long, soon)
		a := admin(t, db)
		dead, err := a.Dead(t.Context(), outbox.Filter{})
		require.NoError(t, err)
		require.Len(t, dead, 1)
		d := dead[0]
		require.Equal(t, outbox.ReasonAttempts, d.Reason)
		require.Equal(t, "broken", d.Error)
		require.Equal(t, 3, d.Attempts)
		require.Equal(t, `{"n":1}`, string(d.Payload))
		require.GreaterOrEqual(t, d.FirstFailed, d.Died)
		add(t, db, "paid", "other", 4)
		require.Eventually(t, func() bool { return len(b.all()) == 1 }, long, soon)

		// Another relay knows, too, that they wait.
		stop()
		start(t, db, b, cfg)
		add(t, db, "paid", "other", 5)
		require.Eventually(t, func() bool { return len(b.all()) == 2 }, long, soon)
		remain(t, db, 2) // those behind the dead one

		b.failing(nil)
		n, err := a.Requeue(t.Context(), outbox.Filter{Topic: "paid", Key: "k", Reason: outbox.ReasonAttempts})
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		empties(t, db)
		require.Equal(t, []string{`paid/k:{"n":1}`, `paid/k:{"n":2}`, `paid/k:{"n":3}`}, b.all()[2:], "in its old place")
	})
}

func TestPurgeLetsFollowersGo(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		b := &broker{fail: func(m outbox.Message) error {
			if string(m.Payload) == `{"n":1}` {
				return fmt.Errorf("%w: never", outbox.ErrRefused)
			}
			return nil
		}}
		r, _ := start(t, db, b, quick())
		add(t, db, "paid", "k", 1, 2)
		require.Eventually(t, func() bool { return r.Snapshot().Dead == 1 }, long, soon)
		a := admin(t, db)
		dead, err := a.Dead(t.Context(), outbox.Filter{Reason: outbox.ReasonRefused})
		require.NoError(t, err)
		require.Len(t, dead, 1)
		require.Equal(t, 1, dead[0].Attempts, "refused for good: no other attempt")
		for _, none := range []outbox.Filter{{Topic: "x"}, {Key: "x"}, {Type: "x"}, {ID: "x"}, {Reason: outbox.ReasonAttempts}, {DiedBefore: time.Hour}, {After: dead[0].Number}} {
			n, err := a.Purge(t.Context(), none)
			require.NoError(t, err)
			require.Zero(t, n, "%+v", none)
		}
		n, err := a.Purge(t.Context(), outbox.Filter{ID: dead[0].ID, Type: "Paid"})
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		empties(t, db)
		require.Equal(t, []string{`paid/k:{"n":2}`}, b.all())
	})
}

func TestFollowersFlowByPolicy(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		b := &broker{fail: func(m outbox.Message) error {
			if string(m.Payload) == `{"n":1}` {
				return errBroken
			}
			return nil
		}}
		cfg := quick()
		cfg.MaxAttempts, cfg.OnDead = 2, outbox.FollowersFlow
		start(t, db, b, cfg)
		add(t, db, "paid", "k", 1, 2, 3)
		empties(t, db)
		require.Equal(t, []string{`paid/k:{"n":2}`, `paid/k:{"n":3}`}, b.all())
		require.Equal(t, 1, rows(t, db, "outbox_events_dead"))
	})
}

// An outage of the broker must not kill events, however long it lasts.
func TestUnavailableDoesNotCount(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		var mu sync.Mutex
		calls := 0
		b := &broker{fail: func(outbox.Message) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			return fmt.Errorf("%w: no broker", outbox.ErrUnavailable)
		}}
		cfg := quick()
		cfg.MaxAttempts = 1
		start(t, db, b, cfg)
		add(t, db, "paid", "k", 1, 2)
		require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return calls >= 5 }, long, soon)
		b.failing(nil)
		empties(t, db)
		require.Equal(t, []string{`paid/k:{"n":1}`, `paid/k:{"n":2}`}, b.all())
		require.Zero(t, rows(t, db, "outbox_events_dead"))
		require.Zero(t, b.messages()[0].Attempts)
	})
}

// The publisher says that the send failed: the row stays.
func TestOnlyAnAnswerDeletes(t *testing.T) {
	for name, answer := range map[string]func(n int) []error{
		"too few answers":  func(int) []error { return []error{} },
		"too many answers": func(n int) []error { return make([]error, n+1) },
		"an error":         func(n int) []error { return append(make([]error, n-1), errBroken) },
		"goexit":           func(int) []error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, db *gorm.DB) {
				p := outbox.PublisherFunc(func(_ context.Context, m []outbox.Message) []error { return answer(len(m)) })
				cfg := quick()
				cfg.MaxAttempts = 1000
				r, _ := start(t, db, p, cfg)
				add(t, db, "paid", "k", 1)
				require.Eventually(t, func() bool { return r.Snapshot().Failed >= 2 }, long, soon)
				require.Equal(t, 1, rows(t, db, "outbox_events"))
				var attempts int
				require.NoError(t, db.Raw("SELECT attempts FROM outbox_events").Scan(&attempts).Error)
				require.GreaterOrEqual(t, attempts, 2)
			})
		})
	}
}

// A panic is counted, passed on, and ends the session, so that another relay goes on at
// once. The event that panics dies alone, whatever is in its batch.
func TestAPanicIsCountedAndRaisedAgain(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		add(t, db, "paid", "poison", 0)
		for n := range 100 {
			add(t, db, "paid", fmt.Sprint("good", n), n)
		}
		b := &broker{}
		p := outbox.PublisherFunc(func(ctx context.Context, messages []outbox.Message) []error {
			for _, m := range messages {
				if m.Key == "poison" {
					panic("poison")
				}
			}
			return b.Publish(ctx, messages)
		})
		cfg := quick()
		cfg.MaxAttempts, cfg.Batch = 6, 64
		r, err := outbox.NewRelay(db, p, cfg)
		require.NoError(t, err)
		panics := 0
		run := func() (err error) {
			defer func() {
				if v := recover(); v != nil {
					require.Equal(t, "poison", v)
					panics++
				}
			}()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				defer cancel()
				tick := time.NewTicker(soon)
				defer tick.Stop()
				for ctx.Err() == nil && rows(t, db, "outbox_events") > 0 {
					<-tick.C
				}
			}()
			return r.Run(ctx)
		}
		for range 50 {
			require.NoError(t, run())
			if rows(t, db, "outbox_events") == 0 {
				break
			}
		}
		require.Len(t, b.all(), 100)
		require.Equal(t, 6, panics)
		dead, err := admin(t, db).Dead(t.Context(), outbox.Filter{})
		require.NoError(t, err)
		require.Len(t, dead, 1)
		require.Equal(t, "poison", dead[0].Key)
		require.True(t, strings.Contains(dead[0].Error, "without an answer"), dead[0].Error)
	})
}

func TestStatusTellsWhoDoesTheWork(t *testing.T) {
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		a := admin(t, db)
		add(t, db, "paid", "k", 1, 2)
		s, err := a.Status(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2, s.Pending)
		require.GreaterOrEqual(t, s.Oldest, time.Duration(0))
		require.Equal(t, 64, s.Unowned)
		require.Empty(t, s.Relays)
		b := &broker{}
		r, stop := start(t, db, b, quick(), outbox.WithInstance("host-1"))
		empties(t, db)
		s, err = a.Status(t.Context())
		require.NoError(t, err)
		require.Zero(t, s.Pending)
		require.Zero(t, s.Oldest)
		require.Zero(t, s.Unowned)
		require.Equal(t, 64, s.Buckets)
		require.Len(t, s.Relays, 1)
		require.Equal(t, "host-1", s.Relays[0].Instance)
		require.Equal(t, 64, s.Relays[0].Buckets)
		require.Positive(t, s.Relays[0].Lease)
		require.EqualValues(t, 2, r.Snapshot().Published)
		stop()
		s, err = a.Status(t.Context())
		require.NoError(t, err)
		require.Empty(t, s.Relays)
		require.Equal(t, 64, s.Unowned)
	})
}
