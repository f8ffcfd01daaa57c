package saramax_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/saramax"
)

func TestSendReturnsWhereTheRecordLies(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	raw := newRaw(t, addrs, saramax.NewConfig("svc"))
	events, err := saramax.NewProducer(raw, topic, saramax.JSON[readEvent]())
	require.NoError(t, err)
	require.Equal(t, topic, events.Topic())

	for i := range int64(3) {
		receipt, err := events.Send(within(t), []byte("k"), readEvent{Article: i}, saramax.Header{Key: "h", Value: []byte("v")})
		require.NoError(t, err)
		require.Equal(t, saramax.Receipt{Topic: topic, Partition: 0, Offset: i}, receipt)
	}
	for i, m := range read(t, addrs, topic, 0, 3) {
		require.Equal(t, "k", string(m.Key))
		require.JSONEq(t, fmt.Sprintf(`{"Article":%d,"User":0}`, i), string(m.Value))
		require.Equal(t, []*sarama.RecordHeader{{Key: []byte("h"), Value: []byte("v")}}, m.Headers)
		require.WithinDuration(t, time.Now(), m.Timestamp, soon)
	}
}

func TestNilAndEmptyKeysAndValuesStayApart(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	raw := newRaw(t, addrs, saramax.NewConfig("svc"))
	at := time.UnixMilli(1_700_000_000_000)
	for _, m := range []saramax.Message{{Topic: topic, Time: at}, {Topic: topic, Key: []byte{}, Value: []byte{}}} {
		_, err := raw.Publish(within(t), m)
		require.NoError(t, err)
	}
	got := read(t, addrs, topic, 0, 2)
	require.Nil(t, got[0].Key)
	require.Nil(t, got[0].Value)
	require.True(t, at.Equal(got[0].Timestamp))
	require.Equal(t, []byte{}, got[1].Key)
	require.Equal(t, []byte{}, got[1].Value)
}

func TestWeakSettingsAreRefusedUnlessNamed(t *testing.T) {
	addrs := []string{"127.0.0.1:1"}
	weak := sarama.NewConfig()
	weak.Producer.Return.Successes = true
	_, err := saramax.NewRawProducer(addrs, weak)
	require.Contains(t, fields(t, err), "Producer.RequiredAcks")
	require.Contains(t, fields(t, err), "Producer.Idempotent")

	for _, acks := range []saramax.Acks{saramax.LeaderOnly, saramax.AtMostOnce} {
		_, err = saramax.NewRawProducer(addrs, weak, saramax.WithAcks(acks))
		require.NoError(t, err, acks)
		_, err = saramax.NewRawProducer(addrs, saramax.NewConfig("svc"), saramax.WithAcks(acks))
		require.NoError(t, err, acks)
	}
	require.Equal(t, sarama.WaitForLocal, weak.Producer.RequiredAcks, "the caller's configuration stays as it is")
}

func TestWhatIsWrongWithAProducerIsNamed(t *testing.T) {
	_, err := saramax.NewRawProducer(nil, saramax.NewConfig("svc"), saramax.WithUnconfirmed(0, 1))
	require.ErrorContains(t, err, "no broker addresses")
	require.ErrorContains(t, err, "0 records is below 1")
	require.ErrorContains(t, err, "1 bytes are fewer than one record may have")
	_, err = saramax.NewRawProducer([]string{"b:1"}, saramax.NewConfig("svc"), saramax.WithAcks(7))
	require.ErrorContains(t, err, "Acks 7")
	_, err = saramax.NewRawProducer(nil, nil)
	require.ErrorContains(t, err, "Config is nil")
	_, err = saramax.NewProducer[[]byte](nil, "", nil)
	require.EqualError(t, err, "saramax: RawProducer is nil\nsaramax: topic is empty\nsaramax: Codec is nil")
	for acks, name := range map[saramax.Acks]string{saramax.AllReplicas: "AllReplicas", saramax.LeaderOnly: "LeaderOnly", saramax.AtMostOnce: "AtMostOnce", 9: "invalid"} {
		require.Equal(t, name, acks.String())
	}
}

func TestNamedWeakerAcksProduce(t *testing.T) {
	addrs := testenv.Kafka(t)
	for acks, offset := range map[saramax.Acks]int64{saramax.LeaderOnly: 0, saramax.AtMostOnce: -1} {
		topic := testenv.Topic(t, addrs, 1)
		raw := newRaw(t, addrs, saramax.NewConfig("svc"), saramax.WithAcks(acks))
		receipt, err := raw.Publish(within(t), saramax.Message{Topic: topic, Value: []byte("v")})
		require.NoError(t, err, acks)
		require.Equal(t, offset, receipt.Offset, acks)
		require.Equal(t, "v", string(read(t, addrs, topic, 0, 1)[0].Value))
	}
}

func TestNobodyReadsResultsAndNothingStandsStill(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 3)
	raw := newRaw(t, addrs, saramax.NewConfig("svc"), saramax.WithUnconfirmed(50, 1<<20))
	ctx := within(t)
	const n = 5000
	for i := range n {
		_, err := raw.Enqueue(ctx, saramax.Message{Topic: topic, Key: []byte(strconv.Itoa(i % 10)), Value: []byte("v")})
		require.NoError(t, err)
	}
	require.NoError(t, raw.Flush(ctx))
	var total int64
	for partition := range int32(3) {
		total += end(t, addrs, topic, partition)
	}
	require.EqualValues(t, n, total)
}

func TestUnconfirmedRecordsAreBoundedAndSettleOnce(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	cfg := saramax.NewConfig("svc")
	proxy := viaProxy(t, addrs, cfg)
	raw := newRaw(t, addrs, cfg, saramax.WithUnconfirmed(3, cfg.Producer.MaxMessageBytes))
	_, err := raw.Publish(within(t), saramax.Message{Topic: topic})
	require.NoError(t, err)

	proxy.Set(holdAnswers)
	var pending []*saramax.Pending
	for range 3 {
		one, err := raw.Enqueue(within(t), saramax.Message{Topic: topic})
		require.NoError(t, err)
		pending = append(pending, one)
	}
	require.Equal(t, 3.0, reading(raw, "producer_unconfirmed_records"))
	require.Positive(t, reading(raw, "producer_unconfirmed_bytes"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = raw.Enqueue(ctx, saramax.Message{Topic: topic})
	require.ErrorIs(t, err, saramax.ErrBufferFull)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, saramax.ErrUnconfirmed, "it is not on its way")

	proxy.Heal()
	for i, one := range pending {
		receipt, err := one.Wait(within(t))
		require.NoError(t, err)
		require.EqualValues(t, i+1, receipt.Offset)
		<-one.Settled()
	}
	require.NoError(t, raw.Close(within(t)))
	require.Zero(t, reading(raw, "producer_unconfirmed_records"))
	require.Zero(t, reading(raw, "producer_unconfirmed_bytes"))
	require.EqualValues(t, 4, end(t, addrs, topic, 0), "the refused one was not written")
}

func TestBytesAreBoundedToo(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	cfg := saramax.NewConfig("svc")
	cfg.Producer.MaxMessageBytes = 1000
	proxy := viaProxy(t, addrs, cfg)
	raw := newRaw(t, addrs, cfg, saramax.WithUnconfirmed(100, 1000))
	_, err := raw.Publish(within(t), saramax.Message{Topic: topic})
	require.NoError(t, err)
	proxy.Set(holdAnswers)
	_, err = raw.Enqueue(within(t), saramax.Message{Topic: topic, Value: make([]byte, 600)})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = raw.Enqueue(ctx, saramax.Message{Topic: topic, Value: make([]byte, 600)})
	require.ErrorIs(t, err, saramax.ErrBufferFull)
	_, err = raw.Enqueue(within(t), saramax.Message{Topic: topic, Value: make([]byte, 100)})
	require.NoError(t, err, "a smaller one fits")
	proxy.Heal()
	require.NoError(t, raw.Close(within(t)))
}

func TestCloseListsWhatWasNotConfirmed(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	cfg := saramax.NewConfig("svc")
	proxy := viaProxy(t, addrs, cfg)
	raw := newRaw(t, addrs, cfg)
	_, err := raw.Publish(within(t), saramax.Message{Topic: topic})
	require.NoError(t, err)

	proxy.Set(holdAnswers)
	var pending []*saramax.Pending
	for i := range 5 {
		one, err := raw.Enqueue(within(t), saramax.Message{Topic: topic, Key: []byte{byte(i)}, Value: []byte("v")})
		require.NoError(t, err)
		pending = append(pending, one)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = raw.Close(ctx)
	require.ErrorIs(t, err, saramax.ErrUnconfirmed)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "5 records")
	var rest *saramax.UnconfirmedError
	require.ErrorAs(t, err, &rest)
	require.Len(t, rest.Messages, 5)
	for i, m := range rest.Messages {
		require.Equal(t, []byte{byte(i)}, m.Key)
		require.Equal(t, "v", string(m.Value))
		_, err := pending[i].Wait(t.Context())
		require.ErrorIs(t, err, saramax.ErrUnconfirmed)
	}
	require.Same(t, err, raw.Close(t.Context()), "a second Close says the same")
	_, err = raw.Publish(t.Context(), saramax.Message{Topic: topic})
	require.ErrorIs(t, err, saramax.ErrProducerClosed)

	proxy.Heal() // and what comes now finds nobody to settle twice
	proxy.Cut()
}

func TestCloseWaitsForWhatIsOnItsWay(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	raw := newRaw(t, addrs, saramax.NewConfig("svc"))
	var pending []*saramax.Pending
	for range 100 {
		one, err := raw.Enqueue(within(t), saramax.Message{Topic: topic})
		require.NoError(t, err)
		pending = append(pending, one)
	}
	require.NoError(t, raw.Close(within(t)))
	for i, one := range pending {
		receipt, err := one.Wait(ended(t.Context()))
		require.NoError(t, err)
		require.EqualValues(t, i, receipt.Offset)
	}
}

func TestCloseOfAnUnusedProducer(t *testing.T) {
	raw := newRaw(t, []string{"127.0.0.1:1"}, saramax.NewConfig("svc"))
	require.NoError(t, raw.Close(ended(t.Context())))
	require.NoError(t, raw.Close(t.Context()))
	_, err := raw.Enqueue(t.Context(), saramax.Message{Topic: "t"})
	require.ErrorIs(t, err, saramax.ErrProducerClosed)
}

func TestTooLargeIsRefusedBeforeSending(t *testing.T) {
	rec := observetest.NewRecorder(t)
	cfg := saramax.NewConfig("svc")
	cfg.Producer.MaxMessageBytes = 1000
	raw := newRaw(t, []string{"127.0.0.1:1"}, cfg, saramax.WithProducerObserver(rec)) // nobody listens there
	for _, m := range []saramax.Message{
		{Topic: "t", Value: make([]byte, 1001)},
		{Topic: "t", Key: make([]byte, 1001)},
		{Topic: "t", Headers: saramax.Headers{{Key: "h", Value: make([]byte, 1001)}}},
	} {
		_, err := raw.Publish(t.Context(), m)
		require.ErrorIs(t, err, saramax.ErrTooLarge)
		require.ErrorIs(t, err, sarama.ErrMessageSizeTooLarge)
		require.Equal(t, saramax.ActionDeadLetter, saramax.VerdictOf(err).Action())
		require.NotErrorIs(t, err, saramax.ErrUnconfirmed)
	}
	for _, op := range rec.Records() {
		require.Equal(t, observe.Rejected, op.Outcome)
	}
}

func TestTooLargeForTheTopicIsTheSameError(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	admin, err := sarama.NewClusterAdmin(addrs, testenv.KafkaConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close()) }()
	most := "500"
	require.NoError(t, admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"max.message.bytes": &most}, false))
	raw := newRaw(t, addrs, saramax.NewConfig("svc"))
	_, err = raw.Publish(within(t), saramax.Message{Topic: topic, Value: make([]byte, 5000)})
	require.ErrorIs(t, err, saramax.ErrTooLarge)
	require.NotErrorIs(t, err, saramax.ErrUnconfirmed)
}

func TestValuesKeysAndHeadersAreTheCallersAgain(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	cfg := saramax.NewConfig("svc")
	proxy := viaProxy(t, addrs, cfg)
	raw := newRaw(t, addrs, cfg)
	events, err := saramax.NewProducer(raw, topic, saramax.JSON[*readEvent]())
	require.NoError(t, err)
	_, err = raw.Publish(within(t), saramax.Message{Topic: topic})
	require.NoError(t, err)

	proxy.Set(holdAnswers) // so that the second waits in the client
	key, value, header := []byte("key"), &readEvent{}, saramax.Header{Key: "h", Value: []byte("val")}
	var pending []*saramax.Pending
	for i := range int64(20) {
		value.Article = i
		copy(key, fmt.Sprintf("%03d", i))
		copy(header.Value, key)
		one, err := events.Enqueue(within(t), key, value, header)
		require.NoError(t, err)
		pending = append(pending, one)
	}
	proxy.Heal()
	for _, one := range pending {
		_, err := one.Wait(within(t))
		require.NoError(t, err)
	}
	for i, m := range read(t, addrs, topic, 0, 21)[1:] {
		require.Equal(t, fmt.Sprintf("%03d", i), string(m.Key))
		require.Equal(t, string(m.Key), string(m.Headers[0].Value))
		require.JSONEq(t, fmt.Sprintf(`{"Article":%d,"User":0}`, i), string(m.Value))
	}
}

type brokenCodec struct{}

var errBroken = errors.New("broken")

func (brokenCodec) Encode(int) ([]byte, error) { return nil, errBroken }
func (brokenCodec) Decode([]byte) (int, error) { return 0, errBroken }

func TestWhatCannotBeEncodedIsPermanent(t *testing.T) {
	raw := newRaw(t, []string{"127.0.0.1:1"}, saramax.NewConfig("svc"))
	p, err := saramax.NewProducer(raw, "t", brokenCodec{})
	require.NoError(t, err)
	_, err = p.Send(t.Context(), nil, 1)
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, saramax.ActionDeadLetter, saramax.VerdictOf(err).Action())
}

func TestACallerThatLeavesIsNoFailureOfTheBroker(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	rec := observetest.NewRecorder(t)
	cfg := saramax.NewConfig("svc")
	proxy := viaProxy(t, addrs, cfg)
	raw := newRaw(t, addrs, cfg, saramax.WithProducerObserver(rec))

	_, err := raw.Publish(ended(t.Context()), saramax.Message{Topic: topic})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, saramax.ErrUnconfirmed, "it never began")
	require.Equal(t, observe.Canceled, rec.Only("saramax", "produce").Outcome)

	_, err = raw.Publish(within(t), saramax.Message{Topic: topic})
	require.NoError(t, err)
	proxy.Set(holdAnswers)
	ctx, cancel := context.WithCancel(t.Context())
	one, err := raw.Enqueue(ctx, saramax.Message{Topic: topic})
	require.NoError(t, err)
	cancel()
	_, err = one.Wait(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, saramax.ErrUnconfirmed)
	proxy.Heal()
	receipt, err := one.Wait(within(t))
	require.NoError(t, err, "it was on its way, and arrived")
	require.EqualValues(t, 1, receipt.Offset)
	require.NoError(t, raw.Close(within(t)))
	ops := rec.Records()
	require.Equal(t, observe.OK, ops[2].Outcome)
	require.Equal(t, topic, ops[2].Label("topic"))
	require.Positive(t, ops[2].Amount)
}

func TestAllOfABatchGoesOutWhateverFails(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	cfg := saramax.NewConfig("svc")
	cfg.Producer.MaxMessageBytes = 1000
	raw := newRaw(t, addrs, cfg)
	errs := raw.PublishAll(within(t), []saramax.Message{
		{Topic: topic, Value: []byte("0")},
		{Topic: topic, Value: make([]byte, 2000)},
		{Topic: topic, Value: []byte("2")},
	})
	require.Len(t, errs, 3)
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], saramax.ErrTooLarge)
	require.NoError(t, errs[2])
	got := read(t, addrs, topic, 0, 2)
	require.Equal(t, "0", string(got[0].Value))
	require.Equal(t, "2", string(got[1].Value))
	require.Empty(t, raw.PublishAll(t.Context(), nil))
}

func TestPartitionsByName(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 4)
	raw := newRaw(t, addrs, saramax.NewConfig("svc"), saramax.WithPartitioner(saramax.Manual))
	p, err := saramax.NewProducer(raw, topic, saramax.Raw())
	require.NoError(t, err)
	for _, partition := range []int32{3, 0, 2} {
		receipt, err := p.SendTo(within(t), partition, []byte("same"), nil)
		require.NoError(t, err)
		require.Equal(t, partition, receipt.Partition)
	}
	receipt, err := raw.PublishTo(within(t), 1, saramax.Message{Topic: topic})
	require.NoError(t, err)
	require.EqualValues(t, 1, receipt.Partition)

	_, err = p.Send(within(t), []byte("same"), nil)
	require.ErrorIs(t, err, saramax.ErrNoPartition)
	require.NotErrorIs(t, err, saramax.ErrUnconfirmed)
	one, err := p.EnqueueTo(within(t), 4, nil, nil)
	require.NoError(t, err)
	_, err = one.Wait(within(t))
	require.ErrorIs(t, err, sarama.ErrInvalidPartition)
	require.Equal(t, saramax.ActionDeadLetter, saramax.VerdictOf(err).Action())
}

func TestKeysGoWhereJavaPutsThem(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 3)
	raw := newRaw(t, addrs, saramax.NewConfig("svc"))
	for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482, "abc": 479470107} {
		receipt, err := raw.Publish(within(t), saramax.Message{Topic: topic, Key: []byte(key)})
		require.NoError(t, err)
		require.Equal(t, (hash&0x7fffffff)%3, receipt.Partition)
	}
}

// awaited is what dead letters and the outbox want of a producer.
type awaited interface {
	SendMessage(*sarama.ProducerMessage) (int32, int64, error)
	SendMessages([]*sarama.ProducerMessage) error
}

func TestRawProducerSpeaksSaramasWords(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	cfg := saramax.NewConfig("svc")
	cfg.Producer.MaxMessageBytes = 1000
	var p awaited = newRaw(t, addrs, cfg)
	msg := func(value string) *sarama.ProducerMessage {
		return &sarama.ProducerMessage{
			Topic: topic, Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder(value),
			Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte(value)}}, Timestamp: time.UnixMilli(1000),
		}
	}
	partition, offset, err := p.SendMessage(msg("0"))
	require.NoError(t, err)
	require.Zero(t, partition)
	require.Zero(t, offset)

	large := msg(string(make([]byte, 2000)))
	batch := []*sarama.ProducerMessage{msg("1"), large, msg("2")}
	err = p.SendMessages(batch)
	var failed sarama.ProducerErrors
	require.ErrorAs(t, err, &failed)
	require.Len(t, failed, 1)
	require.Same(t, large, failed[0].Msg)
	require.ErrorIs(t, failed[0], saramax.ErrTooLarge)
	require.EqualValues(t, 2, batch[2].Offset)
	require.NoError(t, p.SendMessages(batch[:1]))

	for i, m := range read(t, addrs, topic, 0, 3) {
		require.Equal(t, strconv.Itoa(i), string(m.Value))
		require.Equal(t, strconv.Itoa(i), string(m.Headers[0].Value))
		require.Equal(t, "k", string(m.Key))
		require.EqualValues(t, 1000, m.Timestamp.UnixMilli())
	}
	_, _, err = p.SendMessage(nil)
	require.ErrorContains(t, err, "nil")
	_, _, err = p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: brokenEncoder{}})
	require.ErrorIs(t, err, errBroken)
}

type brokenEncoder struct{}

func (brokenEncoder) Encode() ([]byte, error) { return nil, errBroken }
func (brokenEncoder) Length() int             { return 0 }

func TestForwardedRecordCarriesOneTrace(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	raw := newRaw(t, addrs, saramax.NewConfig("svc"), saramax.WithProducerTrace(stamp{}))
	headers := saramax.Headers{{Key: "other", Value: []byte("stays")}}
	for hop := range 5 {
		ctx := context.WithValue(within(t), stampKey{}, strconv.Itoa(hop))
		_, err := raw.Publish(ctx, saramax.Message{Topic: topic, Headers: headers})
		require.NoError(t, err)
		got := read(t, addrs, topic, 0, hop+1)[hop]
		require.Len(t, got.Headers, 2, "hop %d", hop)
		headers = nil
		for _, h := range got.Headers {
			headers = append(headers, saramax.Header{Key: string(h.Key), Value: h.Value})
		}
		require.Equal(t, strconv.Itoa(hop), string(headers.Get("trace")))
		require.Equal(t, "stays", string(headers.Get("other")))
		back := saramax.ExtractTrace(t.Context(), stamp{}, headers)
		require.Equal(t, strconv.Itoa(hop), back.Value(stampKey{}))
	}
}

func TestWithoutAPropagatorHeadersStayAsTheyAre(t *testing.T) {
	headers := saramax.Headers{{Key: "trace", Value: []byte("x")}}
	require.Equal(t, headers, saramax.InjectTrace(t.Context(), nil, headers))
	require.Equal(t, t.Context(), saramax.ExtractTrace(t.Context(), nil, headers))
	injected := saramax.InjectTrace(context.WithValue(t.Context(), stampKey{}, "y"), stamp{}, headers)
	require.Equal(t, "y", string(injected.Get("trace")))
	require.Equal(t, "x", string(headers.Get("trace")), "the caller's headers stay")
}

type stampKey struct{}

// stamp carries one value of a context.
type stamp struct{}

func (stamp) Inject(ctx context.Context, set func(key, value string)) {
	if v, ok := ctx.Value(stampKey{}).(string); ok {
		set("trace", v)
	}
}

func (stamp) Extract(ctx context.Context, get func(string) string) context.Context {
	return context.WithValue(ctx, stampKey{}, get("trace"))
}

func TestAFailedConnectionIsMadeAnew(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 1)
	cfg := saramax.NewConfig("svc")
	cfg.Metadata.Retry.Max = 0
	proxy := viaProxy(t, addrs, cfg)
	proxy.Set(refuse)
	raw := newRaw(t, addrs, cfg)
	_, err := raw.Publish(within(t), saramax.Message{Topic: topic})
	require.ErrorIs(t, err, sarama.ErrOutOfBrokers)
	require.NotErrorIs(t, err, saramax.ErrUnconfirmed, "nothing was sent")
	proxy.Heal()
	_, err = raw.Publish(within(t), saramax.Message{Topic: topic})
	require.NoError(t, err)
}

func TestACallerLeavesAConnectionThatHangs(t *testing.T) {
	addrs := testenv.Kafka(t)
	cfg := saramax.NewConfig("svc")
	proxy := viaProxy(t, addrs, cfg)
	proxy.Set(holdAnswers)
	raw := newRaw(t, addrs, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := raw.Publish(ctx, saramax.Message{Topic: "t"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, saramax.ErrUnconfirmed)
	require.NoError(t, raw.Close(ctx), "nothing is unconfirmed")
	proxy.Heal()
}

func reading(source observe.Source, name string) float64 {
	for r := range source.Readings() {
		if r.Gauge.Name == name {
			return r.Value
		}
	}
	return -1
}

func TestProducersMetricsAreValid(t *testing.T) {
	raw := newRaw(t, []string{"127.0.0.1:1"}, saramax.NewConfig("svc"))
	n := 0
	for r := range raw.Readings() {
		require.NoError(t, r.Gauge.Validate())
		require.Equal(t, observe.Values{"svc"}, r.Values)
		n++
	}
	require.Equal(t, 2, n)
	next, stop := 0, slices.Collect(raw.Readings())
	for range raw.Readings() {
		next++
		break // a consumer may stop early
	}
	require.Len(t, stop, 2)
	require.Equal(t, 1, next)
}
