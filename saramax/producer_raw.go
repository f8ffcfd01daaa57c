package saramax

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/observe"
)

// RawProducer produces records, as bytes, to any topic, over a connection of its own. It
// is what [Producer]s share, and what dead letters, retry topics and an outbox need:
// a record is either confirmed or known not to be.
//
// It connects when it is first used, and tries again with the next record where that
// fails. Records of one key that are handed over one after the other stay in order.
// Make one with [NewRawProducer] and end it with [RawProducer.Close]; it is safe for
// concurrent use.
type RawProducer struct {
	addrs      []string
	config     *sarama.Config
	acks       Acks
	observer   observe.Observer
	propagator Propagator
	room       room
	wires      *wires

	closing chan struct{} // closed by Close: take nothing more
	handing sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	link    *link // the connection, nil before the first use and after a failed one
	pending map[*Pending]struct{}
	count   uint64

	ending sync.Mutex // held by the one Close that works
	rest   *UnconfirmedError
	ended  bool
}

// ProducerOption configures [NewRawProducer].
type ProducerOption interface{ applyProducer(*producerOptions) }

type producerOptions struct {
	acks        Acks
	records     int
	bytes       int
	partitioner sarama.PartitionerConstructor
	observer    observe.Observer
	propagator  Propagator
}

type producerOption func(*producerOptions)

func (f producerOption) applyProducer(o *producerOptions) { f(o) }

// WithAcks names when a record counts as produced. Without it that is [AllReplicas];
// the weaker ones override what the configuration says.
func WithAcks(acks Acks) ProducerOption {
	return producerOption(func(o *producerOptions) { o.acks = acks })
}

// WithUnconfirmed bounds how much may be on its way at a time: records, 10 000 by
// default, and their bytes, 64 MiB by default. Beyond either, whoever hands over more
// waits.
func WithUnconfirmed(records, bytes int) ProducerOption {
	return producerOption(func(o *producerOptions) { o.records, o.bytes = records, bytes })
}

// WithPartitioner chooses the partition of each record: [Murmur2], [Hash],
// [ConsistentCRC], [Random], [RoundRobin], [Manual] or one of the caller's. Without it
// the configuration's decides, which is Murmur2 in that of [NewConfig].
func WithPartitioner(p sarama.PartitionerConstructor) ProducerOption {
	return producerOption(func(o *producerOptions) { o.partitioner = p })
}

// WithProducerObserver reports each record to o, as an operation "saramax/produce"
// labelled by topic that lasts until the record has settled.
func WithProducerObserver(o observe.Observer) ProducerOption {
	return producerOption(func(to *producerOptions) { to.observer = o })
}

// WithProducerTrace sets the trace of the operation in the headers of each record.
func WithProducerTrace(p Propagator) ProducerOption {
	return producerOption(func(o *producerOptions) { o.propagator = p })
}

// NewRawProducer returns a RawProducer to the cluster behind addrs. It neither connects
// nor starts anything. It takes a copy of cfg and fails, naming all that is wrong, when
// that is weaker than the durability asked for or contradicts itself; see
// [CheckProducer]. [NewConfig] returns a cfg that passes.
//
// The copy waits for answers no longer than five seconds beyond Producer.Timeout: what
// a member of a group needs would only hide a dead broker from a producer.
func NewRawProducer(addrs []string, cfg *sarama.Config, opts ...ProducerOption) (*RawProducer, error) {
	o := producerOptions{records: 10_000, bytes: 64 << 20}
	for _, opt := range opts {
		opt.applyProducer(&o)
	}
	config, err := o.config(addrs, cfg)
	if err != nil {
		return nil, err
	}
	return &RawProducer{
		addrs:      slices.Clone(addrs),
		config:     config,
		acks:       o.acks,
		observer:   observe.OrNop(o.observer),
		propagator: o.propagator,
		room:       room{maxRecords: o.records, maxBytes: o.bytes},
		wires:      wireUp(config),
		closing:    make(chan struct{}),
		pending:    make(map[*Pending]struct{}),
	}, nil
}

// config checks everything and returns the configuration to use.
func (o *producerOptions) config(addrs []string, cfg *sarama.Config) (*sarama.Config, error) {
	var errs []error
	if len(addrs) == 0 {
		errs = append(errs, errors.New("saramax: no broker addresses"))
	}
	if err := o.acks.check(); err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	if cfg == nil {
		return nil, errors.Join(append(errs, CheckProducer(nil, o.acks))...)
	}
	copied := *cfg
	o.acks.weaken(&copied)
	if o.partitioner != nil {
		copied.Producer.Partitioner = o.partitioner
	}
	errs = append(errs, CheckProducer(&copied, o.acks), copied.Validate())
	if o.records < 1 {
		errs = append(errs, fmt.Errorf("saramax: WithUnconfirmed: %d records is below 1", o.records))
	}
	if o.bytes < copied.Producer.MaxMessageBytes {
		errs = append(errs, fmt.Errorf("saramax: WithUnconfirmed: %d bytes are fewer than one record may have, Producer.MaxMessageBytes %d", o.bytes, copied.Producer.MaxMessageBytes))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	copied.Producer.Partitioner = pin(copied.Producer.Partitioner)
	copied.Net.ReadTimeout = min(copied.Net.ReadTimeout, copied.Producer.Timeout+joinMargin)
	return &copied, nil
}

// Publish produces m and returns when it is confirmed or has failed. Errors wrap
// [ErrUnconfirmed] when m may be written nevertheless, as when ctx ends meanwhile: that
// is no failure of the broker. All others mean that it is not and will not be, among
// them [ErrTooLarge], [ErrBufferFull] and [ErrProducerClosed].
func (p *RawProducer) Publish(ctx context.Context, m Message) (Receipt, error) {
	return wait(ctx)(p.enqueue(ctx, m, anyPartition))
}

// PublishTo is [RawProducer.Publish] to a partition of the caller's choice.
func (p *RawProducer) PublishTo(ctx context.Context, partition int32, m Message) (Receipt, error) {
	return wait(ctx)(p.enqueue(ctx, m, partition))
}

// PublishAll produces all messages, in their order and without waiting in between, and
// returns when each is confirmed or has failed: errs[i] is that of messages[i], with
// the meaning that it has for Publish, and nil where it is confirmed. A failure ends
// none of the others.
func (p *RawProducer) PublishAll(ctx context.Context, messages []Message) (errs []error) {
	errs = make([]error, len(messages))
	pending := make([]*Pending, len(messages))
	for i, m := range messages {
		pending[i], errs[i] = p.enqueue(ctx, m, anyPartition)
	}
	for i, one := range pending {
		if one != nil {
			_, errs[i] = one.Wait(ctx)
		}
	}
	return errs
}

// Enqueue hands m over to be produced and returns what tells how that ended, once. It
// waits while too much is unconfirmed, or the connection is being made, at most until
// ctx ends; an error means that m was not, and will not be, produced. Once it has
// returned, what m holds is the caller's again, and the end of ctx changes nothing.
func (p *RawProducer) Enqueue(ctx context.Context, m Message) (*Pending, error) {
	return p.enqueue(ctx, m, anyPartition)
}

// Flush returns when all that was handed over before it has settled, with success or
// without, or with the cause of ctx's end.
func (p *RawProducer) Flush(ctx context.Context) error {
	for _, one := range p.outstanding() {
		select {
		case <-one.settled:
		case <-ctx.Done():
			return fmt.Errorf("saramax: flush: %w", context.Cause(ctx))
		}
	}
	return nil
}

// outstanding lists what has not settled, the oldest first.
func (p *RawProducer) outstanding() []*Pending {
	p.mu.Lock()
	all := make([]*Pending, 0, len(p.pending))
	for one := range p.pending {
		all = append(all, one)
	}
	p.mu.Unlock()
	slices.SortFunc(all, func(a, b *Pending) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	return all
}

// Close takes no more records, waits until those on their way have settled, and ends
// the connection. When ctx ends before, the connection is cut, the others settle with
// [ErrUnconfirmed], and Close returns an [UnconfirmedError] that lists them. Later calls
// wait for the first and return the same.
func (p *RawProducer) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.closing)
	}
	p.mu.Unlock()
	p.ending.Lock()
	defer p.ending.Unlock()
	if !p.ended {
		p.ended = true
		p.finish(ctx)
	}
	if p.rest == nil {
		return nil
	}
	return p.rest
}

func (p *RawProducer) finish(ctx context.Context) {
	p.handing.Wait() // they leave at once, by closing
	if err := p.Flush(ctx); err != nil {
		p.rest = p.abandon(context.Cause(ctx))
	}
	p.mu.Lock()
	l := p.link
	p.mu.Unlock()
	if l != nil {
		go l.shut()
		select {
		case <-l.over:
		case <-ctx.Done():
		}
	}
	p.wires.cut()
}

// abandon settles what is left; it may have settled by itself meanwhile.
func (p *RawProducer) abandon(cause error) *UnconfirmedError {
	var rest []Message
	for _, one := range p.outstanding() {
		err := fmt.Errorf("saramax: produce to %q: %w: the producer closed: %w", one.topic, ErrUnconfirmed, cause)
		if m, first := p.settle(one, Receipt{}, err, observe.Canceled); first {
			rest = append(rest, m)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return &UnconfirmedError{Messages: rest, cause: cause}
}

// now is the time of a message that names none; the broker would not learn when it was
// handed over, only when it was batched.
func (m *Message) now() time.Time {
	if m.Time.IsZero() {
		return time.Now()
	}
	return m.Time
}
