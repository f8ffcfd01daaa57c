package gormstore_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// endLease lets the lease of every key be over, as time would.
func endLease(t testing.TB, db *gorm.DB) {
	t.Helper()
	require.NoError(t, db.Exec("UPDATE idempotency_keys SET lease_until = 1 WHERE lease_until <> 0").Error)
}

func TestALeaseKeepsOthersAwayUntilItsEnd(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s, ctx, key := open(t, db, gormstore.Config{}), t.Context(), scope.Key("pay", "1")
		lease, d, err := s.Lease(ctx, key, []byte("5"), time.Hour)
		require.NoError(t, err)
		require.Equal(t, idempotency.First, d.Kind)

		_, d, err = s.Lease(ctx, key, []byte("5"), time.Hour)
		var progress *idempotency.InProgressError
		require.ErrorAs(t, err, &progress)
		require.ErrorIs(t, err, idempotency.ErrInProgress)
		require.Equal(t, key, progress.Key)
		require.InDelta(t, time.Hour, progress.RetryAfter, float64(10*time.Minute))
		require.Equal(t, idempotency.InProgress, d.Kind)
		_, err = s.Do(ctx, key, []byte("5"), func(*gorm.DB) error { panic("not first") })
		require.ErrorIs(t, err, idempotency.ErrInProgress)
		_, _, err = s.Lease(ctx, key, []byte("6"), time.Hour)
		require.ErrorIs(t, err, idempotency.ErrConflict)

		require.NoError(t, lease.Complete(ctx, []byte("receipt"), nil))
		_, d, err = s.Lease(ctx, key, []byte("5"), time.Hour)
		require.NoError(t, err)
		require.Equal(t, idempotency.Decision{Kind: idempotency.Repeat, Answer: []byte("receipt")}, d)
	})
}

func TestACrashedWorkersKeyIsTakenOver(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s, ctx, key := open(t, db, gormstore.Config{}), t.Context(), scope.Key("pay", "1")
		require.NoError(t, db.Create(&account{Name: "a"}).Error)
		crashed, _, err := s.Lease(ctx, key, nil, time.Hour)
		require.NoError(t, err)
		endLease(t, db)
		second, d, err := s.Lease(ctx, key, nil, time.Hour)
		require.NoError(t, err)
		require.Equal(t, idempotency.First, d.Kind)
		require.Greater(t, second.Token(), crashed.Token())

		// The first one was only slow. Nothing of it counts any more.
		booked := func(tx *gorm.DB) error { return add(tx, "a", 1) }
		require.ErrorIs(t, crashed.Complete(ctx, nil, booked), idempotency.ErrLost)
		require.ErrorIs(t, crashed.Extend(ctx, time.Hour), idempotency.ErrLost)
		require.ErrorIs(t, crashed.Release(ctx), idempotency.ErrLost)
		require.NoError(t, second.Extend(ctx, time.Hour))
		require.NoError(t, second.Complete(ctx, nil, booked))
		require.ErrorIs(t, second.Complete(ctx, nil, booked), idempotency.ErrLost, "it is over")
		n, err := sum(ctx, db, "a")
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

func TestAnEndedLeaseIsOursUntilSomeoneTakesOver(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s := open(t, db, gormstore.Config{})
		slow, _, err := s.Lease(t.Context(), scope.Key("1"), nil, time.Hour)
		require.NoError(t, err)
		endLease(t, db)
		require.NoError(t, slow.Complete(t.Context(), nil, nil))
		_, d, err := s.Lease(t.Context(), scope.Key("1"), nil, time.Hour)
		require.NoError(t, err)
		require.Equal(t, idempotency.Repeat, d.Kind)
	})
}

func TestATransactionTakesOverAnEndedLease(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s, key := open(t, db, gormstore.Config{}), scope.Key("1")
		slow, _, err := s.Lease(t.Context(), key, nil, time.Hour)
		require.NoError(t, err)
		endLease(t, db)
		d, err := s.Do(t.Context(), key, nil, func(*gorm.DB) error { return nil })
		require.NoError(t, err)
		require.Equal(t, idempotency.First, d.Kind)
		require.ErrorIs(t, slow.Complete(t.Context(), nil, nil), idempotency.ErrLost)
		d, err = s.Do(t.Context(), key, nil, nil)
		require.NoError(t, err)
		require.Equal(t, idempotency.Repeat, d.Kind)
	})
}

func TestAReleasedKeyIsNewAndItsOldTokenIsNot(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s, ctx, key := open(t, db, gormstore.Config{}), t.Context(), scope.Key("1")
		var tokens []int64
		var leases []*gormstore.Lease
		for range 3 {
			lease, d, err := s.Lease(ctx, key, nil, time.Hour)
			require.NoError(t, err)
			require.Equal(t, idempotency.First, d.Kind)
			tokens, leases = append(tokens, lease.Token()), append(leases, lease)
			require.NoError(t, lease.Release(ctx))
		}
		_, _, err := s.Lease(ctx, key, nil, time.Hour)
		require.NoError(t, err)
		for _, lease := range leases {
			require.ErrorIs(t, lease.Complete(ctx, nil, nil), idempotency.ErrLost)
		}
		require.IsNonDecreasing(t, tokens)
	})
}

func TestOneOfManyTakesOver(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s, key := open(t, db, gormstore.Config{}), scope.Key("1")
		_, _, err := s.Lease(t.Context(), key, nil, time.Hour)
		require.NoError(t, err)
		endLease(t, db)
		var first atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				lease, _, err := s.Lease(t.Context(), key, nil, time.Hour)
				if lease != nil {
					first.Add(1)
				} else if !errors.Is(err, idempotency.ErrInProgress) {
					t.Errorf("lease: %v", err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), first.Load())
	})
}

func TestDoLeased(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s, ctx, calls := open(t, db, gormstore.Config{}), t.Context(), 0
		errDeclined := errors.New("declined")
		pay := func(id string, err error) (idempotency.Decision, error) {
			return s.DoLeased(ctx, scope.Key(id), nil, time.Minute, func(ctx context.Context, token int64) ([]byte, error) {
				calls++
				require.NotZero(t, token)
				_, bounded := ctx.Deadline()
				require.True(t, bounded)
				return []byte("receipt"), err
			})
		}
		_, err := pay("1", errDeclined)
		require.Equal(t, errDeclined, err)
		for _, kind := range []idempotency.Kind{idempotency.First, idempotency.Repeat} { // it was given back
			d, err := pay("1", nil)
			require.NoError(t, err)
			require.Equal(t, idempotency.Decision{Kind: kind, Answer: []byte("receipt")}, d)
		}
		require.Equal(t, 2, calls)

		_, err = pay("2", gormstore.Unknown(errDeclined))
		require.ErrorIs(t, err, errDeclined)
		_, err = pay("2", nil)
		require.ErrorIs(t, err, idempotency.ErrInProgress, "it may have happened")
		require.Panics(t, func() {
			_, _ = s.DoLeased(ctx, scope.Key("3"), nil, time.Minute, func(context.Context, int64) ([]byte, error) { panic("boom") })
		})
		_, err = pay("3", nil)
		require.ErrorIs(t, err, idempotency.ErrInProgress, "it may have happened")
		require.NoError(t, gormstore.Unknown(nil))
	})
}

func TestALeasedEffectEndsWithItsLease(t *testing.T) {
	s := open(t, testenv.SQLite(t), gormstore.Config{})
	_, err := s.DoLeased(t.Context(), scope.Key("1"), nil, 100*time.Millisecond, func(ctx context.Context, _ int64) ([]byte, error) {
		<-ctx.Done()
		return nil, gormstore.Unknown(context.Cause(ctx))
	})
	require.ErrorIs(t, err, idempotency.ErrLost)
	_, err = s.DoLeased(t.Context(), scope.Key("1"), nil, time.Millisecond, nil)
	require.ErrorIs(t, err, idempotency.ErrConfig)
}
