package concurrency_test

import (
	"context"
	"math"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAcquirersConform(t *testing.T) {
	t.Run("limiter", func(t *testing.T) {
		ratelimittest.TestAcquirer(t, func() ratelimittest.AcquirerHarness {
			l, err := concurrency.New(5)
			require.NoError(t, err)
			return ratelimittest.AcquirerHarness{Acquirer: l, Limit: 5}
		})
	})
	t.Run("adaptive", func(t *testing.T) {
		ratelimittest.TestAcquirer(t, func() ratelimittest.AcquirerHarness {
			a, err := concurrency.NewAdaptive(concurrency.AdaptiveConfig{Min: 5, Max: 5})
			require.NoError(t, err)
			return ratelimittest.AcquirerHarness{Acquirer: a, Limit: 5, OneBudget: true}
		})
	})
	t.Run("bulkheads", func(t *testing.T) {
		ratelimittest.TestAcquirer(t, func() ratelimittest.AcquirerHarness {
			b, err := concurrency.NewBulkheads(map[string]concurrency.Budget{"core": {Limit: 5}, "other": {Limit: 5}})
			require.NoError(t, err)
			return ratelimittest.AcquirerHarness{Acquirer: b, Limit: 5, Keys: []string{"core", "other"}}
		})
	})
	t.Run("foreign", func(t *testing.T) {
		ratelimittest.TestAcquirer(t, func() ratelimittest.AcquirerHarness {
			l, err := concurrency.New(5)
			require.NoError(t, err)
			return ratelimittest.AcquirerHarness{Acquirer: foreign{l}, Limit: 5}
		})
	})
}

// foreign hands out tickets as an Acquirer of another package would.
type foreign struct{ inner *concurrency.Limiter }

func (f foreign) Acquire(ctx context.Context, key string) (concurrency.Ticket, error) {
	ticket, err := f.inner.Acquire(ctx, key)
	if err != nil || !ticket.Allowed {
		return ticket, err
	}
	return concurrency.NewTicket(ticket.Decision, func(concurrency.Verdict) { ticket.Release() }), nil
}

func TestLimitChangesWhileCallsRun(t *testing.T) {
	l, err := concurrency.New(2)
	require.NoError(t, err)
	first, _ := l.Acquire(t.Context(), "k")
	second, _ := l.Acquire(t.Context(), "k")
	require.True(t, second.Allowed)
	require.NoError(t, l.SetLimit(1))
	first.Release()
	third, _ := l.Acquire(t.Context(), "k")
	require.False(t, third.Allowed, "one is still in flight")
	require.Equal(t, concurrency.Snapshot{Limit: 1, InFlight: 1}, l.Snapshot())
	require.ErrorContains(t, l.SetLimit(0), "limit 0")
	require.Equal(t, int64(1), l.Snapshot().Limit)
	second.Release()
	require.Equal(t, "0 of 1 in flight, 0 waiting", l.Snapshot().String())
}

func TestKeysWithCallsAreKeptAndOthersMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := concurrency.New(1, concurrency.WithCapacity(10))
		require.NoError(t, err)
		busy, err := l.Acquire(t.Context(), "busy")
		require.NoError(t, err)
		for i := range 1000 {
			time.Sleep(11 * time.Millisecond)
			ticket, err := l.Acquire(t.Context(), strconv.Itoa(i))
			require.NoError(t, err)
			require.True(t, ticket.Allowed)
			ticket.Release()
		}
		again, err := l.Acquire(t.Context(), "busy")
		require.NoError(t, err)
		require.False(t, again.Allowed)
		busy.Release()
	})
}

func TestConstructorsNameEachBadSetting(t *testing.T) {
	var field *ratelimit.FieldError
	_, err := concurrency.New(0)
	require.ErrorAs(t, err, &field)
	_, err = concurrency.New(1, concurrency.WithCapacity(0))
	require.ErrorContains(t, err, "capacity 0")
	_, err = concurrency.NewAdaptive(concurrency.AdaptiveConfig{
		Initial: -1, Min: -2, Max: -3, Tolerance: math.NaN(), Window: time.Nanosecond,
	})
	for _, text := range []string{"initial -1", "min -2", "max -3", "tolerance NaN", "window 1ns"} {
		require.ErrorContains(t, err, text)
	}
	_, err = concurrency.NewBulkheads(nil)
	require.ErrorContains(t, err, "budgets")
	_, err = concurrency.NewBulkheads(map[string]concurrency.Budget{"": {Limit: 1}, "a": {Queue: -1, MaxWait: -1}})
	for _, text := range []string{"class", "a.limit 0", "a.queue -1", "a.maxWait -1ns"} {
		require.ErrorContains(t, err, text)
	}
}

func TestTicketsDoNotAllocate(t *testing.T) {
	l, err := concurrency.New(5)
	require.NoError(t, err)
	a, err := concurrency.NewAdaptive(concurrency.AdaptiveConfig{})
	require.NoError(t, err)
	for _, acquirer := range []concurrency.Acquirer{l, a} {
		require.Less(t, testing.AllocsPerRun(1000, func() {
			ticket, _ := acquirer.Acquire(context.Background(), "k")
			ticket.Release()
		}), 1.0) // the garbage collector may empty the pool once
	}
}

func newBulkheads(t *testing.T, b concurrency.Budget) *concurrency.Bulkheads {
	t.Helper()
	h, err := concurrency.NewBulkheads(map[string]concurrency.Budget{"core": b, "other": {Limit: 1}})
	require.NoError(t, err)
	return h
}

func TestABulkheadQueuesInOrderAndLeavesOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBulkheads(t, concurrency.Budget{Limit: 1, Queue: 10})
		running, err := h.Acquire(t.Context(), "core")
		require.NoError(t, err)
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				ticket, err := h.Acquire(t.Context(), "core")
				require.NoError(t, err)
				defer ticket.Release()
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			synctest.Wait()
		}
		full, err := h.Acquire(t.Context(), "core")
		require.NoError(t, err)
		require.False(t, full.Allowed)
		other, err := h.Acquire(t.Context(), "other")
		require.NoError(t, err)
		require.True(t, other.Allowed)
		other.Release()
		require.Equal(t, concurrency.Snapshot{Limit: 1, InFlight: 1, Waiting: 10}, h.Snapshot()["core"])
		running.Release()
		wg.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, order)
		require.Equal(t, concurrency.Snapshot{Limit: 1}, h.Snapshot()["core"])
	})
}

func TestABulkheadsQueueIsBoundedInTimeAndCancellable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBulkheads(t, concurrency.Budget{Limit: 1, Queue: 10, MaxWait: time.Second})
		running, err := h.Acquire(t.Context(), "core")
		require.NoError(t, err)
		start := time.Now()
		late, err := h.Acquire(t.Context(), "core")
		require.NoError(t, err)
		require.False(t, late.Allowed)
		require.Equal(t, time.Second, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err = h.Acquire(ctx, "core")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = h.Acquire(ctx, "core")
		require.ErrorIs(t, err, context.DeadlineExceeded, "a context that is over does not queue")
		_, err = h.Acquire(t.Context(), "unknown")
		require.ErrorIs(t, err, concurrency.ErrClass)
		running.Release()
		require.Equal(t, concurrency.Snapshot{Limit: 1}, h.Snapshot()["core"], "who gave up holds nothing")
	})
}

func TestRaisingABudgetLetsWaitersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBulkheads(t, concurrency.Budget{Limit: 1, Queue: 10})
		_, err := h.Acquire(t.Context(), "core")
		require.NoError(t, err)
		done := make(chan bool)
		go func() {
			ticket, err := h.Acquire(t.Context(), "core")
			done <- err == nil && ticket.Allowed
		}()
		synctest.Wait()
		require.ErrorContains(t, h.SetBudget("core", concurrency.Budget{}), "core.limit 0")
		require.ErrorIs(t, h.SetBudget("unknown", concurrency.Budget{Limit: 1}), concurrency.ErrClass)
		require.NoError(t, h.SetBudget("core", concurrency.Budget{Limit: 2, Queue: 10}))
		require.True(t, <-done)
	})
}

// Tickets that are granted in the moment when their waiter gives up must go to the
// next one, and none may be lost.
func TestNoTicketIsLostWhenWaitersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBulkheads(t, concurrency.Budget{Limit: 1, Queue: 5, MaxWait: time.Second})
		for i := range 200 {
			running, err := h.Acquire(t.Context(), "core")
			require.NoError(t, err)
			require.Truef(t, running.Allowed, "lost in round %d", i)
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					if i%2 == 0 { // in half of the rounds they are cancelled, in the others too late
						time.AfterFunc(time.Second-time.Nanosecond, cancel)
					}
					defer cancel()
					if ticket, err := h.Acquire(ctx, "core"); err == nil {
						ticket.Release()
					}
				})
			}
			synctest.Wait()
			time.Sleep(time.Second - time.Duration(1-i%2)) // the moment in which they give up
			running.Release()
			wg.Wait()
		}
		require.Equal(t, concurrency.Snapshot{Limit: 1}, h.Snapshot()["core"])
	})
}

func TestNilOptionsAreRefused(t *testing.T) {
	_, err := concurrency.New(5, concurrency.WithCapacity(1), nil)
	var field *ratelimit.FieldError
	require.ErrorAs(t, err, &field)
	require.Equal(t, "options[1]", field.Field)
}
