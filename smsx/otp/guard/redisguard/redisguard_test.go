package redisguard_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/smsx/otp/guard"
	"github.com/bulwark-go/bulwark/smsx/otp/guard/guardtest"
	"github.com/bulwark-go/bulwark/smsx/otp/guard/redisguard"
)

var secret = []byte("only-this-test-knows-it")

func newStore(t require.TestingT, rdb redis.UniversalClient, opts ...redisguard.Option) *redisguard.Store {
	s, err := redisguard.New(rdb, secret, opts...)
	require.NoError(t, err)
	return s
}

func TestRedisConforms(t *testing.T) {
	rdb := testenv.Redis(t)
	guardtest.Test(t, func(t *testing.T) guardtest.Harness {
		require.NoError(t, rdb.FlushDB(context.Background()).Err())
		c := testenv.NewRedisClock(t, rdb)
		return guardtest.Harness{Store: newStore(t, rdb).OnClock(testenv.RedisClockKey), Advance: c.Advance}
	})
}

// On a cluster the clock lies in the slot of the accounts, where their scripts can read
// it.
func TestAClusterConforms(t *testing.T) {
	rdb := testenv.RedisCluster(t)
	const clock = "{#:accounts}clock"
	guardtest.Test(t, func(t *testing.T) guardtest.Harness {
		require.NoError(t, rdb.ForEachMaster(t.Context(), func(ctx context.Context, master *redis.Client) error {
			return master.FlushDB(ctx).Err()
		}))
		now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
		advance := func(d time.Duration) {
			now = now.Add(d)
			ms, ctx := now.UnixMilli(), context.Background()
			_, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Del(ctx, clock)
				p.RPush(ctx, clock, ms/1000, ms%1000*1000)
				return nil
			})
			require.NoError(t, err)
		}
		advance(0)
		return guardtest.Harness{Store: newStore(t, rdb).OnClock(clock), Advance: advance}
	})
}

// TestRedisAndMemoryAgree walks at random through both, with a clock that jumps.
func TestRedisAndMemoryAgree(t *testing.T) {
	rdb := testenv.Redis(t)
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		require.NoError(t, rdb.FlushDB(ctx).Err())
		c := testenv.NewRedisClock(t, rdb)
		ours, model := newStore(t, rdb).OnClock(testenv.RedisClockKey), guard.NewMemory(guard.WithClock(c.Now))
		limits := guard.Limits{DailyCap: 12, Prefix: rapid.IntRange(2, 5).Draw(t, "prefix"), Country: 8, Network: 4, PerVerified: 2, CountriesPerNetwork: 2}
		steps := []time.Duration{time.Millisecond, time.Minute, 17 * time.Minute, 3 * time.Hour, 13 * time.Hour, 26 * time.Hour, -time.Minute, -2 * time.Hour, -30 * time.Hour}
		for i := range rapid.IntRange(1, 60).Draw(t, "length") {
			prefix := rapid.SampledFrom([]string{"+8613800", "+8613801", "+4420794", "+4915112"}).Draw(t, "prefix of it")
			s := guard.Send{
				Number: fmt.Sprintf("%s%04d", prefix, rapid.IntRange(0, 30).Draw(t, "number")),
				Prefix: prefix, Country: prefix[1:3], Network: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "network"),
			}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				want, err := model.Take(ctx, s, limits)
				require.NoError(t, err)
				got, err := ours.Take(ctx, s, limits)
				require.NoError(t, err)
				require.Equal(t, want, got, "step %d", i)
			case 3:
				require.NoError(t, model.Earn(ctx, s, limits))
				require.NoError(t, ours.Earn(ctx, s, limits))
			case 4:
				require.NoError(t, model.Refund(ctx, s, limits))
				require.NoError(t, ours.Refund(ctx, s, limits))
			default:
				c.Advance(rapid.SampledFrom(steps).Draw(t, "step"))
			}
		}
	})
}

// What is in Redis names nobody, and ends by itself.
func TestKeysHideWhoTheyAreAboutAndEnd(t *testing.T) {
	rdb := testenv.Redis(t)
	g, err := guard.New(newStore(t, rdb, redisguard.WithPrefix("pump"), redisguard.WithRetention(time.Hour)), guard.Config{DailyCap: 10})
	require.NoError(t, err)
	addr := netip.MustParseAddr("192.0.2.77")
	for i := range 4 {
		_, err := g.Allow(t.Context(), fmt.Sprintf("+1380013800%d", i), addr)
		require.NoError(t, err)
	}
	require.NoError(t, g.Verified(t.Context(), "+13800138001", addr))
	require.NoError(t, g.Refund(t.Context(), "+13800138002", addr))
	keys := rdb.Keys(t.Context(), "*").Val()
	require.Len(t, keys, 6, "three accounts, the day, the network's countries and a number")
	for _, key := range keys {
		require.True(t, strings.HasPrefix(key, "pump:{#:"), key)
		require.NotContains(t, key, "3800")
		require.NotContains(t, key, "192.0.2")
		ttl := rdb.PTTL(t.Context(), key).Val()
		require.Positive(t, ttl, key)
		require.LessOrEqual(t, ttl, 25*time.Hour, key)
	}
}

// Two instances spend of one account.
func TestInstancesShareAccounts(t *testing.T) {
	rdb := testenv.Redis(t)
	allowed := 0
	addr := netip.MustParseAddr("192.0.2.77")
	for i := range 20 {
		g, err := guard.New(newStore(t, rdb), guard.Config{DailyCap: 100, Network: 7})
		require.NoError(t, err)
		d, err := g.Allow(t.Context(), fmt.Sprintf("+13800138%03d", i), addr)
		require.NoError(t, err)
		if d.Allowed {
			allowed++
		}
	}
	require.Equal(t, 7, allowed)
}

func TestNewRefuses(t *testing.T) {
	_, err := redisguard.New(nil, []byte("short"), redisguard.WithPrefix("{"), redisguard.WithRetention(time.Millisecond))
	for _, what := range []string{"rdb", "secret", "prefix", "retention"} {
		require.ErrorContains(t, err, what)
	}
}

// A server that is away is an error and no answer.
func TestAnAbsentServerIsAnError(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	g, err := guard.New(newStore(t, rdb), guard.Config{DailyCap: 100})
	require.NoError(t, err)
	d, err := g.Allow(t.Context(), "+13800138000", netip.MustParseAddr("192.0.2.77"))
	require.ErrorContains(t, err, "redisguard")
	require.Equal(t, guard.ByFailure, d.Reason)
}
