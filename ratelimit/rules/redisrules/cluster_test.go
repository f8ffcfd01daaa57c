package redisrules_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit/rules/redisrules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rulestest"
)

// startCluster runs three masters and returns a client of them.
func startCluster(t *testing.T) *redis.ClusterClient {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("needs redis-server to make a cluster of: ", err)
	}
	const masters, slots = 3, 16384
	var nodes []*redis.Client
	var addrs []string
	for i := range masters {
		port, bus := freePort(t), freePort(t)
		server := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--cluster-port", bus,
			"--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--dir", t.TempDir(), "--save", "")
		require.NoError(t, server.Start())
		t.Cleanup(func() {
			_ = server.Process.Kill()
			_ = server.Wait()
		})
		node := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
		t.Cleanup(func() { _ = node.Close() })
		require.Eventually(t, func() bool { return node.Ping(context.Background()).Err() == nil }, patience, 20*time.Millisecond)
		require.NoError(t, node.ClusterAddSlotsRange(t.Context(), i*slots/masters, (i+1)*slots/masters-1).Err())
		if i > 0 {
			require.NoError(t, nodes[0].Do(t.Context(), "cluster", "meet", "127.0.0.1", port, bus).Err())
		}
		nodes, addrs = append(nodes, node), append(addrs, "127.0.0.1:"+port)
	}
	for _, node := range nodes {
		require.Eventually(t, func() bool {
			info := node.ClusterInfo(context.Background()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprint("cluster_known_nodes:", masters))
		}, patience, 50*time.Millisecond)
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

func TestTheStoreConformsOnACluster(t *testing.T) {
	rdb := startCluster(t)
	names := 0 // so that the stores are in different slots
	rulestest.Test(t, func(t *testing.T, history int) rollout.Store {
		names++
		s, err := redisrules.New(rdb, fmt.Sprint("api ", names), redisrules.WithHistory(history))
		require.NoError(t, err)
		return s
	})
}
