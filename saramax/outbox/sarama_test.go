package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax/outbox"
)

func producer(t testing.TB, addrs []string) sarama.SyncProducer {
	t.Helper()
	cfg := testenv.KafkaConfig()
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Idempotent, cfg.Net.MaxOpenRequests = true, 1
	cfg.Producer.Return.Successes = true
	p, err := sarama.NewSyncProducer(addrs, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// consumed reads n records of a topic's partitions.
func consumed(t testing.TB, addrs []string, topic string, n int) (records []*sarama.ConsumerMessage) {
	t.Helper()
	c, err := sarama.NewConsumer(addrs, testenv.KafkaConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	partitions, err := c.Partitions(topic)
	require.NoError(t, err)
	all := make(chan *sarama.ConsumerMessage)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	for _, p := range partitions {
		pc, err := c.ConsumePartition(topic, p, sarama.OffsetOldest)
		require.NoError(t, err)
		go func() {
			for m := range pc.Messages() {
				select {
				case all <- m:
				case <-ctx.Done():
				}
			}
		}()
		defer pc.AsyncClose()
	}
	for len(records) < n {
		select {
		case m := <-all:
			records = append(records, m)
		case <-ctx.Done():
			require.Fail(t, "records are missing", "%d of %d", len(records), n)
		}
	}
	return records
}

func TestEventsReachKafka(t *testing.T) {
	addrs := testenv.Kafka(t)
	eachDB(t, func(t *testing.T, db *gorm.DB) {
		topic := testenv.Topic(t, addrs, 3)
		start(t, db, outbox.NewSaramaPublisher(producer(t, addrs)), quick())
		for n := range 30 {
			require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
				return outbox.Add(tx, topic, fmt.Sprint(n%3), Paid{n}, outbox.WithID(fmt.Sprint("e", n)), outbox.WithHeader("traceparent", "00-1-2-01"), outbox.WithHeader("id", "not this"))
			}))
		}
		empties(t, db)
		last, partitions := map[string]int{}, map[string]int32{}
		for _, r := range consumed(t, addrs, topic, 30) {
			key := string(r.Key)
			headers := map[string]string{}
			for _, h := range r.Headers {
				require.NotContains(t, headers, string(h.Key))
				headers[string(h.Key)] = string(h.Value)
			}
			var n int
			_, err := fmt.Sscanf(string(r.Value), `{"n":%d}`, &n)
			require.NoError(t, err)
			require.Equal(t, map[string]string{"id": fmt.Sprint("e", n), "eventType": "Paid", "aggregateid": key, "traceparent": "00-1-2-01"}, headers)
			if before, ok := last[key]; ok {
				require.Greater(t, n, before)
				require.Equal(t, partitions[key], r.Partition, "a key stays in its partition")
			}
			last[key], partitions[key] = n, r.Partition
		}
	})
}

// failingProducer answers with one error for the messages of a topic.
type failingProducer struct {
	sarama.SyncProducer
	err   error // for one message each
	whole error // for the call
}

func (p failingProducer) SendMessages(records []*sarama.ProducerMessage) error {
	if p.whole != nil {
		return p.whole
	}
	var errs sarama.ProducerErrors
	for _, r := range records {
		if r.Topic == "bad" {
			errs = append(errs, &sarama.ProducerError{Msg: r, Err: p.err})
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

func TestErrorsOfSaramaAreToldApart(t *testing.T) {
	messages := []outbox.Message{{ID: "1", Topic: "good"}, {ID: "2", Topic: "bad"}, {ID: "3", Topic: "good"}}
	for _, c := range []struct {
		err  error
		want error
	}{
		{sarama.ErrMessageSizeTooLarge, outbox.ErrRefused},
		{sarama.ErrInvalidTopic, outbox.ErrRefused},
		{sarama.ErrOutOfBrokers, outbox.ErrUnavailable},
		{sarama.ErrNotEnoughReplicas, outbox.ErrUnavailable},
		{fmt.Errorf("kafka: %w", sarama.ErrRequestTimedOut), outbox.ErrUnavailable},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, outbox.ErrUnavailable},
		{io.EOF, outbox.ErrUnavailable},
		{sarama.ErrUnknownTopicOrPartition, nil},
	} {
		errs := outbox.NewSaramaPublisher(failingProducer{err: c.err}).Publish(t.Context(), messages)
		require.Len(t, errs, 3)
		require.NoError(t, errs[0])
		require.NoError(t, errs[2])
		require.ErrorIs(t, errs[1], c.err)
		for _, kind := range []error{outbox.ErrRefused, outbox.ErrUnavailable} {
			require.Equal(t, kind == c.want, errors.Is(errs[1], kind), "%v as %v", c.err, kind)
		}
	}
	errs := outbox.NewSaramaPublisher(failingProducer{whole: sarama.ErrClosedClient}).Publish(t.Context(), messages)
	for _, err := range errs {
		require.ErrorIs(t, err, outbox.ErrUnavailable)
	}
}

// A context that has ended keeps messages from being sent at all.
func TestNothingIsSentWithoutALease(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(outbox.ErrLeaseLost)
	for _, err := range outbox.NewSaramaPublisher(nil).Publish(ctx, []outbox.Message{{}, {}}) {
		require.ErrorIs(t, err, outbox.ErrUnavailable)
		require.ErrorIs(t, err, outbox.ErrLeaseLost)
	}
}

// While the broker is cut off nothing is lost, nothing dies, and the order holds.
func TestABrokerOutageLosesNothing(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	db := testenv.SQLite(t)
	install(t, db, outbox.Settings{})
	proxy := testenv.Proxy(t, addrs[0])
	cfg := testenv.KafkaConfig()
	cfg.Producer.RequiredAcks, cfg.Producer.Return.Successes = sarama.WaitForAll, true
	cfg.Net.DialTimeout, cfg.Net.ReadTimeout, cfg.Net.WriteTimeout = time.Second, time.Second, time.Second
	cfg.Producer.Retry.Max, cfg.Metadata.Retry.Max = 0, 0
	cfg.Net.Proxy.Enable, cfg.Net.Proxy.Dialer = true, through(proxy.Addr())
	p, err := sarama.NewSyncProducer([]string{addrs[0]}, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	relay := quick()
	relay.MaxAttempts = 1
	r, _ := start(t, db, outbox.NewSaramaPublisher(p), relay)
	add(t, db, topic, "k", 0)
	empties(t, db)
	proxy.Set(faultproxy.Fault{Refuse: true})
	proxy.Cut()
	for n := 1; n <= 10; n++ {
		add(t, db, topic, "k", n)
	}
	require.Never(t, func() bool { return rows(t, db, "outbox_events") < 10 }, 300*time.Millisecond, 20*time.Millisecond)
	proxy.Heal()
	empties(t, db)
	require.Zero(t, r.Snapshot().Dead)
	seen := -1
	for _, m := range consumed(t, addrs, topic, 11) {
		var n int
		_, err := fmt.Sscanf(string(m.Value), `{"n":%d}`, &n)
		require.NoError(t, err)
		require.LessOrEqual(t, n, seen+1)
		seen = max(seen, n)
	}
	require.Equal(t, 10, seen)
}

// through dials everything by way of a proxy.
type through string

func (p through) Dial(network, _ string) (net.Conn, error) { return net.Dial(network, string(p)) }
