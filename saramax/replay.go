package saramax

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// ReplayConfig configures [NewReplayer].
type ReplayConfig struct {
	// From is the dead-letter topic. It must be set.
	From string
	// To is the topic that gets the records back. It must be set. The retry topic of
	// the group that failed is the better choice where there is one: what goes into
	// the source topic is handled by every group that reads it.
	To string
	// PerSecond is how many records are replayed in a second, at most. It must be set:
	// the handlers get them on top of their ordinary load.
	PerSecond int
	// Limit is how many records are replayed, at most; 0 for all.
	Limit int
	// Start is the offset from which to read each partition; from the oldest record
	// where there is none. [ReplayReport.Next] of the last run goes here.
	Start map[int32]int64
	// Window is how long the handlers remember what they have done. Records that first
	// failed longer ago are counted in [ReplayReport.Old], since a handler may not
	// recognise them. 0 says that handlers never forget, as with a unique index.
	Window time.Duration
}

func (c ReplayConfig) validate() error {
	var errs []error
	if c.From == "" || c.To == "" || c.From == c.To {
		errs = append(errs, fmt.Errorf("saramax: ReplayConfig.From %q and To %q must be two topics", c.From, c.To))
	}
	if c.PerSecond < 1 {
		errs = append(errs, fmt.Errorf("saramax: ReplayConfig.PerSecond is %d, and must be at least 1", c.PerSecond))
	}
	if c.Limit < 0 {
		errs = append(errs, fmt.Errorf("saramax: ReplayConfig.Limit is %d, and must not be negative", c.Limit))
	}
	if c.Window < 0 {
		errs = append(errs, fmt.Errorf("saramax: ReplayConfig.Window is %v, and must not be negative", c.Window))
	}
	return errors.Join(errs...)
}

// ReplayFilter tells whether a dead record is replayed.
type ReplayFilter func(Failure) bool

// FailedFor keeps the records that were put aside for one of reasons.
func FailedFor(reasons ...Reason) ReplayFilter {
	return func(f Failure) bool { return slices.Contains(reasons, f.Reason) }
}

// FailedBetween keeps the records that last failed from since on and before until. A
// zero time is no bound.
func FailedBetween(since, until time.Time) ReplayFilter {
	return func(f Failure) bool {
		return !f.Last.Before(since) && (until.IsZero() || f.Last.Before(until))
	}
}

// ReplayOption configures [NewReplayer].
type ReplayOption interface{ applyReplay(*Replayer) }

type replayOption func(*Replayer)

func (f replayOption) applyReplay(r *Replayer) { f(r) }

// WithReplayFilter replays only what filter keeps; with several, what all of them keep.
func WithReplayFilter(filter ReplayFilter) ReplayOption {
	return replayOption(func(r *Replayer) { r.filters = append(r.filters, filter) })
}

// Replayer brings records back from a dead-letter topic. They stay there as well: a
// dead-letter topic is a log. A replayed record has its key, value and headers, no
// count of attempts, and the identity that [OriginOf] reads, so that a handler which is
// idempotent by it, or by an event id of the producer, recognises what it did already.
//
// Each partition is read in order up to the end that it has when the run begins. A
// Replayer may be used again, but not by two goroutines at a time.
type Replayer struct {
	client    sarama.Client
	publisher Publisher
	cfg       ReplayConfig
	filters   []ReplayFilter
}

// NewReplayer returns a Replayer that reads through client and publishes through
// publisher. It connects to nothing and owns neither.
func NewReplayer(client sarama.Client, publisher Publisher, cfg ReplayConfig, opts ...ReplayOption) (*Replayer, error) {
	errs := []error{cfg.validate()}
	if client == nil || publisher == nil {
		errs = append(errs, errors.New("saramax: NewReplayer needs a client and a publisher"))
	}
	r := &Replayer{client: client, publisher: publisher, cfg: cfg}
	r.cfg.Start = maps.Clone(cfg.Start)
	for _, o := range opts {
		o.applyReplay(r)
	}
	if slices.ContainsFunc(r.filters, func(f ReplayFilter) bool { return f == nil }) {
		errs = append(errs, errors.New("saramax: WithReplayFilter needs a filter"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

// ReplayReport tells what a run did, or a preview would do.
type ReplayReport struct {
	// Read counts the records that were read, and Kept those that were replayed.
	Read, Kept int
	// Foreign counts the records that no handler of this package put there. They have
	// no identity and are never replayed.
	Foreign int
	// Old counts those of Kept that first failed before [ReplayConfig.Window]: handlers
	// may do again what they did once. Oldest is when the first of all failed.
	Old    int
	Oldest time.Time
	// ByReason counts the records of Kept.
	ByReason map[Reason]int
	// Next is the offset in each partition with which to go on.
	Next map[int32]int64
}

// Run replays, and returns what it did until then also with an error: with
// [ReplayReport.Next] as Start another run goes on behind it. A record whose
// publication failed without a clear answer may be there twice then.
func (r *Replayer) Run(ctx context.Context) (ReplayReport, error) {
	// A leaky bucket: records leave at an even pace rather than in bursts.
	pace, err := ratelimit.NewLeakyBucket(ratelimit.PerSecond(int64(r.cfg.PerSecond)), ratelimit.WithMaxWait(time.Hour))
	if err != nil {
		return ReplayReport{}, fmt.Errorf("saramax: replay: %w", err)
	}
	return r.each(ctx, func(msg *sarama.ConsumerMessage) error {
		if d, err := pace.Wait(ctx, r.cfg.To, 1); err != nil {
			return err
		} else if !d.Allowed { // ctx's deadline comes before the record's turn
			return context.DeadlineExceeded
		}
		_, _, err := r.publisher.SendMessage(replayed(r.cfg.To, msg, time.Now()))
		return err
	})
}

// Preview reads what Run would replay, and publishes nothing.
func (r *Replayer) Preview(ctx context.Context) (ReplayReport, error) {
	return r.each(ctx, func(*sarama.ConsumerMessage) error { return nil })
}

// replayed is a dead record as it goes back: what identifies it stays, and what counts
// its failures begins anew.
func replayed(topic string, msg *sarama.ConsumerMessage, now time.Time) *sarama.ProducerMessage {
	out := assemble(topic, msg, headersOf(msg.Headers), now)
	for _, key := range []string{HeaderReason, HeaderError, HeaderAttempts, HeaderFirstFailure, HeaderFailed} {
		for dropHeader(out, key) {
		}
	}
	return out
}

func (r *Replayer) each(ctx context.Context, handle func(*sarama.ConsumerMessage) error) (ReplayReport, error) {
	report := ReplayReport{ByReason: map[Reason]int{}, Next: map[int32]int64{}}
	maps.Copy(report.Next, r.cfg.Start)
	partitions, err := r.client.Partitions(r.cfg.From)
	if err != nil {
		return report, fmt.Errorf("saramax: replay from %s: %w", r.cfg.From, err)
	}
	consumer, err := sarama.NewConsumerFromClient(r.client)
	if err != nil {
		return report, fmt.Errorf("saramax: replay from %s: %w", r.cfg.From, err)
	}
	defer func() { _ = consumer.Close() }()
	for _, p := range partitions {
		if err := r.partition(ctx, consumer, p, &report, handle); err != nil {
			return report, fmt.Errorf("saramax: replay from %s, partition %d: %w", r.cfg.From, p, err)
		}
	}
	return report, nil
}

func (r *Replayer) partition(
	ctx context.Context, consumer sarama.Consumer, partition int32, report *ReplayReport,
	handle func(*sarama.ConsumerMessage) error,
) error {
	start, end, err := r.bounds(partition)
	if err != nil || start >= end {
		return err
	}
	messages, err := consumer.ConsumePartition(r.cfg.From, partition, start)
	if err != nil {
		return err
	}
	defer func() { _ = messages.Close() }()
	for next := start; next < end; {
		if r.cfg.Limit > 0 && report.Kept >= r.cfg.Limit {
			return nil
		}
		msg, err := await(ctx, messages)
		if err != nil {
			return fmt.Errorf("at offset %d, before the end at %d: %w", next, end, err)
		}
		if msg.Offset >= end {
			return nil // it came after the run had begun
		}
		if err := r.one(msg, report, handle); err != nil {
			return fmt.Errorf("offset %d: %w", msg.Offset, err)
		}
		next = msg.Offset + 1
		report.Next[partition] = next
	}
	return nil
}

func (r *Replayer) one(msg *sarama.ConsumerMessage, report *ReplayReport, handle func(*sarama.ConsumerMessage) error) error {
	f, ok := FailureIn(headersOf(msg.Headers))
	kept := ok
	for _, filter := range r.filters {
		kept = kept && filter(f)
	}
	if kept {
		if err := handle(msg); err != nil {
			return err
		}
		r.count(f, report)
	}
	if !ok {
		report.Foreign++
	}
	report.Read++
	return nil
}

func (r *Replayer) count(f Failure, report *ReplayReport) {
	report.Kept++
	report.ByReason[f.Reason]++
	if r.cfg.Window > 0 && time.Since(f.First) > r.cfg.Window {
		report.Old++
	}
	if report.Oldest.IsZero() || f.First.Before(report.Oldest) {
		report.Oldest = f.First
	}
}

// bounds are the first offset to read and the one at which to end.
func (r *Replayer) bounds(partition int32) (start, end int64, err error) {
	oldest, err := r.client.GetOffset(r.cfg.From, partition, sarama.OffsetOldest)
	if err != nil {
		return 0, 0, err
	}
	end, err = r.client.GetOffset(r.cfg.From, partition, sarama.OffsetNewest)
	if err != nil {
		return 0, 0, err
	}
	// Retention may have overtaken the place where the last run ended.
	return max(r.cfg.Start[partition], oldest), end, nil
}

// replayPatience is how long a record may take to come that must be there.
const replayPatience = 30 * time.Second

// errNoRecord also comes up where the end of a partition holds no records but the
// markers of transactions.
var errNoRecord = fmt.Errorf("no record came for %v", replayPatience)

func await(ctx context.Context, messages sarama.PartitionConsumer) (*sarama.ConsumerMessage, error) {
	patience := time.NewTimer(replayPatience)
	defer patience.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-patience.C:
		return nil, errNoRecord
	case err := <-messages.Errors():
		return nil, err
	case msg, ok := <-messages.Messages():
		if !ok {
			return nil, sarama.ErrClosedClient
		}
		return msg, nil
	}
}
