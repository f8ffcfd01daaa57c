package redislimit_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// startCluster runs three masters and returns a client of them.
func startCluster(t *testing.T) *redis.ClusterClient {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("needs redis-server to make a cluster of: ", err)
	}
	const masters, slots = 3, 16384
	var addrs []string
	var nodes []*redis.Client
	for i := range masters {
		port, bus := freePort(t), freePort(t)
		cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--cluster-enabled", "yes",
			"--cluster-port", bus, "--dir", t.TempDir(), "--save", "", "--cluster-node-timeout", "5000")
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		node := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
		t.Cleanup(func() { _ = node.Close() })
		require.Eventually(t, func() bool { return node.Ping(context.Background()).Err() == nil }, 20*time.Second, 20*time.Millisecond)
		from, to := i*slots/masters, (i+1)*slots/masters-1
		require.NoError(t, node.ClusterAddSlotsRange(t.Context(), from, to).Err())
		if i > 0 {
			require.NoError(t, nodes[0].Do(t.Context(), "cluster", "meet", "127.0.0.1", port, bus).Err())
		}
		nodes, addrs = append(nodes, node), append(addrs, "127.0.0.1:"+port)
	}
	for _, node := range nodes {
		require.Eventually(t, func() bool {
			info := node.ClusterInfo(context.Background()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", masters))
		}, 60*time.Second, 50*time.Millisecond)
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, ln.Close()) }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	return port
}

func TestAClusterOfThreeMastersLimitsAsOneServerDoes(t *testing.T) {
	rdb := startCluster(t)
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
