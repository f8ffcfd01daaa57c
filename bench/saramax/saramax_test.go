// Package saramax compares consumers: a bare sarama loop, ours, and watermill's, on one
// embedded broker in one process.
package saramax

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/saramax"
)

const (
	topic      = "events"
	partitions = 4
	size       = 100
)

func config() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Net.ReadTimeout = 65 * time.Second
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Producer.Return.Successes = true
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	return cfg
}

// messages is how many records each run consumes.
func messages() int {
	if n, err := strconv.Atoi(os.Getenv("BENCH_MESSAGES")); err == nil {
		return n
	}
	return 400_000
}

func filled(t testing.TB, n int) []string {
	t.Helper()
	k, err := embedded.StartKafka(embedded.KafkaConfig{Topics: []embedded.Topic{{Name: topic, Partitions: partitions}}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = k.Close() })
	p, err := sarama.NewSyncProducer(k.Addrs(), config())
	require.NoError(t, err)
	defer func() { _ = p.Close() }()
	value := make([]byte, size)
	for sent := 0; sent < n; {
		batch := make([]*sarama.ProducerMessage, min(2000, n-sent))
		for i := range batch {
			batch[i] = &sarama.ProducerMessage{
				Topic: topic, Partition: int32((sent + i) % partitions),
				Key: sarama.StringEncoder("k" + strconv.Itoa((sent+i)%1000)), Value: sarama.ByteEncoder(value),
			}
		}
		require.NoError(t, p.SendMessages(batch))
		sent += len(batch)
	}
	return k.Addrs()
}

// count measures from the first record to the last.
type count struct {
	want  int64
	n     atomic.Int64
	began atomic.Int64
	done  chan time.Duration
}

func newCount(want int) *count { return &count{want: int64(want), done: make(chan time.Duration, 1)} }

func (c *count) add(k int) {
	n := c.n.Add(int64(k))
	if n == int64(k) {
		c.began.Store(time.Now().UnixNano())
	}
	if n == c.want {
		c.done <- time.Duration(time.Now().UnixNano() - c.began.Load())
	}
}

// contender consumes everything there is, as a new group, and returns how long it took.
type contender struct {
	name string
	run  func(t testing.TB, addrs []string, group string, c *count) time.Duration
}

func contenders() []contender {
	return []contender{
		{"bare loop", bare},
		{"bulwark Each", consumer(func(c *count) saramax.Work {
			return saramax.Each(func(context.Context, saramax.Record[[]byte]) error { c.add(1); return nil }, saramax.WithCodec(saramax.Raw()))
		})},
		{"bare batches", bareBatches},
		{"bulwark Batch", consumer(func(c *count) saramax.Work {
			return saramax.Batch(func(_ context.Context, batch []saramax.Record[[]byte]) []saramax.Verdict {
				c.add(len(batch))
				return nil
			},
				saramax.WithCodec(saramax.Raw()))
		}, saramax.WithBatch(500, 5*time.Millisecond))},
		{"watermill", watermill},
	}
}

func TestThroughput(t *testing.T) {
	n := messages()
	addrs := filled(t, n)
	rounds := 5
	took := make(map[string][]time.Duration)
	for round := range rounds {
		for _, who := range contenders() {
			c := newCount(n)
			if who.name == "watermill" { // an order of magnitude slower: a part will do
				c = newCount(n / 4)
			}
			d := who.run(t, addrs, who.name+strconv.Itoa(round), c)
			took[who.name] = append(took[who.name], d*time.Duration(n)/time.Duration(c.want))
		}
	}
	rate := func(name string) float64 {
		slices.Sort(took[name])
		return float64(n) / took[name][rounds/2].Seconds()
	}
	for _, who := range contenders() {
		t.Logf("%-14s %9.0f msg/s", who.name, rate(who.name))
	}
	t.Logf("Each is %.0f %% of the bare loop, Batch %.0f %% of bare batches",
		100*rate("bulwark Each")/rate("bare loop"), 100*rate("bulwark Batch")/rate("bare batches"))
}

func consumer(work func(*count) saramax.Work, opts ...saramax.Option) func(testing.TB, []string, string, *count) time.Duration {
	return func(t testing.TB, addrs []string, group string, c *count) time.Duration {
		client, err := sarama.NewClient(addrs, config())
		require.NoError(t, err)
		defer func() { _ = client.Close() }()
		consumer, err := saramax.NewConsumer(client, clean(group), []string{topic}, work(c), opts...)
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- consumer.Run(ctx) }()
		d := <-c.done
		stop()
		require.NoError(t, <-ended)
		return d
	}
}

func clean(group string) string {
	out := []byte(group)
	for i, b := range out {
		if b == ' ' {
			out[i] = '-'
		}
	}
	return string(out)
}

// loop is a sarama handler as its documentation shows it.
type loop struct {
	handle func(sarama.ConsumerGroupSession, sarama.ConsumerGroupClaim)
}

func (loop) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (loop) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (l loop) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	l.handle(s, c)
	return nil
}

func runLoop(t testing.TB, addrs []string, group string, c *count, l loop) time.Duration {
	g, err := sarama.NewConsumerGroup(addrs, clean(group), config())
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Consume(ctx, []string{topic}, l) }()
	d := <-c.done
	stop()
	require.NoError(t, <-ended)
	require.NoError(t, g.Close())
	return d
}

func bare(t testing.TB, addrs []string, group string, c *count) time.Duration {
	return runLoop(t, addrs, group, c, loop{func(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) {
		for {
			select {
			case m, ok := <-claim.Messages():
				if !ok {
					return
				}
				c.add(1)
				s.MarkMessage(m, "")
			case <-s.Context().Done():
				return
			}
		}
	}})
}

func bareBatches(t testing.TB, addrs []string, group string, c *count) time.Duration {
	return runLoop(t, addrs, group, c, loop{func(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) {
		linger := time.NewTimer(time.Hour)
		var batch []*sarama.ConsumerMessage
		fire := func() {
			if len(batch) > 0 {
				c.add(len(batch))
				s.MarkMessage(batch[len(batch)-1], "")
				batch = batch[:0]
			}
		}
		for {
			select {
			case m, ok := <-claim.Messages():
				if !ok {
					return
				}
				if len(batch) == 0 {
					linger.Reset(5 * time.Millisecond)
				}
				if batch = append(batch, m); len(batch) == 500 {
					fire()
				}
			case <-linger.C:
				fire()
			case <-s.Context().Done():
				return
			}
		}
	}})
}

// TestSlowPartition counts what the neighbours of a slow partition get in three seconds,
// with a handler that takes 50 ms there, and with one that does not.
func TestSlowPartition(t *testing.T) {
	addrs := filled(t, messages())
	measure := func(name string, slow time.Duration) int64 {
		var n atomic.Int64
		work := func(partition int32) {
			if partition == 0 {
				take(slow)
			} else {
				n.Add(1)
				take(20 * time.Microsecond) // work enough that three seconds do not see the end
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var once sync.Once
		handle := func(partition int32) {
			once.Do(func() { time.AfterFunc(3*time.Second, stop) }) // from the first record on
			work(partition)
		}
		if name == "bare" {
			g, err := sarama.NewConsumerGroup(addrs, name+slow.String(), config())
			require.NoError(t, err)
			defer func() { _ = g.Close() }()
			require.NoError(t, g.Consume(ctx, []string{topic}, loop{func(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) {
				for {
					select {
					case m, ok := <-claim.Messages():
						if !ok {
							return
						}
						handle(m.Partition)
						s.MarkMessage(m, "")
					case <-s.Context().Done():
						return
					}
				}
			}}))
			return n.Load()
		}
		client, err := sarama.NewClient(addrs, config())
		require.NoError(t, err)
		defer func() { _ = client.Close() }()
		c, err := saramax.NewConsumer(client, name+slow.String(), []string{topic},
			saramax.Each(func(_ context.Context, rec saramax.Record[[]byte]) error { handle(rec.Partition); return nil },
				saramax.WithCodec(saramax.Raw())))
		require.NoError(t, err)
		require.NoError(t, c.Run(ctx))
		return n.Load()
	}
	for _, name := range []string{"bare", "bulwark"} {
		fast, slow := measure(name, 20*time.Microsecond), measure(name, 50*time.Millisecond)
		t.Logf("%-8s neighbours get %d beside a fast partition and %d beside a slow one: %.0f %%", name, fast, slow, 100*float64(slow)/float64(fast))
	}
}

// take is a handler's work that takes d and no CPU.
func take(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
