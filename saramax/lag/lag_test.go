package lag_test

import (
	"context"
	"maps"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/saramax"
	"github.com/bulwark-go/bulwark/saramax/lag"
)

const soon = time.Minute

// quick polls often, so that tests need not wait.
var quick = lag.Config{Interval: 50 * time.Millisecond, Window: 3, Starts: 50 * time.Millisecond}

func newClient(t testing.TB, addrs []string, tune ...func(*sarama.Config)) sarama.Client {
	t.Helper()
	cfg := testenv.KafkaConfig()
	for _, f := range tune {
		f(cfg)
	}
	client, err := sarama.NewClient(addrs, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newMonitor(t testing.TB, client sarama.Client, group string, topic string, opts ...lag.Option) *lag.Monitor {
	t.Helper()
	m, err := lag.New(client, group, []string{topic}, quick, opts...)
	require.NoError(t, err)
	run(t, func(ctx context.Context) error { return m.Run(ctx) })
	return m
}

// run runs f until the test ends.
func run(t testing.TB, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%v", err)
			}
		case <-time.After(soon):
			t.Errorf("does not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

func produce(t testing.TB, addrs []string, topic string, partition int32, n int) {
	t.Helper()
	raw, err := saramax.NewRawProducer(addrs, saramax.NewConfig("test"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for i := range n {
		_, err := raw.PublishTo(ctx, partition, saramax.Message{Topic: topic, Value: []byte(strconv.Itoa(i))})
		require.NoError(t, err)
	}
	require.NoError(t, raw.Close(ctx))
}

func commit(t testing.TB, client sarama.Client, group, topic string, partition int32, offset int64) {
	t.Helper()
	broker, err := client.Coordinator(group)
	require.NoError(t, err)
	request := &sarama.OffsetCommitRequest{Version: 2, ConsumerGroup: group, ConsumerGroupGeneration: sarama.GroupGenerationUndefined, RetentionTime: -1}
	request.AddBlock(topic, partition, offset, 0, "")
	response, err := broker.CommitOffset(request)
	require.NoError(t, err)
	require.Equal(t, sarama.ErrNoError, response.Errors[topic][partition])
}

// find waits for a partition that is as wanted.
func find(t testing.TB, m *lag.Monitor, partition int32, wanted func(lag.Partition) bool) lag.Partition {
	t.Helper()
	var found lag.Partition
	require.Eventually(t, func() bool {
		for _, p := range m.Snapshot() {
			if p.Partition == partition && wanted(p) {
				found = p
				return true
			}
		}
		return false
	}, soon, 5*time.Millisecond)
	return found
}

func TestLagIsWhatTheBrokersSay(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic, group := testenv.Topic(t, addrs, 2), testenv.Name(t)
	client := newClient(t, addrs)
	produce(t, addrs, topic, 0, 10)
	produce(t, addrs, topic, 1, 4)
	commit(t, client, group, topic, 0, 7)
	m := newMonitor(t, client, group, topic)

	p := find(t, m, 0, func(p lag.Partition) bool { return p.Committed == 7 && p.Start == 0 })
	require.EqualValues(t, 10, p.End)
	require.EqualValues(t, 3, p.Messages)
	require.EqualValues(t, -1, p.Unprocessed)
	require.True(t, p.AtLeast, "the records were there before the monitor")
	p = find(t, m, 1, func(p lag.Partition) bool { return p.Start == 0 })
	require.EqualValues(t, 4, p.Messages, "a group without a commit has everything before it")
	require.EqualValues(t, -1, p.Committed)

	produce(t, addrs, topic, 0, 1)
	commit(t, client, group, topic, 0, 10)
	p = find(t, m, 0, func(p lag.Partition) bool { return p.End == 11 && p.Committed == 10 })
	require.EqualValues(t, 1, p.Messages)
	require.False(t, p.AtLeast, "the monitor saw it come")
	find(t, m, 0, func(p lag.Partition) bool { return p.State == lag.Stalled && p.CatchUp == lag.Never })
	commit(t, client, group, topic, 0, 11)
	p = find(t, m, 0, func(p lag.Partition) bool { return p.Messages == 0 && p.State == lag.Current })
	require.Zero(t, p.Behind)
	require.Zero(t, p.CatchUp)
}

func TestLagIsRightWhileAHandlerIsStuck(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic, group := testenv.Topic(t, addrs, 1), testenv.Name(t)
	stuck, release := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(stuck) })
	consumer, err := saramax.NewConsumer(newClient(t, addrs, func(cfg *sarama.Config) { cfg.Net.ReadTimeout = 65 * time.Second }), group, []string{topic},
		saramax.Each(func(context.Context, saramax.Record[[]byte]) error { once(); <-release; return nil }, saramax.WithCodec(saramax.Raw())))
	require.NoError(t, err)
	produce(t, addrs, topic, 0, 5)
	stop := run(t, consumer.Run)
	<-stuck
	m := newMonitor(t, newClient(t, addrs), group, topic, lag.WithConsumer(consumer))
	p := find(t, m, 0, func(p lag.Partition) bool { return p.Messages == 5 })
	require.EqualValues(t, 5, p.Unprocessed)
	produce(t, addrs, topic, 0, 200)
	p = find(t, m, 0, func(p lag.Partition) bool { return p.Messages == 205 })
	require.EqualValues(t, 205, p.Unprocessed)
	older := find(t, m, 0, func(q lag.Partition) bool { return q.Behind > p.Behind })
	require.Positive(t, older.Behind)

	close(release)
	find(t, m, 0, func(p lag.Partition) bool { return p.Messages == 0 && p.Unprocessed == 0 })
	stop()
	require.Eventually(t, func() bool { return len(m.Snapshot()) == 0 }, soon, 5*time.Millisecond, "nothing is owned, so nothing is reported")
}

// owner owns what it is told to.
type owner struct {
	mu     sync.Mutex
	status saramax.Status
}

func (o *owner) Status() saramax.Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.status
}

func (o *owner) own(partitions ...saramax.PartitionStatus) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.status.Partitions = partitions
}

func series(m *lag.Monitor, gauge string) map[string]float64 {
	all := map[string]float64{}
	for r := range m.Readings() {
		if r.Gauge.Name == gauge {
			all[r.Values[2]] = r.Value
		}
	}
	return all
}

func TestSeriesOfARevokedPartitionGoAway(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic, group := testenv.Topic(t, addrs, 2), testenv.Name(t)
	client := newClient(t, addrs)
	produce(t, addrs, topic, 0, 3)
	o := &owner{}
	m := newMonitor(t, client, group, topic, lag.WithConsumer(o))
	both := []saramax.PartitionStatus{{Topic: topic, Partition: 0, Commit: 1}, {Topic: topic, Partition: 1, Commit: -1}}
	o.own(both...)
	shows := func(gauge string, want map[string]float64) { // a slow poll takes series away for a moment
		t.Helper()
		require.Eventually(t, func() bool { return maps.Equal(want, series(m, gauge)) }, soon, 5*time.Millisecond)
	}
	shows("partition_lag_messages", map[string]float64{"0": 3, "1": 0})
	shows("partition_unprocessed_messages", map[string]float64{"0": 2}) // done and not committed
	o.own(both[1])
	require.NotContains(t, series(m, "partition_lag_messages"), "0", "at once, not with the next poll")
	shows("partition_lag_messages", map[string]float64{"1": 0})
	o.own()
	require.Empty(t, series(m, "partition_lag_seconds"))
}

func TestReadingsAreValidAndDistinct(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic, group := testenv.Topic(t, addrs, 3), testenv.Name(t)
	produce(t, addrs, topic, 0, 1)
	o := &owner{}
	o.own(saramax.PartitionStatus{Topic: topic, Partition: 0}, saramax.PartitionStatus{Topic: topic, Partition: 2})
	m := newMonitor(t, newClient(t, addrs), group, topic, lag.WithConsumer(o))
	find(t, m, 0, func(p lag.Partition) bool { return p.Start == 0 })
	type key struct {
		gauge  string
		values observe.Values
	}
	look := func() map[key]bool {
		seen := map[key]bool{}
		for r := range m.Readings() {
			require.NoError(t, r.Gauge.Validate())
			require.Equal(t, group, r.Values[0])
			k := key{r.Gauge.Name, r.Values}
			require.False(t, seen[k], k)
			seen[k] = true
		}
		return seen
	}
	for _, name := range []string{
		"partition_lag_messages", "partition_unprocessed_messages", "partition_lag_seconds", "partition_catch_up_seconds",
		"partition_end_offset", "partition_start_offset", "partition_committed_offset",
	} {
		require.Eventually(t, func() bool { return look()[key{name, observe.Values{group, topic, "0"}}] }, soon, 5*time.Millisecond, name)
	}
	require.True(t, look()[key{"lag_poll_failures_total", observe.Values{group}}])
	for range m.Readings() {
		break // a backend may stop early
	}
}

// requests counts what a client has asked the brokers for, by the number of the request.
func requests(client sarama.Client, api int) int64 {
	meter, ok := client.Config().MetricRegistry.Get("protocol-requests-rate-" + strconv.Itoa(api)).(metrics.Meter)
	if !ok {
		return 0
	}
	return meter.Count()
}

func TestPartitionsDoNotMultiplyRequests(t *testing.T) {
	const listOffsets, offsetFetch = 2, 9
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 40)
	client := newClient(t, addrs)
	brokers := int64(len(client.Brokers()))
	cfg := lag.Config{Interval: 200 * time.Millisecond, Starts: time.Hour}
	m, err := lag.New(client, testenv.Name(t), []string{topic}, cfg)
	require.NoError(t, err)
	stop := run(t, m.Run)
	require.Eventually(t, func() bool { return requests(client, listOffsets) > 30*brokers }, soon, time.Millisecond)
	require.Eventually(t, func() bool { return len(m.Snapshot()) == 40 }, soon, time.Millisecond)
	stop()
	polls := requests(client, offsetFetch)
	require.LessOrEqual(t, requests(client, listOffsets), (polls+10)*brokers, "one for each broker and poll, and one more for where those begin that came since")
}

// A partition that comes while the monitor runs is shown at the next poll, also of a
// group that has committed nothing, which begins where the partition does.
func TestPartitionsThatComeLaterAreShown(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	client := newClient(t, addrs)
	m, err := lag.New(client, testenv.Name(t), []string{topic}, lag.Config{Interval: 100 * time.Millisecond, Starts: time.Hour})
	require.NoError(t, err)
	run(t, m.Run)
	require.Eventually(t, func() bool { return len(m.Snapshot()) == 1 }, soon, time.Millisecond)
	admin, err := sarama.NewClusterAdmin(addrs, testenv.KafkaConfig())
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, admin.CreatePartitions(topic, 4, nil, false))
	require.Eventually(t, func() bool {
		return client.RefreshMetadata(topic) == nil && len(m.Snapshot()) == 4
	}, soon, 50*time.Millisecond)
}

func TestABrokerThatDoesNotAnswerIsAskedOnceAndShownNoMore(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic, group := testenv.Topic(t, addrs, 1), testenv.Name(t)
	proxy := testenv.Proxy(t, addrs[0])
	client := newClient(t, addrs, func(cfg *sarama.Config) {
		cfg.Net.Proxy.Enable, cfg.Net.Proxy.Dialer = true, dialer(proxy.Addr())
	})
	produce(t, addrs, topic, 0, 2)
	m := newMonitor(t, client, group, topic)
	find(t, m, 0, func(p lag.Partition) bool { return p.Messages == 2 })
	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Hold: true}})
	require.Eventually(t, func() bool { return len(m.Snapshot()) == 0 }, soon, 5*time.Millisecond, "old news is none")
	failures := func() (n float64) {
		for r := range m.Readings() {
			if r.Gauge.Name == "lag_poll_failures_total" {
				n = r.Value
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return failures() > 3 }, soon, 5*time.Millisecond)
	asked := requests(client, 2)
	require.Never(t, func() bool { return requests(client, 2) > asked }, 200*time.Millisecond, 20*time.Millisecond)
	proxy.Heal()
	find(t, m, 0, func(p lag.Partition) bool { return p.Messages == 2 })
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	_, err := lag.New(nil, "", []string{"a b"}, lag.Config{Interval: -1, Window: 2, Samples: 1, Starts: -1})
	for _, part := range []string{"client is nil", "group is empty", `topic "a b"`, "Interval -1ns", "Window 2", "Samples 1", "Starts -1ns"} {
		require.ErrorContains(t, err, part)
	}
	_, err = lag.New(nil, "g", nil, lag.Config{})
	require.ErrorContains(t, err, "no topics")
}

func TestRunIsOneAtATime(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	m := newMonitor(t, newClient(t, addrs), testenv.Name(t), topic)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return m.Run(ctx) == lag.ErrRunning
	}, soon, time.Millisecond)
}

type dialer string

func (d dialer) Dial(network, _ string) (net.Conn, error) { return net.Dial(network, string(d)) }
