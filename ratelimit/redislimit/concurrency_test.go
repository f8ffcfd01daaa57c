package redislimit_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// instance is one process's limiter on the same keys as others.
func instance(t *testing.T, rdb redis.UniversalClient, limit int64, opts ...redislimit.Option) *redislimit.Concurrency {
	t.Helper()
	c, err := redislimit.NewConcurrency(rdb, limit, append([]redislimit.Option{redislimit.WithBudget(time.Minute)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func acquire(t *testing.T, c *redislimit.Concurrency) concurrency.Ticket {
	t.Helper()
	ticket, err := c.Acquire(t.Context(), "k")
	require.NoError(t, err)
	return ticket
}

func TestInstancesShareTheSlots(t *testing.T) {
	rdb := testenv.Redis(t)
	instances := []*redislimit.Concurrency{instance(t, rdb, 2), instance(t, rdb, 2), instance(t, rdb, 2)}
	var inFlight, worst, admitted atomic.Int64
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			for range 40 {
				ticket, err := instances[i%3].Acquire(context.Background(), "k")
				if err != nil {
					t.Error(err)
				}
				if !ticket.Allowed {
					continue
				}
				admitted.Add(1)
				now := inFlight.Add(1)
				for old := worst.Load(); now > old && !worst.CompareAndSwap(old, now); old = worst.Load() {
				}
				_ = rdb.Ping(context.Background()).Err() // the call
				inFlight.Add(-1)
				ticket.Release()
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, worst.Load(), int64(2))
	require.Positive(t, admitted.Load())
	require.Zero(t, rdb.Exists(t.Context(), key("ratelimit:concurrency", "k")).Val(), "no slot is lost")
}

func TestTheSlotsOfADeadInstanceComeBack(t *testing.T) {
	rdb := testenv.Redis(t)
	server := newClock(t, rdb, 1)
	dead, alive := instance(t, rdb, 2), instance(t, rdb, 2)
	dead.OnClock(server.name)
	alive.OnClock(server.name)
	require.True(t, acquire(t, dead).Allowed)
	require.True(t, acquire(t, dead).Allowed)
	require.NoError(t, dead.Close()) // and never releases
	require.False(t, acquire(t, alive).Allowed)
	server.advance(30*time.Second - time.Microsecond)
	require.False(t, acquire(t, alive).Allowed)
	server.advance(time.Microsecond)
	require.True(t, acquire(t, alive).Allowed)
	require.True(t, acquire(t, alive).Allowed)
	require.False(t, acquire(t, alive).Allowed)
}

func TestAServersClockSetBackKeepsDeadLeasesForOneTTLOnly(t *testing.T) {
	rdb := testenv.Redis(t)
	server := newClock(t, rdb, 1)
	c := instance(t, rdb, 1)
	c.OnClock(server.name)
	require.True(t, acquire(t, c).Allowed)
	server.advance(-24 * time.Hour)
	require.False(t, acquire(t, c).Allowed)
	server.advance(30 * time.Second)
	require.True(t, acquire(t, c).Allowed)
}

func TestACallThatLastsKeepsItsSlot(t *testing.T) {
	rdb := testenv.Redis(t)
	life := redislimit.WithTTL(1500 * time.Millisecond)
	one, other := instance(t, rdb, 1, life), instance(t, rdb, 1, life)
	held := acquire(t, one)
	require.True(t, held.Allowed)
	again := time.NewTicker(40 * time.Millisecond)
	defer again.Stop()
	for range 50 { // longer than a lease lives
		<-again.C
		require.False(t, acquire(t, other).Allowed)
	}
	held.Release()
	require.True(t, acquire(t, other).Allowed)
}

func TestALeaseThatRedisLostIsCountedAgain(t *testing.T) {
	rdb := testenv.Redis(t)
	c := instance(t, rdb, 1, redislimit.WithTTL(900*time.Millisecond))
	held := acquire(t, c)
	require.NoError(t, rdb.FlushDB(t.Context()).Err())
	at := key("ratelimit:concurrency", "k")
	require.Eventually(t, func() bool { return rdb.ZCard(t.Context(), at).Val() == 1 }, 10*time.Second, 5*time.Millisecond)
	require.False(t, acquire(t, c).Allowed)
	held.Release()
	require.Zero(t, rdb.ZCard(t.Context(), at).Val())
	require.Never(t, func() bool { return rdb.ZCard(t.Context(), at).Val() > 0 }, 450*time.Millisecond, 10*time.Millisecond, "no renewal after the end")
}

func TestATicketEndsThoughItsRequestIsGone(t *testing.T) {
	rdb := testenv.Redis(t)
	c := instance(t, rdb, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ticket, err := c.Acquire(ctx, "k")
	require.NoError(t, err)
	cancel()
	ticket.Release()
	require.True(t, acquire(t, c).Allowed)
}

// losing executes commands of a name and loses the answers.
type losing struct {
	name string
	lose atomic.Bool
	lost atomic.Int64
}

var errLost = errors.New("the answer was lost")

func (l *losing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *losing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if l.lose.Load() && cmd.Name() == l.name && err == nil {
			l.lost.Add(1)
			err = errLost
			cmd.SetErr(err)
		}
		return err
	}
}

func (l *losing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestASlotWhoseGrantWasLostComesBackAtOnce(t *testing.T) {
	rdb := testenv.Redis(t)
	c := instance(t, rdb, 1)
	acquire(t, c).Release() // Redis has the script
	hook := &losing{name: "evalsha"}
	rdb.AddHook(hook)
	hook.lose.Store(true)
	ticket, err := c.Acquire(t.Context(), "k")
	require.ErrorIs(t, err, errLost)
	require.False(t, ticket.Allowed)
	require.Equal(t, int64(1), hook.lost.Load())
	hook.lose.Store(false)
	require.Eventually(t, func() bool {
		ticket, err := c.Acquire(context.Background(), "k")
		return err == nil && ticket.Allowed
	}, 10*time.Second, 5*time.Millisecond)
}

func TestFailuresToGiveBackAreReportedAndTriedAgain(t *testing.T) {
	rdb := testenv.Redis(t)
	var failures atomic.Int64
	c := instance(t, rdb, 1, redislimit.WithOnFailure(func(_ context.Context, err error) {
		if err != nil {
			failures.Add(1)
		}
	}))
	hook := &failing{name: "zrem"}
	rdb.AddHook(hook)
	held := acquire(t, c)
	hook.left.Store(1)
	held.Release()
	require.Equal(t, int64(1), failures.Load())
	require.Eventually(t, func() bool {
		ticket, err := c.Acquire(context.Background(), "k")
		return err == nil && ticket.Allowed
	}, 10*time.Second, 5*time.Millisecond)
}

// failing refuses the next few commands of a name.
type failing struct {
	name string
	left atomic.Int64
}

func (f *failing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == f.name && f.left.Add(-1) >= 0 {
			cmd.SetErr(errLost)
			return errLost
		}
		return next(ctx, cmd)
	}
}

func (f *failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// hanging lets commands that give slots back hang, after grants are lost.
type hanging struct {
	losing
	hung    atomic.Int64
	release chan struct{}
}

func (h *hanging) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	next = h.losing.ProcessHook(next)
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "zrem" {
			h.hung.Add(1)
			<-h.release
		}
		return next(ctx, cmd)
	}
}

func TestAStoreThatHangsDoesNotPileUpGoroutines(t *testing.T) {
	rdb := testenv.Redis(t)
	c := instance(t, rdb, 1000)
	acquire(t, c).Release()
	hook := &hanging{losing: losing{name: "evalsha"}, release: make(chan struct{})}
	t.Cleanup(func() { close(hook.release) }) // before the instance is closed
	hook.lose.Store(true)
	rdb.AddHook(hook)
	for range 300 {
		_, err := c.Acquire(t.Context(), "k")
		require.ErrorIs(t, err, errLost)
	}
	require.Eventually(t, func() bool { return hook.hung.Load() == 64 }, 10*time.Second, time.Millisecond)
	require.Never(t, func() bool { return hook.hung.Load() > 64 }, 50*time.Millisecond, 5*time.Millisecond)
}

func TestARenewalThatFailsIsTriedAgainInTime(t *testing.T) {
	rdb := testenv.Redis(t)
	var failures atomic.Int64
	c := instance(t, rdb, 1, redislimit.WithTTL(2400*time.Millisecond), redislimit.WithOnFailure(func(_ context.Context, err error) {
		if errors.Is(err, errLost) {
			failures.Add(1)
		}
	}))
	held := acquire(t, c)
	defer held.Release()
	hook := &failing{name: "evalsha"}
	hook.left.Store(2) // the renewal, and the first that tries again
	rdb.AddHook(hook)
	at := key("ratelimit:concurrency", "k")
	first := rdb.ZRangeWithScores(t.Context(), at, 0, 0).Val()[0].Score
	require.Eventually(t, func() bool {
		now := rdb.ZRangeWithScores(t.Context(), at, 0, 0).Val()
		return len(now) == 1 && now[0].Score > first
	}, 2300*time.Millisecond, 5*time.Millisecond, "before the lease ends")
	require.Positive(t, failures.Load())
}

func TestCloseEndsTheRenewals(t *testing.T) {
	rdb := testenv.Redis(t)
	c := instance(t, rdb, 1, redislimit.WithTTL(150*time.Millisecond))
	held := acquire(t, c)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	at := key("ratelimit:concurrency", "k")
	require.Eventually(t, func() bool {
		now, err := rdb.Time(t.Context()).Result()
		ends := rdb.ZScore(t.Context(), at, rdb.ZRange(t.Context(), at, 0, 0).Val()[0]).Val()
		return err == nil && float64(now.UnixMicro()) > ends
	}, 10*time.Second, 10*time.Millisecond)
	held.Release()
	require.Zero(t, rdb.ZCard(t.Context(), at).Val(), "it can still be ended")
}

func TestConcurrencyChecksItsInput(t *testing.T) {
	rdb := testenv.Redis(t)
	c := instance(t, rdb, 3)
	_, err := c.Acquire(t.Context(), "")
	require.ErrorIs(t, err, ratelimit.ErrKey)
	var field *ratelimit.FieldError
	require.ErrorAs(t, c.SetLimit(0), &field)
	first := acquire(t, c)
	require.Equal(t, ratelimit.Decision{Allowed: true, Limit: 3, Remaining: 2}, first.Decision)
	require.NoError(t, c.SetLimit(1))
	require.False(t, acquire(t, c).Allowed)
	at := key("ratelimit:concurrency", "k")
	ttl := rdb.PTTL(t.Context(), at).Val()
	require.Greater(t, ttl, 30*time.Second)
	require.LessOrEqual(t, ttl, 31*time.Second)
	require.NoError(t, rdb.Set(t.Context(), at, "x", 0).Err())
	_, err = c.Acquire(t.Context(), "k")
	var state *redislimit.StateError
	require.ErrorAs(t, err, &state)
}

// The function that is told of failures may decide that it is time to stop.
func TestAFailureMayEndTheLimiter(t *testing.T) {
	rdb := testenv.Redis(t)
	var c *redislimit.Concurrency
	closed := make(chan error, 1)
	var once sync.Once
	c, err := redislimit.NewConcurrency(rdb, 1, redislimit.WithTTL(100*time.Millisecond), redislimit.WithOnFailure(func(context.Context, error) {
		once.Do(func() { closed <- c.Close() }) // the only one: another would hang with it
	}))
	require.NoError(t, err)
	ticket := acquire(t, c)
	require.True(t, ticket.Allowed)
	fail := &failing{name: "evalsha"}
	fail.left.Store(1_000)
	rdb.AddHook(fail)
	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("Close waits for the function that calls it")
	}
	fail.left.Store(0)
	ticket.Release()
}
