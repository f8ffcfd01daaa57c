package saramax

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

var (
	errNoHandler = errors.New("handler is nil")
	errNoCodec   = errors.New("codec is nil")
)

// recordOf is what a handler sees of a record.
func recordOf[T any](it *item, value T) Record[T] {
	m := it.msg
	return Record[T]{
		Value: value, Key: m.Key, Headers: headersOf(m.Headers),
		Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Time: m.Timestamp,
		Attempt: it.calls,
	}
}

func headersOf(in []*sarama.RecordHeader) Headers {
	if len(in) == 0 {
		return nil
	}
	out := make(Headers, 0, len(in))
	for _, h := range in {
		if h != nil {
			out = append(out, Header{Key: string(h.Key), Value: h.Value})
		}
	}
	return out
}

type eachWork[T any] struct {
	codec  Codec[T]
	handle func(context.Context, Record[T]) error
}

func (w eachWork[T]) batched() bool { return false }

func (w eachWork[T]) check() error { return checkWork(w.handle == nil, w.codec) }

func checkWork[T any](none bool, codec Codec[T]) error {
	switch {
	case none:
		return errNoHandler
	case codec == nil:
		return errNoCodec
	}
	return nil
}

func (w eachWork[T]) run(ctx context.Context, items []*item, verdicts []Verdict) error {
	value, err := w.codec.Decode(items[0].msg.Value)
	if err != nil {
		verdicts[0] = DeadLetter(&DecodeError{err})
		return nil
	}
	verdicts[0] = VerdictOf(w.handle(ctx, recordOf(items[0], value)))
	return nil
}

type batchWork[T any] struct {
	codec  Codec[T]
	handle func(context.Context, []Record[T]) ([]Verdict, error)
}

func (w batchWork[T]) batched() bool { return true }

func (w batchWork[T]) check() error { return checkWork(w.handle == nil, w.codec) }

// run hands over those records that decode. The slice is the handler's to keep.
func (w batchWork[T]) run(ctx context.Context, items []*item, verdicts []Verdict) error {
	batch := make([]Record[T], 0, len(items))
	var places []int // of the batch's records among items; nil where all are in it
	for i, it := range items {
		value, err := w.codec.Decode(it.msg.Value)
		if err != nil {
			if places == nil {
				places = make([]int, i, len(items))
				for j := range places {
					places[j] = j
				}
			}
			verdicts[i] = DeadLetter(&DecodeError{err})
			continue
		}
		if places != nil {
			places = append(places, i)
		}
		batch = append(batch, recordOf(it, value))
	}
	if len(batch) == 0 {
		return nil
	}
	return w.hand(ctx, batch, places, verdicts)
}

func (w batchWork[T]) hand(ctx context.Context, batch []Record[T], places []int, verdicts []Verdict) error {
	given, err := w.handle(ctx, batch)
	n := len(batch) // the handler may have changed what is in it
	switch {
	case err != nil:
		return err
	case given != nil && len(given) != n:
		return fmt.Errorf("%w: %d for %d records", errVerdicts, len(given), n)
	}
	for i := range n {
		v := Done()
		if given != nil {
			v = given[i]
		}
		if places != nil {
			verdicts[places[i]] = v
		} else {
			verdicts[i] = v
		}
	}
	return nil
}
