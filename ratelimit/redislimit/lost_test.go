package redislimit_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// behindAProxy returns a client whose network fails on demand, and one of the same
// database that goes past it.
func behindAProxy(t *testing.T, set func(*redis.Options)) (*redis.Client, *redis.Client, *faultproxy.Proxy) {
	t.Helper()
	o := *testenv.RedisOptions(t)
	direct := redis.NewClient(&o)
	proxy := testenv.Proxy(t, o.Addr)
	far := o
	far.Addr = proxy.Addr()
	set(&far)
	rdb := redis.NewClient(&far)
	t.Cleanup(func() {
		_ = rdb.Close()
		_ = direct.Close()
	})
	return rdb, direct, proxy
}

func TestAnAcquireThatIsSentAgainKeepsItsOwnSlot(t *testing.T) {
	rdb, direct, proxy := behindAProxy(t, func(o *redis.Options) { o.MaxRetries, o.ReadTimeout = 3, time.Minute })
	c := instance(t, rdb, 1)
	acquire(t, c).Release() // Redis has the script, and the client a connection
	at := key("ratelimit:concurrency", "k")

	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Hold: true}})
	type result struct {
		ticket concurrency.Ticket
		err    error
	}
	got := make(chan result, 1)
	go func() {
		ticket, err := c.Acquire(context.Background(), "k")
		got <- result{ticket, err}
	}()
	require.Eventually(t, func() bool { return direct.ZCard(t.Context(), at).Val() == 1 }, 30*time.Second, time.Millisecond)
	proxy.Cut() // Redis granted the slot, and its answer is lost
	proxy.Heal()
	r := <-got
	require.NoError(t, r.err, "the client sends the call again")
	require.True(t, r.ticket.Allowed, "refused for the lease it holds itself")
	require.Zero(t, r.ticket.Remaining)
	require.Equal(t, int64(1), direct.ZCard(t.Context(), at).Val())
	require.False(t, acquire(t, c).Allowed)
	r.ticket.Release()
	require.Zero(t, direct.Exists(t.Context(), at).Val(), "the slot is free again")
}

func TestCloseDoesNotWaitForARedisThatHangs(t *testing.T) {
	rdb, _, proxy := behindAProxy(t, func(o *redis.Options) {
		o.MaxRetries, o.ReadTimeout, o.ContextTimeoutEnabled = -1, time.Hour, true
	})
	hook := &watching{seen: make(chan struct{}, 1)}
	rdb.AddHook(hook)
	c := instance(t, rdb, 1, redislimit.WithTTL(time.Hour), redislimit.WithBudget(50*time.Millisecond))
	acquire(t, c).Release() // Redis has the script
	<-hook.seen
	held := acquire(t, c)
	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Hold: true}})
	t.Cleanup(proxy.Heal) // before the instance is closed for good
	go held.Release()
	for _, try := range []string{"first", "one beside the caller"} {
		select {
		case <-hook.seen:
		case <-time.After(30 * time.Second):
			require.FailNow(t, "the budget does not bound a try", "no %s", try)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		require.FailNow(t, "Close waits for as long as the lease lives")
	}
}

// watching tells when slots are about to be given back.
type watching struct{ seen chan struct{} }

func (w *watching) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *watching) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "zrem" {
			select {
			case w.seen <- struct{}{}:
			default:
			}
		}
		return next(ctx, cmd)
	}
}

func (w *watching) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestGivingBackIsTriedUntilRedisIsBack(t *testing.T) {
	rdb := testenv.Redis(t)
	var failures atomic.Int64
	c := instance(t, rdb, 1, redislimit.WithTTL(time.Hour), redislimit.WithOnFailure(func(context.Context, error) { failures.Add(1) }))
	hook := &failing{name: "zrem"}
	rdb.AddHook(hook)
	held := acquire(t, c)
	hook.left.Store(3)
	held.Release()
	at := key("ratelimit:concurrency", "k")
	require.Eventually(t, func() bool { return rdb.Exists(t.Context(), at).Val() == 0 }, 30*time.Second, 5*time.Millisecond)
	require.Equal(t, int64(3), failures.Load(), "the ticket's end, and twice beside it")
}

// TestCloseEndsTheGivingBack is in a bubble, so that Close can not be right by being
// waited for: no time passes between it and the look at what it left.
func TestCloseEndsTheGivingBack(t *testing.T) {
	options := testenv.RedisOptions(t)
	synctest.Test(t, func(t *testing.T) {
		rdb := redis.NewClient(options)
		t.Cleanup(func() { _ = rdb.Close() })
		c := instance(t, rdb, 1, redislimit.WithTTL(time.Hour))
		hook := &failing{name: "zrem"}
		rdb.AddHook(hook)
		held := acquire(t, c)
		hook.left.Store(1 << 40) // for good
		held.Release()
		synctest.Wait()
		require.Equal(t, 1, c.GivingBack())
		began := time.Now()
		require.NoError(t, c.Close())
		require.Zero(t, time.Since(began), "Close waits for a Redis that does not come back")
		synctest.Wait()
		require.Zero(t, c.GivingBack(), "it goes on trying")
	})
}
