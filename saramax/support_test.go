package saramax_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// patience bounds waits for what must come; nothing is measured by it.
const patience = 60 * time.Second

type event struct {
	Key string `json:"key"`
	Seq int    `json:"seq"`
}

// config is sarama's for tests: quick to join and to notice.
func config() *sarama.Config {
	cfg := testenv.KafkaConfig()
	cfg.Consumer.Group.Rebalance.Timeout = 10 * time.Second
	cfg.Consumer.Group.Session.Timeout = 10 * time.Second
	cfg.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	cfg.Consumer.Retry.Backoff = 100 * time.Millisecond
	cfg.Consumer.MaxWaitTime = 100 * time.Millisecond
	cfg.Metadata.Retry.Backoff = 100 * time.Millisecond
	cfg.Producer.Return.Successes = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Retry.Max, cfg.Producer.Retry.Backoff = 100, 100*time.Millisecond
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	return cfg
}

func client(t testing.TB, addrs []string, tune ...func(*sarama.Config)) sarama.Client {
	t.Helper()
	cfg := config()
	for _, f := range tune {
		f(cfg)
	}
	c, err := sarama.NewClient(addrs, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func cooperative(cfg *sarama.Config) {
	cfg.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
}

// cluster is a broker with a topic.
type cluster struct {
	t     testing.TB
	addrs []string
	topic string
}

func newCluster(t testing.TB, partitions int32) *cluster {
	addrs := testenv.Kafka(t)
	return &cluster{t: t, addrs: addrs, topic: testenv.Topic(t, addrs, partitions)}
}

// produce sends messages to one partition.
func (c *cluster) produce(partition int32, values ...[]byte) {
	c.t.Helper()
	messages := make([]*sarama.ProducerMessage, len(values))
	for i, v := range values {
		messages[i] = &sarama.ProducerMessage{Topic: c.topic, Partition: partition, Value: sarama.ByteEncoder(v)}
	}
	c.send(messages...)
}

func (c *cluster) send(messages ...*sarama.ProducerMessage) {
	c.t.Helper()
	p, err := sarama.NewSyncProducer(c.addrs, config())
	require.NoError(c.t, err)
	defer func() { _ = p.Close() }()
	for len(messages) > 0 {
		n := min(len(messages), 1000)
		require.NoError(c.t, p.SendMessages(messages[:n]))
		messages = messages[n:]
	}
}

// events makes n messages, with keys in turn, each key with its own sequence.
func (c *cluster) events(partition int32, n, keys int) []*sarama.ProducerMessage {
	messages := make([]*sarama.ProducerMessage, n)
	for i := range n {
		key := fmt.Sprintf("p%d-k%d", partition, i%keys)
		messages[i] = &sarama.ProducerMessage{
			Topic: c.topic, Partition: partition, Key: sarama.StringEncoder(key), Value: sarama.ByteEncoder(encoded(event{key, i / keys})),
		}
	}
	return messages
}

func encoded(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// running is a consumer that runs.
type running struct {
	*saramax.Consumer
	t    testing.TB
	stop context.CancelFunc
	done chan struct{}
	err  error
}

func start(t testing.TB, c *saramax.Consumer) *running {
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Consumer: c, t: t, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = c.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-r.done })
	return r
}

// end stops the consumer and returns what Run did.
func (r *running) end() error {
	r.stop()
	return r.wait()
}

func (r *running) wait() error {
	r.t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(patience):
		r.t.Fatal("the consumer does not stop")
		return nil
	}
}

// committed asks the group's coordinator.
func committed(t testing.TB, c sarama.Client, group, topic string, partition int32) int64 {
	t.Helper()
	admin, err := sarama.NewClusterAdminFromClient(c)
	require.NoError(t, err)
	found, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {partition}})
	require.NoError(t, err)
	block := found.GetBlock(topic, partition)
	require.NotNil(t, block)
	return block.Offset
}

// eventually waits for what another goroutine does.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("still waiting for: %s", what)
		case <-again.C:
		}
	}
}

// journal collects what handlers saw.
type journal[T any] struct {
	mu  sync.Mutex
	all []T
}

func (j *journal[T]) add(v ...T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, v...)
}

func (j *journal[T]) list() []T {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]T(nil), j.all...)
}

func (j *journal[T]) len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.all)
}

// ports are those of addresses.
func ports(t testing.TB, addrs []string) []int {
	t.Helper()
	var out []int
	for _, addr := range addrs {
		_, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		n, err := strconv.Atoi(port)
		require.NoError(t, err)
		out = append(out, n)
	}
	return out
}
