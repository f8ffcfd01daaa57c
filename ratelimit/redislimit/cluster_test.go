package redislimit_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

func TestAClusterOfThreeMastersLimitsAsOneServerDoes(t *testing.T) {
	rdb := testenv.RedisCluster(t)
	limiters := everything(t, rdb)
	leased, err := redislimit.NewLeased(rdb, ratelimit.PerHour(100), 10, redislimit.WithBurst(100))
	require.NoError(t, err)
	limiters["leased"] = leased
	for name, l := range limiters {
		for _, subject := range []string{"a", "b", "c", "user:42", "}x{", "{a}", strings.Repeat("long", 100)} {
			require.Equal(t, 50, drain(t, l, subject), "%s, key %.10s", name, subject)
		}
	}
	queue := newLeaky(t, rdb, ratelimit.PerHour(10), redislimit.WithMaxWait(time.Hour))
	for _, subject := range []string{"a", "b", "c"} {
		require.True(t, take(t, queue, subject, 1).Allowed)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		d, err := queue.Wait(ctx, subject, 1)
		cancel()
		require.NoError(t, err)
		require.False(t, d.Allowed, "six minutes are too long")
		require.False(t, take(t, queue, subject, 1).Allowed)
	}
	c := instance(t, rdb, 3)
	for _, subject := range []string{"a", "b", "c"} {
		for range 3 {
			ticket, err := c.Acquire(t.Context(), subject)
			require.NoError(t, err)
			require.True(t, ticket.Allowed)
			defer ticket.Release()
		}
		ticket, err := c.Acquire(t.Context(), subject)
		require.NoError(t, err)
		require.False(t, ticket.Allowed)
	}
	require.NoError(t, rdb.ForEachMaster(t.Context(), func(ctx context.Context, master *redis.Client) error {
		if master.DBSize(ctx).Val() == 0 {
			return errors.New("a master has no keys: the test's keys are badly chosen")
		}
		return master.ScriptFlush(ctx).Err()
	}))
	for name, l := range limiters {
		require.True(t, take(t, l, "after the flush", 1).Allowed, name)
	}
}
