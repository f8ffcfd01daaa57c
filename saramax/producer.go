package saramax

import (
	"context"
	"errors"
	"fmt"
)

// Producer produces values of one type to one topic, by way of a [RawProducer] that it
// may share with others. Make one with [NewProducer]; it is safe for concurrent use,
// and holds nothing to close: closing the RawProducer ends it.
type Producer[T any] struct {
	raw   *RawProducer
	topic string
	codec Codec[T]
}

// NewProducer returns a Producer of values to topic. It makes no connection; an error
// names what is missing.
func NewProducer[T any](raw *RawProducer, topic string, codec Codec[T]) (*Producer[T], error) {
	var errs []error
	if raw == nil {
		errs = append(errs, errors.New("saramax: RawProducer is nil"))
	}
	if topic == "" {
		errs = append(errs, errors.New("saramax: topic is empty"))
	}
	if codec == nil {
		errs = append(errs, errors.New("saramax: Codec is nil"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Producer[T]{raw, topic, codec}, nil
}

// Topic returns where the values go.
func (p *Producer[T]) Topic() string { return p.topic }

// Send produces value and returns when it is confirmed, as the RawProducer's [Acks] say,
// or has failed; see [RawProducer.Publish] for its errors. Records of one key keep the
// order of their Sends. A nil key is no key. A value that can't be encoded fails with
// a [Permanent] error.
func (p *Producer[T]) Send(ctx context.Context, key []byte, value T, headers ...Header) (Receipt, error) {
	return wait(ctx)(p.enqueue(ctx, anyPartition, key, value, headers))
}

// SendTo is [Producer.Send] to a partition of the caller's choice, which goes before
// that of the partitioner.
func (p *Producer[T]) SendTo(ctx context.Context, partition int32, key []byte, value T, headers ...Header) (Receipt, error) {
	return wait(ctx)(p.enqueue(ctx, partition, key, value, headers))
}

// Enqueue hands value over to be produced and returns what tells how that ended, once.
// It waits while the RawProducer is full, at most until ctx ends; an error means that
// the value was not, and will not be, produced. Once it has returned, value, key and
// headers are the caller's again, and the end of ctx changes nothing. See
// [RawProducer.Enqueue].
func (p *Producer[T]) Enqueue(ctx context.Context, key []byte, value T, headers ...Header) (*Pending, error) {
	return p.enqueue(ctx, anyPartition, key, value, headers)
}

// EnqueueTo is [Producer.Enqueue] to a partition of the caller's choice.
func (p *Producer[T]) EnqueueTo(ctx context.Context, partition int32, key []byte, value T, headers ...Header) (*Pending, error) {
	return p.enqueue(ctx, partition, key, value, headers)
}

func (p *Producer[T]) enqueue(ctx context.Context, partition int32, key []byte, value T, headers Headers) (*Pending, error) {
	data, err := p.codec.Encode(value)
	if err != nil {
		return nil, Permanent(fmt.Errorf("saramax: produce to %q: %w", p.topic, err))
	}
	m := Message{Topic: p.topic, Key: key, Value: data, Headers: headers}
	return p.raw.enqueue(ctx, m, partition)
}

// wait finishes what an enqueue has begun.
func wait(ctx context.Context) func(*Pending, error) (Receipt, error) {
	return func(pending *Pending, err error) (Receipt, error) {
		if err != nil {
			return Receipt{}, err
		}
		return pending.Wait(ctx)
	}
}
