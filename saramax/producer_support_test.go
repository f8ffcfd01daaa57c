package saramax_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// soon bounds what must not take for ever, on a busy machine.
const soon = time.Minute

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	return ctx
}

func newRaw(t testing.TB, addrs []string, cfg *sarama.Config, opts ...saramax.ProducerOption) *saramax.RawProducer {
	t.Helper()
	raw, err := saramax.NewRawProducer(addrs, cfg, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		_ = raw.Close(ctx) // tests that care have closed it
	})
	return raw
}

// viaProxy sends all of cfg's connections through a proxy to the first broker.
func viaProxy(t testing.TB, addrs []string, cfg *sarama.Config) *faultproxy.Proxy {
	t.Helper()
	proxy := testenv.Proxy(t, addrs[0])
	cfg.Net.Proxy.Enable = true
	cfg.Net.Proxy.Dialer = dialer(proxy.Addr())
	return proxy
}

type dialer string

func (d dialer) Dial(network, _ string) (net.Conn, error) { return net.Dial(network, string(d)) }

// read returns the first n records of a partition.
func read(t testing.TB, addrs []string, topic string, partition int32, n int) []*sarama.ConsumerMessage {
	t.Helper()
	consumer, err := sarama.NewConsumer(addrs, testenv.KafkaConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, consumer.Close()) }()
	from, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
	require.NoError(t, err)
	defer func() { require.NoError(t, from.Close()) }()
	ctx := within(t)
	var all []*sarama.ConsumerMessage
	for len(all) < n {
		select {
		case m := <-from.Messages():
			all = append(all, m)
		case <-ctx.Done():
			t.Fatalf("%d of %d records came", len(all), n)
		}
	}
	return all
}

// end returns where the next record of a partition will lie.
func end(t testing.TB, addrs []string, topic string, partition int32) int64 {
	t.Helper()
	client, err := sarama.NewClient(addrs, testenv.KafkaConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	offset, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
	require.NoError(t, err)
	return offset
}

func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

var (
	holdAnswers = faultproxy.Fault{Down: faultproxy.Link{Hold: true}}
	refuse      = faultproxy.Fault{Refuse: true}
)
