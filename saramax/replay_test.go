package saramax_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// durable is the configuration of a producer that awaits all replicas.
func durable() *sarama.Config {
	cfg := testenv.KafkaConfig()
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Idempotent = true
	cfg.Net.MaxOpenRequests = 1
	cfg.Producer.Return.Successes = true
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	return cfg
}

func syncProducer(t testing.TB, addrs []string) sarama.SyncProducer {
	t.Helper()
	p, err := sarama.NewSyncProducer(addrs, durable())
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func durableClient(t testing.TB, addrs []string) sarama.Client {
	t.Helper()
	c, err := sarama.NewClient(addrs, durable())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// topicContent reads all records of a topic, partition by partition.
func topicContent(t testing.TB, c sarama.Client, topic string) []*sarama.ConsumerMessage {
	t.Helper()
	consumer, err := sarama.NewConsumerFromClient(c)
	require.NoError(t, err)
	defer func() { _ = consumer.Close() }()
	partitions, err := c.Partitions(topic)
	require.NoError(t, err)
	var all []*sarama.ConsumerMessage
	for _, p := range partitions {
		end, err := c.GetOffset(topic, p, sarama.OffsetNewest)
		require.NoError(t, err)
		oldest, err := c.GetOffset(topic, p, sarama.OffsetOldest)
		require.NoError(t, err)
		if oldest == end {
			continue
		}
		pc, err := consumer.ConsumePartition(topic, p, oldest)
		require.NoError(t, err)
		for msg := range pc.Messages() {
			all = append(all, msg)
			if msg.Offset == end-1 {
				break
			}
		}
		require.NoError(t, pc.Close())
	}
	return all
}

// graveyard fills a dead-letter topic with n records of source, whose offsets are 0 to
// n-1 and which failed an hour ago for the reasons in turn.
func graveyard(t testing.TB, p sarama.SyncProducer, dlt, source string, n int, reasons ...saramax.Reason) {
	t.Helper()
	failed := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for i := range n {
		f := saramax.Failure{
			Origin: saramax.Origin{Topic: source, Offset: int64(i), Time: failed}, Group: "g",
			Reason: reasons[i%len(reasons)], Err: errors.New("down"), Attempt: 5, First: failed, Last: failed.Add(time.Minute),
		}
		msg := &sarama.ConsumerMessage{
			Key: fmt.Appendf(nil, "k%d", i%3), Value: fmt.Appendf(nil, "v%d", i),
			Headers: []*sarama.RecordHeader{{Key: []byte("event-id"), Value: fmt.Appendf(nil, "e%d", i)}},
		}
		_, _, err := p.SendMessage(saramax.CopyTo(dlt, msg, f, time.Now()))
		require.NoError(t, err)
	}
}

func TestReplayBringsBackWhatTheFilterKeepsWithItsIdentity(t *testing.T) {
	addrs := testenv.Kafka(t)
	source := testenv.Topic(t, addrs, 2)
	p, c := syncProducer(t, addrs), durableClient(t, addrs)
	dlt := testenv.Topic(t, addrs, 2)
	graveyard(t, p, dlt, source, 30, saramax.ReasonAttempts, saramax.ReasonUndecodable, saramax.ReasonPermanent)
	_, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: dlt, Value: sarama.StringEncoder("nobody's")})
	require.NoError(t, err)

	r, err := saramax.NewReplayer(c, p, saramax.ReplayConfig{From: dlt, To: source, PerSecond: 10_000, Window: 30 * time.Minute},
		saramax.WithReplayFilter(saramax.FailedFor(saramax.ReasonAttempts, saramax.ReasonPermanent)),
		saramax.WithReplayFilter(saramax.FailedBetween(time.Now().Add(-2*time.Hour), time.Now())))
	require.NoError(t, err)
	previewed, err := r.Preview(t.Context())
	require.NoError(t, err)
	require.Empty(t, topicContent(t, c, source), "a preview publishes nothing")

	report, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, previewed, report)
	require.Equal(t, 31, report.Read)
	require.Equal(t, 20, report.Kept)
	require.Equal(t, 1, report.Foreign)
	require.Equal(t, 20, report.Old, "failed an hour ago, with a window of half an hour")
	require.Equal(t, map[saramax.Reason]int{saramax.ReasonAttempts: 10, saramax.ReasonPermanent: 10}, report.ByReason)

	seen := map[string]bool{}
	for _, msg := range topicContent(t, c, source) {
		h := headers(msg)
		origin := saramax.OriginOf(saramax.Record[int]{Topic: source, Partition: msg.Partition, Offset: msg.Offset, Headers: h})
		require.Equal(t, source, origin.Topic)
		require.Equal(t, fmt.Sprintf("v%d", origin.Offset), string(msg.Value))
		require.Equal(t, fmt.Sprintf("e%d", origin.Offset), string(h.Get("event-id")))
		require.Equal(t, fmt.Sprintf("k%d", origin.Offset%3), string(msg.Key))
		for _, key := range []string{saramax.HeaderAttempts, saramax.HeaderError, saramax.HeaderReason, saramax.HeaderFirstFailure} {
			require.Nil(t, h.Get(key), "%s belongs to the life that is over", key)
		}
		seen[origin.String()] = true
	}
	require.Len(t, seen, 20)
}

func TestAReplayGoesOnWhereTheLastOneEnded(t *testing.T) {
	addrs := testenv.Kafka(t)
	source, dlt := testenv.Topic(t, addrs, 1), testenv.Topic(t, addrs, 2)
	p, c := syncProducer(t, addrs), durableClient(t, addrs)
	graveyard(t, p, dlt, source, 30, saramax.ReasonAttempts)
	cfg := saramax.ReplayConfig{From: dlt, To: source, PerSecond: 10_000, Limit: 7}
	var kept int
	for range 6 {
		r, err := saramax.NewReplayer(c, p, cfg)
		require.NoError(t, err)
		report, err := r.Run(t.Context())
		require.NoError(t, err)
		require.LessOrEqual(t, report.Kept, 7)
		kept += report.Kept
		cfg.Start = report.Next
	}
	require.Equal(t, 30, kept)
	require.Len(t, topicContent(t, c, source), 30)
}

func TestAReplayKeepsItsRate(t *testing.T) {
	addrs := testenv.Kafka(t)
	source, dlt := testenv.Topic(t, addrs, 1), testenv.Topic(t, addrs, 1)
	p, c := syncProducer(t, addrs), durableClient(t, addrs)
	graveyard(t, p, dlt, source, 21, saramax.ReasonAttempts)
	r, err := saramax.NewReplayer(c, p, saramax.ReplayConfig{From: dlt, To: source, PerSecond: 50})
	require.NoError(t, err)
	start := time.Now()
	report, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 21, report.Kept)
	require.GreaterOrEqual(t, time.Since(start), 350*time.Millisecond, "20 gaps of 20 ms, less what may come at once")
}

func TestAnInterruptedReplayTellsHowFarItCame(t *testing.T) {
	addrs := testenv.Kafka(t)
	source, dlt := testenv.Topic(t, addrs, 1), testenv.Topic(t, addrs, 1)
	p, c := syncProducer(t, addrs), durableClient(t, addrs)
	graveyard(t, p, dlt, source, 30, saramax.ReasonAttempts)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	r, err := saramax.NewReplayer(c, p, saramax.ReplayConfig{From: dlt, To: source, PerSecond: 10_000},
		saramax.WithReplayFilter(func(saramax.Failure) bool {
			if n++; n == 11 {
				cancel()
			}
			return true
		}))
	require.NoError(t, err)
	report, err := r.Run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, int64(report.Kept), report.Next[0])
	require.Len(t, topicContent(t, c, source), report.Kept)
}

func TestAReplayerRefusesWhatCannotBe(t *testing.T) {
	_, err := saramax.NewReplayer(nil, nil, saramax.ReplayConfig{From: "a", To: "a", PerSecond: 0, Limit: -1, Window: -1},
		saramax.WithReplayFilter(nil))
	for _, text := range []string{"must be two topics", "PerSecond", "Limit", "Window", "client", "filter"} {
		require.ErrorContains(t, err, text)
	}
}
