package saramax_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// quick are retries in place that a test can wait for.
func quick(attempts int) saramax.Option {
	return saramax.WithRetry(saramax.RetryPolicy{Attempts: attempts, Base: time.Millisecond, Max: 5 * time.Millisecond})
}

// ward is a cluster with a group and what the group needs for its failures.
type ward struct {
	*cluster
	group    string
	delays   []time.Duration
	client   sarama.Client
	producer sarama.SyncProducer
}

func newWard(t testing.TB, partitions int32, delays ...time.Duration) *ward {
	k := newCluster(t, partitions)
	w := &ward{cluster: k, group: testenv.Name(t), delays: delays, client: client(t, k.addrs), producer: syncProducer(t, k.addrs)}
	failureTopics(t, k.addrs, saramax.FailureTopics{Group: w.group, Topics: []string{k.topic}, Delays: delays})
	return w
}

func (w *ward) deadLetters() []*sarama.ConsumerMessage {
	w.t.Helper()
	return topicContent(w.t, w.client, saramax.DeadLetterTopic(w.topic, w.group))
}

func (w *ward) consumer(work saramax.Work, opts ...saramax.Option) *saramax.Consumer {
	w.t.Helper()
	c, err := saramax.NewConsumer(w.client, w.group, []string{w.topic}, work, opts...)
	require.NoError(w.t, err)
	return c
}

// committed is the group's commit in a partition of its topic; -1 without one.
func (w *ward) committed(partition int32) int64 { return w.committedIn(w.topic, partition) }

func (w *ward) committedIn(topic string, partition int32) int64 {
	w.t.Helper()
	admin, err := sarama.NewClusterAdminFromClient(w.client)
	require.NoError(w.t, err)
	found, err := admin.ListConsumerGroupOffsets(w.group, map[string][]int32{topic: {partition}})
	if errors.Is(err, sarama.ErrGroupIDNotFound) {
		return -1
	}
	require.NoError(w.t, err)
	block := found.GetBlock(topic, partition)
	if block == nil {
		return -1
	}
	return block.Offset
}

func TestWhatCannotBeHandledIsDeadLetteredWithItsReason(t *testing.T) {
	w := newWard(t, 1)
	w.send(
		&sarama.ProducerMessage{Topic: w.topic, Key: sarama.StringEncoder("k0"), Value: sarama.StringEncoder(`{"key":"fine"}`)},
		&sarama.ProducerMessage{
			Topic: w.topic, Key: sarama.StringEncoder("k1"), Value: sarama.ByteEncoder("\x00 no JSON \xff"),
			Headers: []sarama.RecordHeader{{Key: []byte("event-id"), Value: []byte("e1")}},
		},
		&sarama.ProducerMessage{Topic: w.topic, Value: sarama.StringEncoder(`{"key":"permanent"}`)},
		&sarama.ProducerMessage{Topic: w.topic, Value: sarama.StringEncoder(`{"key":"transient"}`)},
		&sarama.ProducerMessage{Topic: w.topic, Value: sarama.StringEncoder(`{"key":"panic"}`)},
	)
	var calls atomic.Int64
	r := start(t, w.consumer(saramax.Each(func(_ context.Context, rec saramax.Record[event]) error {
		calls.Add(1)
		switch rec.Value.Key {
		case "permanent":
			return saramax.Permanent(errors.New("no such account"))
		case "transient":
			return errors.New("connection refused")
		case "panic":
			panic("index out of range")
		}
		return nil
	}), quick(3), saramax.WithDeadLetter(w.producer)))
	eventually(t, "all passed", func() bool { return w.committed(0) == 5 })
	require.NoError(t, r.end())

	dead := w.deadLetters()
	require.Len(t, dead, 4)
	for i, want := range []struct {
		reason   saramax.Reason
		attempts int
		text     string
	}{
		{saramax.ReasonUndecodable, 1, "invalid character"}, {saramax.ReasonPermanent, 1, "no such account"},
		{saramax.ReasonAttempts, 3, "connection refused"}, {saramax.ReasonPanic, 3, "index out of range"},
	} {
		f, ok := saramax.FailureIn(headers(dead[i]))
		require.True(t, ok)
		require.Equal(t, want.reason, f.Reason)
		require.Equal(t, want.attempts, f.Attempt)
		require.ErrorContains(t, f.Err, want.text)
		require.Equal(t, fmt.Sprintf("%s/0/%d", w.topic, i+1), f.Origin.String())
		require.Equal(t, w.group, f.Group)
		require.WithinDuration(t, time.Now(), f.First, time.Hour)
	}
	require.Equal(t, "k1", string(dead[0].Key))
	require.Equal(t, "\x00 no JSON \xff", string(dead[0].Value))
	require.Equal(t, "e1", string(headers(dead[0]).Get("event-id")))
	require.Nil(t, dead[1].Key)
}

// gatedPublisher is a real producer whose acknowledgements the test holds back.
type gatedPublisher struct {
	sarama.SyncProducer
	entered chan struct{}
	release chan error
}

func (p *gatedPublisher) SendMessage(m *sarama.ProducerMessage) (int32, int64, error) {
	p.entered <- struct{}{}
	if err := <-p.release; err != nil {
		return 0, 0, err
	}
	return p.SyncProducer.SendMessage(m)
}

func TestTheOffsetPassesOnlyWithTheAcknowledgement(t *testing.T) {
	w := newWard(t, 1)
	w.send(w.events(0, 3, 1)...)
	p := &gatedPublisher{w.producer, make(chan struct{}), make(chan error)}
	var parkFailed atomic.Int64
	r := start(t, w.consumer(saramax.Each(func(context.Context, saramax.Record[event]) error {
		return saramax.Permanent(errors.New("no"))
	}), quick(1), saramax.WithDeadLetter(p), saramax.WithCommitEvery(10*time.Millisecond), saramax.OnEvent(func(e saramax.Event) {
		if e.Kind == saramax.EventParkFailed {
			parkFailed.Add(1)
		}
	})))
	for i := range int64(3) {
		for range 3 { // an answer that says no is no answer
			<-p.entered
			require.LessOrEqual(t, max(w.committed(0), 0), i, "nothing is acknowledged yet")
			p.release <- sarama.ErrNotEnoughReplicas
		}
		<-p.entered
		p.release <- nil
		eventually(t, "the commit", func() bool { return w.committed(0) == i+1 })
		require.Len(t, w.deadLetters(), int(i)+1)
	}
	require.EqualValues(t, 9, parkFailed.Load())
	require.NoError(t, r.end())
}

func TestARecordThatFitsOnlyWithoutTheErrorTextGoesWithout(t *testing.T) {
	w := newWard(t, 1)
	cfg := durable()
	cfg.Producer.MaxMessageBytes = 2000
	p, err := sarama.NewSyncProducer(w.addrs, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	value := make([]byte, 1000)
	w.produce(0, value)
	r := start(t, w.consumer(saramax.Each(func(context.Context, saramax.Record[[]byte]) error {
		return saramax.Permanent(errors.New(string(make([]byte, 5000))))
	}, saramax.WithCodec(saramax.Raw())), saramax.WithDeadLetter(p)))
	eventually(t, "the commit", func() bool { return w.committed(0) == 1 })
	require.NoError(t, r.end())
	dead := w.deadLetters()
	require.Len(t, dead, 1)
	require.Equal(t, value, dead[0].Value)
	f, ok := saramax.FailureIn(headers(dead[0]))
	require.True(t, ok)
	require.NoError(t, f.Err)
	require.Equal(t, saramax.ReasonPermanent, f.Reason)
}

func TestABatchDeadLettersWhatItsVerdictsSay(t *testing.T) {
	w := newWard(t, 1)
	w.send(w.events(0, 100, 5)...)
	r := start(t, w.consumer(saramax.Batch(func(_ context.Context, batch []saramax.Record[event]) []saramax.Verdict {
		verdicts := make([]saramax.Verdict, len(batch))
		for i, rec := range batch {
			if rec.Offset%10 == 7 {
				verdicts[i] = saramax.DeadLetter(errors.New("seven"))
			}
		}
		return verdicts
	}), saramax.WithBatch(30, 10*time.Millisecond), saramax.WithDeadLetter(w.producer)))
	eventually(t, "all passed", func() bool { return w.committed(0) == 100 })
	require.NoError(t, r.end())
	dead := w.deadLetters()
	require.Len(t, dead, 10)
	for i, msg := range dead {
		f, _ := saramax.FailureIn(headers(msg))
		require.EqualValues(t, 10*i+7, f.Origin.Offset)
		var v event
		require.NoError(t, json.Unmarshal(msg.Value, &v))
	}
}

func TestAGroupHandlerOfAnothersLoopDeadLettersToo(t *testing.T) {
	w := newWard(t, 1)
	w.send(w.events(0, 3, 1)...)
	cfg := config()
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	group, err := sarama.NewConsumerGroup(w.addrs, w.group, cfg)
	require.NoError(t, err)
	fail := saramax.Each(func(context.Context, saramax.Record[event]) error { return saramax.Permanent(errors.New("no")) })
	h, err := saramax.NewGroupHandler(group, w.group, fail, saramax.WithDeadLetter(w.producer))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- group.Consume(ctx, []string{w.topic}, h) }()
	eventually(t, "all passed", func() bool { return w.committed(0) == 3 })
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, group.Close())
	require.Len(t, w.deadLetters(), 3)
}

func TestADeadLetterConsumerCannotFeedItself(t *testing.T) {
	cl, p := client(t, testenv.Kafka(t)), struct{ sarama.SyncProducer }{}
	work := saramax.Each(func(context.Context, saramax.Record[event]) error { return nil })
	dlt := saramax.DeadLetterTopic("orders", "billing")
	_, err := saramax.NewConsumer(cl, "undertaker", []string{dlt}, work, saramax.WithDeadLetter(p))
	require.ErrorIs(t, err, saramax.ErrDeadLetterOfDeadLetter)
	_, err = saramax.NewConsumer(cl, "undertaker", []string{dlt}, work)
	require.NoError(t, err, "without a dead-letter topic it may be consumed")
}

func TestOptionsOfFailuresNeedEachOther(t *testing.T) {
	cl, p := client(t, testenv.Kafka(t)), struct{ sarama.SyncProducer }{}
	work := saramax.Each(func(context.Context, saramax.Record[event]) error { return nil })
	elsewhere := saramax.WithParker(saramax.ParkerFunc(func(context.Context, saramax.Rejected) error { return nil }))
	for want, opts := range map[string][]saramax.Option{
		"WithParker and WithDeadLetter each say":     {saramax.WithDeadLetter(p), elsewhere},
		"each say where records go":                  {elsewhere, saramax.WithDeadLetter(p)},
		"need WithDeadLetter":                        {saramax.WithRetryTopics(p, time.Second)},
		"a budget and a failure policy need":         {saramax.WithDeadLetterBudget(saramax.Budget{})},
		"WithRetryTopics needs a publisher and":      {saramax.WithDeadLetter(p), saramax.WithRetryTopics(p)},
		"delay 2 is 1s after 1m0s: delays must grow": {saramax.WithDeadLetter(p), saramax.WithRetryTopics(p, time.Minute, time.Second)},
		"WithDeadLetter needs a publisher":           {saramax.WithDeadLetter(nil)},
		"WithFailurePolicy needs a policy":           {saramax.WithDeadLetter(p), saramax.WithFailurePolicy(nil)},
		"Budget.Ratio is 2, and must be above 0":     {saramax.WithDeadLetter(p), saramax.WithDeadLetterBudget(saramax.Budget{Ratio: 2})},
		"WithRetryOrder: order 9 is unknown":         {saramax.WithDeadLetter(p), saramax.WithRetryOrder(9)},
	} {
		_, err := saramax.NewConsumer(cl, "g", []string{"orders"}, work, opts...)
		require.ErrorContains(t, err, want)
	}
}
