package saramax

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// Message is a record to be produced, as bytes. A nil Key is none, and a nil Value is
// a record without one, which a compacted topic reads as a deletion.
type Message struct {
	Topic   string
	Key     []byte
	Value   []byte
	Headers Headers
	// Time is the record's timestamp; zero is the time of sending.
	Time time.Time
}

// Receipt says where a produced record lies.
type Receipt struct {
	Topic     string
	Partition int32
	// Offset is -1 where the broker does not tell: with [AtMostOnce], and where a retry
	// found the record written already.
	Offset int64
}

// The errors of producing. What wraps none of [ErrUnconfirmed] is definite: the record
// is not written, and will not be.
var (
	// ErrUnconfirmed: the record may or may not be written, now or later. It goes with
	// the reason: the end of the caller's context, or the broker's failure.
	ErrUnconfirmed = errors.New("saramax: not confirmed")
	// ErrTooLarge: the record is larger than Producer.MaxMessageBytes. It is [Permanent].
	ErrTooLarge = errors.New("saramax: record too large")
	// ErrBufferFull: the caller's context ended while unconfirmed records took all room.
	ErrBufferFull = errors.New("saramax: too many unconfirmed records")
	// ErrProducerClosed: the RawProducer has been closed.
	ErrProducerClosed = errors.New("saramax: producer closed")
)

// UnconfirmedError is what [RawProducer.Close] returns when its context ends before all
// records are settled. It wraps [ErrUnconfirmed] and the context's cause.
type UnconfirmedError struct {
	// Messages are the records that were not confirmed, in the order in which they
	// were handed over: whoever keeps them may produce them again, and some twice.
	Messages []Message
	cause    error
}

// Error implements error; it names no record, as keys may be personal.
func (e *UnconfirmedError) Error() string {
	return fmt.Sprintf("%v: %d records when the producer closed: %v", ErrUnconfirmed, len(e.Messages), e.cause)
}

// Unwrap returns [ErrUnconfirmed] and what ended the wait.
func (e *UnconfirmedError) Unwrap() []error { return []error{ErrUnconfirmed, e.cause} }

// Pending is a record on its way. It settles once: with a receipt or an error.
type Pending struct {
	topic     string
	message   Message // until it has settled
	partition int32   // the caller's choice, or anyPartition
	size      int
	number    uint64 // in the order of hand-over
	end       observe.End

	settled chan struct{}
	// Those below are written before settled closes, and only read after.
	receipt Receipt
	err     error
}

// Settled returns a channel that closes when the record has settled.
func (p *Pending) Settled() <-chan struct{} { return p.settled }

// Wait returns how the record settled. When ctx ends first it returns an error that
// wraps [ErrUnconfirmed] and ctx's cause: the record is still on its way, and Wait may
// be called again. It is safe for concurrent use.
func (p *Pending) Wait(ctx context.Context) (Receipt, error) {
	select {
	case <-p.settled:
		return p.receipt, p.err
	default:
	}
	select {
	case <-p.settled:
		return p.receipt, p.err
	case <-ctx.Done():
		return Receipt{}, fmt.Errorf("saramax: produce to %q: %w: %w", p.topic, ErrUnconfirmed, context.Cause(ctx))
	}
}

// settle tells everybody; its caller makes sure that it is called once.
func (p *Pending) settle(receipt Receipt, err error, outcome observe.Outcome) {
	p.receipt, p.err = receipt, err
	close(p.settled)
	p.end(observe.Result{Outcome: outcome, Err: err, Amount: int64(p.size)})
}
