package saramax

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/observe"
)

var produceKind = observe.Kind{
	Component: "saramax", Action: "produce", Help: "Records produced, from hand-over until they settled.",
	Role: observe.Producer, StartLabels: []string{"topic"}, Amount: "bytes",
}

// enqueue reports the operation around hand; what has been handed over ends it when it
// settles.
func (p *RawProducer) enqueue(ctx context.Context, m Message, partition int32) (*Pending, error) {
	under, end := p.observer.Start(ctx, observe.Operation{Kind: &produceKind, Values: observe.Values{m.Topic}})
	one := &Pending{topic: m.Topic, partition: partition, end: end, settled: make(chan struct{})}
	outcome, err := p.hand(under, one, m)
	if err != nil {
		err = fmt.Errorf("saramax: produce to %q: %w", m.Topic, err)
		end(observe.Result{Outcome: outcome, Err: err, Amount: int64(one.size)})
		return nil, err
	}
	return one, nil
}

// hand gives m to the connection. After an error nobody has it.
func (p *RawProducer) hand(ctx context.Context, one *Pending, m Message) (observe.Outcome, error) {
	if !p.enter() {
		return observe.Rejected, ErrProducerClosed
	}
	defer p.handing.Done()
	if ctx.Err() != nil {
		return observe.OutcomeOf(ctx.Err()), context.Cause(ctx)
	}
	msg := p.prepare(ctx, one, m)
	if most := p.config.Producer.MaxMessageBytes; one.size > most {
		return observe.Rejected, tooLargeError(one.size, most)
	}
	link, err := p.connect(ctx)
	if err != nil {
		return outcomeOf(ctx, err), err
	}
	if err := p.room.enter(ctx, p.closing, one.size); err != nil {
		return observe.Rejected, withCause(ctx, err)
	}
	p.register(one)
	select {
	case link.producer.Input() <- msg:
		return observe.OK, nil
	case <-ctx.Done():
		err = withCause(ctx, ErrBufferFull)
	case <-p.closing:
		err = ErrProducerClosed
	}
	p.forget(one)
	return observe.Rejected, err
}

func withCause(ctx context.Context, err error) error {
	if errors.Is(err, ErrBufferFull) {
		return fmt.Errorf("%w: %w", err, context.Cause(ctx))
	}
	return err
}

// outcomeOf does not blame the broker for a caller that left.
func outcomeOf(ctx context.Context, err error) observe.Outcome {
	if ctx.Err() != nil {
		return observe.OutcomeOf(ctx.Err())
	}
	return observe.OutcomeOf(err)
}

// enter tells whether the RawProducer is open, and has Close wait for the caller.
func (p *RawProducer) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.handing.Add(1)
	return true
}

// prepare copies all that the caller may change afterwards, and sets the trace.
func (p *RawProducer) prepare(ctx context.Context, one *Pending, m Message) *sarama.ProducerMessage {
	headers := InjectTrace(ctx, p.propagator, m.Headers)
	m.Headers = make(Headers, len(headers))
	wire := make([]sarama.RecordHeader, len(headers))
	for i, h := range headers {
		m.Headers[i] = Header{h.Key, bytes.Clone(h.Value)}
		wire[i] = sarama.RecordHeader{Key: []byte(h.Key), Value: m.Headers[i].Value}
	}
	m.Key, m.Value, m.Time = bytes.Clone(m.Key), bytes.Clone(m.Value), m.now()
	msg := &sarama.ProducerMessage{Topic: m.Topic, Headers: wire, Metadata: one, Offset: -1, Timestamp: m.Time}
	if m.Key != nil {
		msg.Key = sarama.ByteEncoder(m.Key)
	}
	if m.Value != nil {
		msg.Value = sarama.ByteEncoder(m.Value)
	}
	one.message, one.size = m, msg.ByteSize(recordVersion)
	return msg
}

// recordVersion is that of record batches, with headers, in [sarama.ProducerMessage.ByteSize].
const recordVersion = 2

func (p *RawProducer) register(one *Pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	one.number = p.count
	p.pending[one] = struct{}{}
}

// forget takes one back that the connection never got; it tells whether one was still
// waiting to settle.
func (p *RawProducer) forget(one *Pending) bool {
	p.mu.Lock()
	_, waiting := p.pending[one]
	delete(p.pending, one)
	p.mu.Unlock()
	if waiting {
		p.room.leave(one.size)
	}
	return waiting
}

// settle settles one, and tells whether it was the first to: the message is the
// caller's then, and whoever keeps one does not keep its bytes.
func (p *RawProducer) settle(one *Pending, receipt Receipt, err error, outcome observe.Outcome) (Message, bool) {
	if !p.forget(one) {
		return Message{}, false
	}
	message := one.message
	one.message = Message{}
	one.settle(receipt, err, outcome)
	return message, true
}

func (p *RawProducer) succeeded(msg *sarama.ProducerMessage) {
	one := msg.Metadata.(*Pending)
	p.settle(one, Receipt{Topic: msg.Topic, Partition: msg.Partition, Offset: msg.Offset}, nil, observe.OK)
}

func (p *RawProducer) failed(msg *sarama.ProducerMessage, err error) {
	one := msg.Metadata.(*Pending)
	p.settle(one, Receipt{}, fmt.Errorf("saramax: produce to %q: %w", msg.Topic, judge(err)), observe.Failed)
}

// judge marks the errors after which a record may be written nevertheless, which is
// all that do not come from before the sending or from a broker that looked at it.
func judge(err error) error {
	switch {
	case errors.Is(err, sarama.ErrMessageSizeTooLarge):
		return Permanent(fmt.Errorf("%w: %w", ErrTooLarge, err))
	case errors.Is(err, ErrNoPartition), errors.Is(err, sarama.ErrInvalidPartition), errors.Is(err, sarama.ErrInvalidTopic):
		return Permanent(err)
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return err
	default:
		return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	}
}

// tooLargeError is also the broker's, which code that knows sarama looks for.
func tooLargeError(size, most int) error {
	return Permanent(fmt.Errorf("%w: %d bytes with its headers, at most %d: %w", ErrTooLarge, size, most, sarama.ErrMessageSizeTooLarge))
}
