package saramax

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// SendMessage is [RawProducer.Publish] in the words of [sarama.SyncProducer], for code
// that wants that: it waits without limit, fills in msg's Partition and Offset, and
// leaves the rest of msg alone. The partition is the partitioner's choice.
func (p *RawProducer) SendMessage(msg *sarama.ProducerMessage) (partition int32, offset int64, err error) {
	m, err := messageOf(msg)
	if err != nil {
		return -1, -1, err
	}
	receipt, err := p.Publish(context.Background(), m)
	if err != nil {
		return -1, -1, err
	}
	msg.Partition, msg.Offset = receipt.Partition, receipt.Offset
	return receipt.Partition, receipt.Offset, nil
}

// SendMessages is [RawProducer.PublishAll] in the words of [sarama.SyncProducer]: the
// error is a [sarama.ProducerErrors] of those that failed.
func (p *RawProducer) SendMessages(msgs []*sarama.ProducerMessage) error {
	ctx := context.Background()
	pending := make([]*Pending, len(msgs))
	var failed sarama.ProducerErrors
	fail := func(msg *sarama.ProducerMessage, err error) {
		failed = append(failed, &sarama.ProducerError{Msg: msg, Err: err})
	}
	for i, msg := range msgs {
		m, err := messageOf(msg)
		if err == nil {
			pending[i], err = p.Enqueue(ctx, m)
		}
		if err != nil {
			fail(msg, err)
		}
	}
	for i, one := range pending {
		if one == nil {
			continue
		}
		receipt, err := one.Wait(ctx)
		if err != nil {
			fail(msgs[i], err)
			continue
		}
		msgs[i].Partition, msgs[i].Offset = receipt.Partition, receipt.Offset
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

// messageOf reads what sarama's callers write.
func messageOf(msg *sarama.ProducerMessage) (Message, error) {
	if msg == nil {
		return Message{}, Permanent(errors.New("saramax: message is nil"))
	}
	m := Message{Topic: msg.Topic, Time: msg.Timestamp, Headers: make(Headers, len(msg.Headers))}
	for i, h := range msg.Headers {
		m.Headers[i] = Header{string(h.Key), h.Value}
	}
	var err error
	if m.Key, err = encoded(msg.Key); err != nil {
		return Message{}, Permanent(fmt.Errorf("saramax: produce to %q: key: %w", msg.Topic, err))
	}
	if m.Value, err = encoded(msg.Value); err != nil {
		return Message{}, Permanent(fmt.Errorf("saramax: produce to %q: value: %w", msg.Topic, err))
	}
	return m, nil
}

func encoded(e sarama.Encoder) ([]byte, error) {
	if e == nil {
		return nil, nil
	}
	return e.Encode()
}
