package testenv

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
)

const (
	clusterMasters = 3
	clusterSlots   = 16384
	// clusterTries is how often a master is started on other ports: between finding
	// a free one and using it, somebody else may take it.
	clusterTries = 10
)

// RedisCluster returns a client of a Redis Cluster of the test's own, with three
// masters. It skips the test where no redis-server is installed.
func RedisCluster(t testing.TB) *redis.ClusterClient {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("needs redis-server to make a cluster of: ", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var addrs []string
	var nodes []*redis.Client
	for i := range clusterMasters {
		m, err := startMaster(ctx, program, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.stop)
		nodes, addrs = append(nodes, m.client), append(addrs, net.JoinHostPort("127.0.0.1", m.port))
		from, to := i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1
		if err := m.client.ClusterAddSlotsRange(ctx, from, to).Err(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := nodes[0].Do(ctx, "cluster", "meet", "127.0.0.1", m.port, m.bus).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, node := range nodes {
		if err := awaitCluster(ctx, node); err != nil {
			t.Fatal(err)
		}
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// master is one process of a cluster.
type master struct {
	port, bus string
	process   *exec.Cmd
	gone      chan struct{} // closed when the process has ended
	client    *redis.Client
}

func startMaster(ctx context.Context, program, dir string) (*master, error) {
	var errs []error
	for range clusterTries {
		m, err := tryMaster(ctx, program, dir)
		if err == nil {
			return m, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func tryMaster(ctx context.Context, program, dir string) (*master, error) {
	port, bus, err := twoPorts()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--cluster-enabled", "yes",
		"--cluster-port", bus, "--dir", dir, "--save", "", "--cluster-node-timeout", "5000")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := &master{
		port: port, bus: bus, process: cmd, gone: make(chan struct{}),
		client: redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", port)}),
	}
	go func() {
		_ = cmd.Wait() // tells that it was killed, or found its port taken
		close(m.gone)
	}()
	if err := m.await(ctx); err != nil {
		m.stop()
		return nil, fmt.Errorf("redis-server on port %s, bus %s: %w", port, bus, err)
	}
	return m, nil
}

// await waits until it is this process that answers on the port.
func (m *master) await(ctx context.Context) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	itself := fmt.Sprintf("process_id:%d\r\n", m.process.Process.Pid)
	for {
		if info, err := m.client.Info(ctx, "server").Result(); err == nil {
			if !strings.Contains(info, itself) {
				return errors.New("somebody else answers")
			}
			return nil
		}
		select {
		case <-m.gone:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

func (m *master) stop() {
	_ = m.client.Close()
	_ = m.process.Process.Kill() // it may have ended already
	<-m.gone
}

// twoPorts returns ports that were free at the same time, so they differ.
func twoPorts() (first, second string, err error) {
	one, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", errors.Join(err, one.Close())
	}
	_, first, _ = net.SplitHostPort(one.Addr().String()) // an address it made itself
	_, second, _ = net.SplitHostPort(other.Addr().String())
	return first, second, errors.Join(one.Close(), other.Close())
}

// awaitCluster waits until a node knows all others, and all slots.
func awaitCluster(ctx context.Context, node *redis.Client) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		info := node.ClusterInfo(ctx).Val()
		if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", clusterMasters)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster did not form: %w", ctx.Err())
		case <-again.C:
		}
	}
}
