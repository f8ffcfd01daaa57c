package redislimit_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
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
