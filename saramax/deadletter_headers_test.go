package saramax_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/saramax"
)

func failure(text string) saramax.Failure {
	at := time.UnixMilli(1_770_000_000_123)
	return saramax.Failure{
		Origin: saramax.Origin{Topic: "orders", Partition: 3, Offset: 41, Time: at.Add(-time.Hour)},
		Group:  "billing", Reason: saramax.ReasonAttempts, Err: errors.New(text), Attempt: 4,
		First: at.Add(-time.Minute), Last: at,
	}
}

// consumed is a published record as a consumer gets it.
func consumed(m *sarama.ProducerMessage) *sarama.ConsumerMessage {
	out := &sarama.ConsumerMessage{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Timestamp: m.Timestamp}
	if m.Key != nil {
		out.Key, _ = m.Key.Encode()
	}
	if m.Value != nil {
		out.Value, _ = m.Value.Encode()
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, &h)
	}
	return out
}

func headers(m *sarama.ConsumerMessage) (h saramax.Headers) {
	for _, header := range m.Headers {
		h = append(h, saramax.Header{Key: string(header.Key), Value: header.Value})
	}
	return h
}

func TestACopyTellsWhereItComesFromAndWhatHappened(t *testing.T) {
	f := failure("connection refused")
	got, ok := saramax.FailureIn(headers(consumed(saramax.CopyTo("x", &sarama.ConsumerMessage{}, f, time.Now()))))
	require.True(t, ok)
	require.EqualError(t, got.Err, "connection refused")
	got.Err = f.Err
	require.Equal(t, f, got)
	require.Equal(t, "orders/3/41", got.Origin.String())
}

func TestACopyKeepsBytesAsTheyAre(t *testing.T) {
	for name, msg := range map[string]*sarama.ConsumerMessage{
		"undecodable":          {Key: []byte{0xff}, Value: []byte{0, 0xfe, '{'}},
		"no key":               {Value: []byte("v")},
		"deletion":             {Key: []byte("k")},
		"empty but not absent": {Key: []byte{}, Value: []byte{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := consumed(saramax.CopyTo("x", msg, failure(""), time.Now()))
			require.Equal(t, msg.Key, got.Key)
			require.Equal(t, msg.Value, got.Value)
		})
	}
}

// Retention counts from the timestamp: the copy of an old record would be deleted as
// soon as it is there.
func TestACopyIsAsYoungAsItsPublication(t *testing.T) {
	old := &sarama.ConsumerMessage{Timestamp: time.UnixMilli(1)}
	now := time.UnixMilli(1_770_000_000_000)
	require.Equal(t, now, saramax.CopyTo("x", old, failure(""), now).Timestamp)
}

func TestHeadersAreOverwrittenNotAppended(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		users := rapid.SliceOfN(rapid.StringMatching(`[a-z-]{0,12}`), 0, 5).Draw(t, "users")
		msg := &sarama.ConsumerMessage{Topic: "orders"}
		for _, key := range users {
			msg.Headers = append(msg.Headers, &sarama.RecordHeader{Key: []byte(key), Value: []byte(key)})
		}
		for range rapid.IntRange(1, 20).Draw(t, "hops") {
			f := failure(rapid.String().Draw(t, "text"))
			msg = consumed(saramax.CopyTo("x", msg, f, time.Now()))
		}
		count := map[string]int{}
		var kept []string
		size := 0
		for _, h := range msg.Headers {
			key := string(h.Key)
			if count[key]++; strings.HasPrefix(key, "saramax-") {
				size += len(key) + len(h.Value)
			} else {
				kept = append(kept, key)
			}
		}
		for _, key := range saramax.OwnHeaders() {
			if count[key] > 1 {
				t.Fatalf("%s is there %d times", key, count[key])
			}
		}
		if strings.Join(kept, ",") != strings.Join(users, ",") {
			t.Fatalf("%v became %v", users, kept)
		}
		if size > 2<<10 {
			t.Fatalf("%d bytes of headers", size)
		}
	})
}

func TestTheErrorTextIsCappedAndReadable(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 1<<20), strings.Repeat("界", 1<<10), "\xff\xfe", strings.Repeat("\xff", 5000)} {
		got, ok := saramax.FailureIn(headers(consumed(saramax.CopyTo("x", &sarama.ConsumerMessage{}, failure(text), time.Now()))))
		require.True(t, ok)
		require.LessOrEqual(t, len(got.Err.Error()), 1<<10)
		require.True(t, utf8.ValidString(got.Err.Error()))
	}
}

func TestIdentitySurvivesRetryDeadLetterAndReplay(t *testing.T) {
	h := headers(consumed(saramax.CopyTo("x", &sarama.ConsumerMessage{}, failure(""), time.Now())))
	for _, topic := range []string{
		saramax.RetryTopic("orders", "billing", time.Minute), saramax.DeadLetterTopic("orders", "billing"), "orders",
	} {
		origin := saramax.OriginOf(saramax.Record[int]{Topic: topic, Partition: 1, Offset: 999, Headers: h})
		require.Equal(t, failure("").Origin, origin, topic)
	}
}

// A handler that passes a record's headers on to what it produces must not pass on the
// identity: two events would count as one.
func TestForwardedHeadersAreNoIdentity(t *testing.T) {
	h := headers(consumed(saramax.CopyTo("x", &sarama.ConsumerMessage{}, failure(""), time.Now())))
	for _, topic := range []string{"invoices", "orders2", "orders.retry.1m", saramax.DeadLetterTopic("orders", "other")} {
		r := saramax.Record[int]{Topic: topic, Partition: 1, Offset: 999, Headers: h}
		require.Equal(t, topic+"/1/999", saramax.OriginOf(r).String())
	}
}

func FuzzFailureIn(f *testing.F) {
	f.Add("orders", "3", "41", "1770000000123", "attempts", "4")
	f.Add("", "-1", "99999999999999999999", "x", "", "-7")
	f.Fuzz(func(t *testing.T, topic, partition, offset, at, reason, attempts string) {
		got, ok := saramax.FailureIn(saramax.Headers{
			{Key: saramax.HeaderTopic, Value: []byte(topic)}, {Key: saramax.HeaderPartition, Value: []byte(partition)},
			{Key: saramax.HeaderOffset, Value: []byte(offset)}, {Key: saramax.HeaderTime, Value: []byte(at)},
			{Key: saramax.HeaderReason, Value: []byte(reason)}, {Key: saramax.HeaderAttempts, Value: []byte(attempts)},
		})
		if !ok {
			require.Equal(t, saramax.Failure{}, got)
			return
		}
		require.NotEmpty(t, got.Origin.Topic)
		require.GreaterOrEqual(t, got.Origin.Partition, int32(0))
		require.GreaterOrEqual(t, got.Origin.Offset, int64(0))
		require.GreaterOrEqual(t, got.Attempt, 0)
	})
}
