package saramax

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Publisher publishes one record and returns once the brokers have acknowledged it:
// [sarama.SyncProducer] is one. The offset of a failed record passes on the strength of
// that acknowledgement, so the producer behind it must demand all replicas
// (RequiredAcks = WaitForAll), or a broker's death loses what was put aside.
//
// It must be safe for concurrent use.
type Publisher interface {
	SendMessage(msg *sarama.ProducerMessage) (partition int32, offset int64, err error)
}

// copyTo returns msg as it goes into another topic: key and value byte for byte, the
// headers that are not ours, and ours as f has them. Its timestamp is now, since
// retention counts from it: the age of the origin would have the copy deleted at once.
func copyTo(topic string, msg *sarama.ConsumerMessage, f Failure, now time.Time) *sarama.ProducerMessage {
	return assemble(topic, msg, f.headers(headersOf(msg.Headers)), now)
}

func assemble(topic string, msg *sarama.ConsumerMessage, h Headers, now time.Time) *sarama.ProducerMessage {
	out := &sarama.ProducerMessage{Topic: topic, Timestamp: now, Headers: make([]sarama.RecordHeader, 0, len(h))}
	// A nil key and a nil value mean something: no order, and a deletion.
	if msg.Key != nil {
		out.Key = sarama.ByteEncoder(msg.Key)
	}
	if msg.Value != nil {
		out.Value = sarama.ByteEncoder(msg.Value)
	}
	for _, header := range h {
		out.Headers = append(out.Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
	}
	return out
}

// publish returns once msg is acknowledged. A record that is too large for the topic
// with its error text goes without.
func publish(ctx context.Context, p Publisher, msg *sarama.ProducerMessage) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("saramax: publish to %s: %w", msg.Topic, err)
	}
	_, _, err := p.SendMessage(msg)
	if tooLarge(err) && dropHeader(msg, HeaderError) {
		_, _, err = p.SendMessage(msg)
	}
	if err != nil {
		return fmt.Errorf("saramax: publish to %s: %w", msg.Topic, err)
	}
	return nil
}

// tooLarge: sarama refuses by its own limit, the broker by that of the topic.
func tooLarge(err error) bool {
	var config sarama.ConfigurationError
	return errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.As(err, &config)
}

func dropHeader(msg *sarama.ProducerMessage, key string) bool {
	for i, header := range msg.Headers {
		if string(header.Key) == key {
			msg.Headers = append(msg.Headers[:i:i], msg.Headers[i+1:]...)
			return true
		}
	}
	return false
}
