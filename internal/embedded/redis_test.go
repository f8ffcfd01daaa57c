package embedded_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/embedded"
)

func startRedis(t *testing.T, cfg embedded.RedisConfig) (*embedded.Redis, *redis.Client) {
	t.Helper()
	server, err := embedded.StartRedis(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server, connect(t, server.Addr())
}

func connect(t *testing.T, addr string) *redis.Client {
	t.Helper()
	// One attempt per command, so that a dead server is seen at once.
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

func TestRedisKeysExpireByTheClock(t *testing.T) {
	for name, expiry := range map[string]embedded.Expiry{
		"ticked": embedded.ExpiryTicked, "exact": embedded.ExpiryExact,
	} {
		t.Run(name, func(t *testing.T) {
			_, rdb := startRedis(t, embedded.RedisConfig{Expiry: expiry})
			require.NoError(t, rdb.Set(t.Context(), "short", "1", 60*time.Millisecond).Err())
			require.NoError(t, rdb.Set(t.Context(), "long", "1", time.Hour).Err())
			require.Eventually(t, func() bool { return rdb.Exists(t.Context(), "short").Val() == 0 },
				5*time.Second, 5*time.Millisecond)
			require.EqualValues(t, 1, rdb.Exists(t.Context(), "long").Val())
		})
	}
}

// A key must not die much before its time: a lock would be lost while its owner
// still counts on it.
func TestRedisTickedKeyDoesNotExpireEarly(t *testing.T) {
	const ttl, step = 200 * time.Millisecond, 50 * time.Millisecond
	_, rdb := startRedis(t, embedded.RedisConfig{})
	begin := time.Now()
	require.NoError(t, rdb.Set(t.Context(), "key", "1", ttl).Err())
	require.Eventually(t, func() bool { return rdb.Exists(t.Context(), "key").Val() == 0 },
		5*time.Second, time.Millisecond)
	require.GreaterOrEqual(t, time.Since(begin), ttl-step)
}

func TestRedisFastForwardExpiresAtOnce(t *testing.T) {
	server, rdb := startRedis(t, embedded.RedisConfig{Expiry: embedded.ExpiryExact})
	require.NoError(t, rdb.Set(t.Context(), "key", "1", time.Hour).Err())
	server.FastForward(time.Hour)
	require.Zero(t, rdb.Exists(t.Context(), "key").Val())
}

func TestRedisKeepsDataButNotScriptsOverARestart(t *testing.T) {
	for _, expiry := range []embedded.Expiry{embedded.ExpiryTicked, embedded.ExpiryExact} {
		t.Run(fmt.Sprint(expiry), func(t *testing.T) {
			server, rdb := startRedis(t, embedded.RedisConfig{Expiry: expiry})
			ctx := t.Context()
			require.NoError(t, rdb.Set(ctx, "key", "value", 0).Err())
			sha := rdb.ScriptLoad(ctx, "return 1").Val()
			require.NoError(t, rdb.EvalSha(ctx, sha, nil).Err())

			require.NoError(t, server.Stop())
			require.NoError(t, server.Stop(), "stopping twice")
			require.Error(t, rdb.Ping(ctx).Err())
			require.NoError(t, server.Start())
			require.NoError(t, server.Start(), "starting twice")

			require.Equal(t, "value", rdb.Get(ctx, "key").Val())
			require.ErrorContains(t, rdb.EvalSha(ctx, sha, nil).Err(), "NOSCRIPT")
		})
	}
}

func TestRedisBlockingCommandStillBlocksAfterARestart(t *testing.T) {
	server, rdb := startRedis(t, embedded.RedisConfig{})
	require.NoError(t, server.Stop())
	require.NoError(t, server.Start())
	begin := time.Now()
	require.ErrorIs(t, rdb.Do(t.Context(), "BLPOP", "empty", "0.1").Err(), redis.Nil)
	require.GreaterOrEqual(t, time.Since(begin), 100*time.Millisecond)
}

func TestRedisClearLosesTheData(t *testing.T) {
	server, rdb := startRedis(t, embedded.RedisConfig{})
	require.NoError(t, rdb.Set(t.Context(), "key", "value", 0).Err())
	require.NoError(t, server.Stop())
	server.Clear()
	require.NoError(t, server.Start())
	require.ErrorIs(t, rdb.Get(t.Context(), "key").Err(), redis.Nil)
}

func TestRedisNamesTheAddressThatIsTaken(t *testing.T) {
	server, _ := startRedis(t, embedded.RedisConfig{})
	_, err := embedded.StartRedis(embedded.RedisConfig{Addr: server.Addr()})
	require.ErrorContains(t, err, server.Addr())
	require.ErrorContains(t, err, "address already in use")
}

func TestRedisRefusesAnUnknownExpiry(t *testing.T) {
	_, err := embedded.StartRedis(embedded.RedisConfig{Expiry: 7})
	require.EqualError(t, err, "embedded: RedisConfig.Expiry 7 is unknown")
}

func TestClosedRedisStaysClosed(t *testing.T) {
	server, rdb := startRedis(t, embedded.RedisConfig{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { require.NoError(t, server.Close()) })
	}
	wg.Wait()
	require.ErrorIs(t, server.Start(), embedded.ErrClosed)
	require.Error(t, rdb.Ping(t.Context()).Err())
}
