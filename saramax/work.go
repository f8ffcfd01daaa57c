package saramax

import "context"

// Work is what is done with records: made by [Each], [Batch] or [Bulk], given to
// [NewConsumer] or [NewGroupHandler].
type Work interface {
	// batched tells whether run takes more than one record.
	batched() bool
	// run handles items, never none, and writes a verdict for each into verdicts. An
	// error instead tells that nothing is known of any of them.
	run(ctx context.Context, items []*item, verdicts []Verdict) error
	check() error
}

// WorkOption configures [Each], [Batch] and [Bulk].
type WorkOption[T any] interface{ applyTo(*workSettings[T]) }

type workOptionFunc[T any] func(*workSettings[T])

func (f workOptionFunc[T]) applyTo(s *workSettings[T]) { f(s) }

type workSettings[T any] struct{ codec Codec[T] }

// WithCodec sets the codec of the records' values; [JSON] without it.
func WithCodec[T any](codec Codec[T]) WorkOption[T] {
	return workOptionFunc[T](func(s *workSettings[T]) { s.codec = codec })
}

// Each handles one record at a time. [VerdictOf] reads what handle returns. ctx ends
// when the drain deadline of the partition is over, not when draining begins.
func Each[T any](handle func(ctx context.Context, rec Record[T]) error, opts ...WorkOption[T]) Work {
	return eachWork[T]{codec: codecOf(opts), handle: handle}
}

// Batch handles records of one partition together: as many as there are, up to the
// size set by [WithBatch], once that many are there or the first of them has waited
// long enough. A batch is never empty, and with [OrderPartition] the next one starts
// when this one has ended.
//
// handle returns one verdict for each record, in their order; nil means that all are
// done. A panic says nothing of any record: the batch is handled again and, if that
// does not help, in halves, until the record that brings it down stands alone.
func Batch[T any](handle func(ctx context.Context, batch []Record[T]) []Verdict, opts ...WorkOption[T]) Work {
	if handle == nil {
		return batchWork[T]{}
	}
	return batchWork[T]{codec: codecOf(opts), handle: func(ctx context.Context, batch []Record[T]) ([]Verdict, error) {
		return handle(ctx, batch), nil
	}}
}

// Bulk is [Batch] for handlers that succeed or fail as a whole, such as one
// statement for many rows. nil means that all records are done. After an error the
// batch is handled again and, if that does not help, in halves, until the record at
// fault stands alone; so the handler must leave nothing behind when it fails.
func Bulk[T any](handle func(ctx context.Context, batch []Record[T]) error, opts ...WorkOption[T]) Work {
	if handle == nil {
		return batchWork[T]{}
	}
	return batchWork[T]{codec: codecOf(opts), handle: func(ctx context.Context, batch []Record[T]) ([]Verdict, error) {
		return nil, handle(ctx, batch)
	}}
}

func codecOf[T any](opts []WorkOption[T]) Codec[T] {
	s := workSettings[T]{codec: JSON[T]()}
	for _, opt := range opts {
		if opt != nil {
			opt.applyTo(&s)
		}
	}
	return s.codec
}
