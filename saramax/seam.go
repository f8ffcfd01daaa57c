package saramax

import (
	"context"
	"time"

	"github.com/IBM/sarama"
)

// Reason tells why a record was put aside instead of being worked off. The set is
// closed, so that it serves as a label.
type Reason uint8

// The reasons.
const (
	// ReasonPermanent: the handler's verdict was [DeadLetter].
	ReasonPermanent Reason = iota
	// ReasonUndecodable: the codec could not read the record.
	ReasonUndecodable
	// ReasonAttempts: the last allowed attempt failed.
	ReasonAttempts
	// ReasonPanic: the last allowed attempt panicked, or ended its goroutine.
	ReasonPanic
	// ReasonStuck: the handler did not return, and the policy is [StuckPark].
	ReasonStuck
	// ReasonBlocked: an earlier record with its key waits elsewhere; it was not
	// handled at all.
	ReasonBlocked

	reasons
)

var reasonNames = [reasons]string{"permanent", "undecodable", "attempts", "panic", "stuck", "blocked"}

// String returns the reason's label value, "unknown" for a value out of range.
func (r Reason) String() string {
	if r >= reasons {
		return "unknown"
	}
	return reasonNames[r]
}

// Rejected is a record that a consumer does not work off, on its way to a [Parker].
type Rejected struct {
	// Message is the record as it was fetched. It must not be changed.
	Message *sarama.ConsumerMessage
	// Group is the consumer group that rejects it.
	Group string
	// Reason is why.
	Reason Reason
	// Cause is the handler's or the codec's error; a [*PanicError] for a panic.
	Cause error
	// Attempts counts the handler's calls with the record, those before it came into
	// a retry topic included.
	Attempts int
}

// Parker puts rejected records where they are safe: a dead-letter topic, a topic for
// a later attempt, a table. Without one a consumer goes on trying and holds the
// partition, since it never drops a record on its own.
type Parker interface {
	// Park returns nil only once the record is safe: for a topic that is when all
	// replicas have acknowledged it. The consumer completes the offset after that,
	// and not before. On an error it holds the partition and calls Park again, after
	// a backoff and with the same record: a record may thus be parked more than once,
	// under the same topic, partition and offset. ctx ends when the partition is given
	// up. Park must be safe for concurrent use.
	Park(ctx context.Context, r Rejected) error
}

// ParkerFunc makes a [Parker] of a function.
type ParkerFunc func(ctx context.Context, r Rejected) error

// Park calls f.
func (f ParkerFunc) Park(ctx context.Context, r Rejected) error { return f(ctx, r) }

// seams are where other parts of the package take part in consuming. Each may be nil.
// They are called from the goroutines of many partitions at once, without any lock
// held unless it says so, and must not keep the caller waiting.
type seams struct {
	parker Parker
	// due tells when a record may be handled; the zero time is at once. Records of one
	// partition must come due in their order: the engine looks at the first only, and
	// pauses the partition until then. Called with the claim's lock held.
	due func(*sarama.ConsumerMessage) time.Time
	// earlier tells how many attempts a record had before it came into this topic.
	earlier func(*sarama.ConsumerMessage) int
	// redirect tells that a record must be parked unhandled, as [ReasonBlocked].
	redirect func(*sarama.ConsumerMessage) bool
	budget   budget
	// bind is called once with the finished handler, and the consumer's topics, none for
	// a handler of somebody's own loop. It may wrap the handler's work, and returns what
	// the consumer subscribes to beside its own topics.
	bind func(h *GroupHandler, topics []string) ([]string, error)
	// starts run in order at the start of each [Consumer.Run], before the group is
	// joined; an error ends Run. ends run in reverse when it has left the group, on a
	// context with a timeout of its own.
	starts []func(ctx context.Context, group string, client sarama.Client) error
	ends   []func(ctx context.Context) error
}

// budget bounds how much of a partition may be rejected before its intake stops.
type budget interface {
	// admit tells how many records of the partition may be begun now: beside those
	// under way when it is open, one as a probe when it is half-open and no probe is
	// under way. At 0 the partition pauses with [PauseBudget] and admit is called again
	// after the wait, or after the next settle, whichever is first. Called with the
	// claim's lock held.
	admit(topic string, partition int32) (most int, wait time.Duration)
	// settle tells how a record that was begun ended: rejected and parked, or not. A
	// record whose partition was given up is settled too, as given up.
	settle(topic string, partition int32, end settlement)
}

// settlement is how a record that was begun left the engine.
type settlement uint8

const (
	settledDone settlement = iota
	settledRejected
	settledGivenUp
)
