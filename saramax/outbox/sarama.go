package outbox

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"

	"github.com/IBM/sarama"
)

// Headers of a published record, beside those that [Add] stored. They are named as
// Debezium's outbox router names them.
const (
	// HeaderID holds [Message.ID].
	HeaderID = "id"
	// HeaderType holds [Message.Type], where there is one.
	HeaderType = "eventType"
	// HeaderAggregate holds the key, where there is one: also for those who read values
	// only.
	HeaderAggregate = "aggregateid"
)

// headersOf are the headers of a published record.
func headersOf(id, kind, key string, stored map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if !yield(HeaderID, id) || kind != "" && !yield(HeaderType, kind) || key != "" && !yield(HeaderAggregate, key) {
			return
		}
		for name, value := range stored {
			if name != HeaderID && name != HeaderType && name != HeaderAggregate && !yield(name, value) {
				return
			}
		}
	}
}

// SaramaPublisher publishes with a sarama producer. Create it with [NewSaramaPublisher].
type SaramaPublisher struct{ producer sarama.SyncProducer }

// NewSaramaPublisher returns a Publisher over a producer, which the caller closes once
// the relay has stopped. Let the producer be durable, or rows are deleted of records
// that a broker loses:
//
//	cfg.Producer.RequiredAcks = sarama.WaitForAll
//	cfg.Producer.Idempotent, cfg.Net.MaxOpenRequests = true, 1 // retries keep the order
//	cfg.Producer.Return.Successes = true
//
// The key decides the partition, by the producer's partitioner. What the producer does
// not finish cannot be interrupted: let its time-outs and retries together be shorter
// than two thirds of [Config.Lease].
func NewSaramaPublisher(producer sarama.SyncProducer) *SaramaPublisher {
	return &SaramaPublisher{producer: producer}
}

// Publish implements [Publisher].
func (p *SaramaPublisher) Publish(ctx context.Context, messages []Message) []error {
	errs := make([]error, len(messages))
	if err := context.Cause(ctx); err != nil {
		for i := range errs {
			errs[i] = errors.Join(ErrUnavailable, err)
		}
		return errs
	}
	records := make([]*sarama.ProducerMessage, len(messages))
	for i, m := range messages {
		records[i] = record(m, i)
	}
	err := p.producer.SendMessages(records)
	if err == nil {
		return nil
	}
	var each sarama.ProducerErrors
	if !errors.As(err, &each) {
		for i := range errs {
			errs[i] = classify(err)
		}
		return errs
	}
	for _, e := range each {
		errs[e.Msg.Metadata.(int)] = classify(e.Err)
	}
	return errs
}

// record is the i-th message as a record.
func record(m Message, i int) *sarama.ProducerMessage {
	r := &sarama.ProducerMessage{Topic: m.Topic, Value: sarama.ByteEncoder(m.Payload), Metadata: i}
	if m.Key != "" {
		r.Key = sarama.StringEncoder(m.Key)
	}
	for name, value := range headersOf(m.ID, m.Type, m.Key, m.Headers) {
		r.Headers = append(r.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
	return r
}

// unavailableErrors say that a broker, not a message, is at fault.
var unavailableErrors = []error{
	sarama.ErrOutOfBrokers, sarama.ErrBrokerNotAvailable, sarama.ErrLeaderNotAvailable, sarama.ErrNotLeaderForPartition,
	sarama.ErrReplicaNotAvailable, sarama.ErrRequestTimedOut, sarama.ErrNetworkException, sarama.ErrNotEnoughReplicas,
	sarama.ErrNotEnoughReplicasAfterAppend, sarama.ErrKafkaStorageError, sarama.ErrClosedClient, sarama.ErrNotConnected,
	sarama.ErrShuttingDown, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, // of connections that ended
	sarama.ErrThrottlingQuotaExceeded, sarama.ErrControllerNotAvailable,
}

// refusedErrors say that a message will never be taken.
var refusedErrors = []error{
	sarama.ErrMessageSizeTooLarge, sarama.ErrInvalidMessage, sarama.ErrInvalidMessageSize, sarama.ErrInvalidTopic,
	sarama.ErrInvalidRecord, sarama.ErrMessageTooLarge,
}

// classify wraps what a producer's error means for the relay.
func classify(err error) error {
	is := func(target error) bool { return errors.Is(err, target) }
	for _, e := range refusedErrors {
		if is(e) {
			return errors.Join(ErrRefused, err)
		}
	}
	for _, e := range unavailableErrors {
		if is(e) {
			return errors.Join(ErrUnavailable, err)
		}
	}
	var network net.Error
	if errors.As(err, &network) {
		return errors.Join(ErrUnavailable, err)
	}
	return err
}
