package saramax

import (
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// Option configures [NewConsumer] and [NewGroupHandler].
type Option interface{ apply(*settings) }

type optionFunc func(*settings)

func (f optionFunc) apply(s *settings) { f(s) }

// settings are what options leave behind.
type settings struct {
	seams

	tuning    Tuning
	order     Order
	retry     RetryPolicy
	stuck     Stuck
	drain     time.Duration
	commit    time.Duration
	start     Start
	broadcast string
	broad     bool

	limiter  ratelimit.Limiter
	limitKey string

	observer observe.Observer
	log      logger.Logger
	onEvent  func(Event)
	rand     func() float64

	errs []error // what options themselves found wrong
}

// Order is which records of a partition may be handled at the same time.
type Order uint8

// The orders.
const (
	// OrderPartition handles a partition's records one after the other. It is the
	// default.
	OrderPartition Order = iota
	// OrderKey handles records with one key one after the other, and others beside
	// them. Records without a key are in no order.
	OrderKey
	// Unordered handles any records of a partition at the same time.
	Unordered
)

// Tuning is what can be changed while a consumer runs, see [Consumer.Retune]. The
// zero value of a field is its default.
type Tuning struct {
	// Concurrency is how many handlers may run for one partition at a time; 1 by
	// default, and always 1 with [OrderPartition].
	Concurrency int
	// Batch is the largest batch; 100 by default. Handlers of single records have no
	// use for it.
	Batch int
	// Linger is how long the first record of a batch waits for others; 0 takes what is
	// there.
	Linger time.Duration
	// Window bounds what is held in memory of each partition.
	Window Window
}

// Window bounds what a consumer holds of one partition. Where a bound is met the
// partition pauses, alone, until a half of it is free again; what is being fetched at
// that moment comes on top.
type Window struct {
	// Messages is how many records may wait for a handler; 4096 by default.
	Messages int
	// Bytes is how large the keys and values of all records held may be; 64 MiB by
	// default.
	Bytes int64
	// Gap is how many records may be held or done above the first that is not done;
	// 65536 by default. A record that fails for long must not hold back the commit of
	// any number of others.
	Gap int
	// Age is how long a record may hold back the commit while others go on; 0 is for
	// ever.
	Age time.Duration
	// PerKey is how many waiting records of one key count against Messages, so that a
	// hot key alone cannot pause the partition; a quarter of Messages by default. It
	// matters with [OrderKey].
	PerKey int
}

// RetryPolicy says how often and when a failed record is handled again, in place. The
// delay before attempt n+1 is drawn from [0, min(Max, Base·2ⁿ⁻¹)], but for a quarter
// of that which is always waited.
type RetryPolicy struct {
	// Attempts is how often a record is handled at most, the first time included; 4
	// by default. After the last the record is rejected.
	Attempts int
	// Base is the bound of the first delay; 100 ms by default.
	Base time.Duration
	// Max is the largest bound; 10 s by default.
	Max time.Duration
}

// Stuck says what happens to a handler that does not return.
type Stuck struct {
	// After is how long a handler may take; 1 minute by default.
	After time.Duration
	// Policy is what is done then.
	Policy StuckPolicy
	// Most is how many goroutines [StuckPark] may leave behind in the process of one
	// consumer before it does as [StuckLeave] does; 16 by default.
	Most int
}

// StuckPolicy is what a consumer does about a stuck handler.
type StuckPolicy uint8

// The policies.
const (
	// StuckReport tells of it, with [EventStuck], and goes on waiting.
	StuckReport StuckPolicy = iota
	// StuckPark parks the records, with [ReasonStuck], and goes on with the next. The
	// handler's context is cancelled, its goroutine is left behind, and what it returns
	// counts for nothing.
	StuckPark
	// StuckLeave ends [Consumer.Run] with [ErrStuck], so that another instance gets the
	// partition; whoever supervises the process restarts it.
	StuckLeave
)

// WithBatch sets the largest batch, and how long its first record waits for others.
func WithBatch(size int, linger time.Duration) Option {
	return optionFunc(func(s *settings) { s.tuning.Batch, s.tuning.Linger = size, linger })
}

// WithOrder sets what may be handled at the same time, and how many handlers may run
// for one partition at a time.
func WithOrder(order Order, concurrency int) Option {
	return optionFunc(func(s *settings) { s.order, s.tuning.Concurrency = order, concurrency })
}

// WithWindow bounds what is held in memory of each partition.
func WithWindow(w Window) Option { return optionFunc(func(s *settings) { s.tuning.Window = w }) }

// WithRetry sets how failed records are handled again.
func WithRetry(r RetryPolicy) Option { return optionFunc(func(s *settings) { s.retry = r }) }

// WithParker sets where rejected records go. Without a place for them the consumer
// holds the partition and goes on trying.
func WithParker(p Parker) Option { return optionFunc(func(s *settings) { s.parker = p }) }

// WithStuck sets what happens to handlers that do not return.
func WithStuck(stuck Stuck) Option { return optionFunc(func(s *settings) { s.stuck = stuck }) }

// WithDrain sets how long handlers that run when a partition is given up, or the
// consumer stops, may take to end: at most 0.8 times the group's rebalance timeout,
// beyond which the broker gives the partition away, and three quarters of that by
// default.
func WithDrain(d time.Duration) Option { return optionFunc(func(s *settings) { s.drain = d }) }

// WithCommitEvery sets how often offsets are committed; every second by default. They
// are committed once more whenever a partition is given up.
func WithCommitEvery(d time.Duration) Option { return optionFunc(func(s *settings) { s.commit = d }) }

// WithRateLimit makes each record take a cost of 1 under key from limiter before it
// is handled, a batch the cost of its size. A denied record waits for its turn. While
// the limiter fails, records wait too: decorate it with a fallback if they should not.
func WithRateLimit(limiter ratelimit.Limiter, key string) Option {
	return optionFunc(func(s *settings) { s.limiter, s.limitKey = limiter, key })
}

// WithObserver reports what the consumer does to o: each call of the handler, and
// events. For gauges register the consumer, which is an [observe.Source].
func WithObserver(o observe.Observer) Option { return optionFunc(func(s *settings) { s.observer = o }) }

// WithLogger logs events that a person should see: panics with their stack, stuck and
// abandoned handlers, lost records, and failures of the broker, at most one line a
// minute for each kind of these.
func WithLogger(log logger.Logger) Option { return optionFunc(func(s *settings) { s.log = log }) }

// OnEvent calls f with each event, without any lock held. Events of different
// partitions come at the same time; f should be quick.
func OnEvent(f func(Event)) Option { return optionFunc(func(s *settings) { s.onEvent = f }) }

// WithBroadcast makes every instance see every record: the instance, by a name that
// it keeps over restarts, becomes a group of its own, named "<group>.<instance>".
func WithBroadcast(instance string) Option {
	return optionFunc(func(s *settings) { s.broadcast, s.broad = instance, true })
}

// WithStart sets where a group begins that has not committed a partition yet;
// [StartOldest] without it. It never moves a group that has: that is an offline
// command of Kafka's own tools.
func WithStart(start Start) Option { return optionFunc(func(s *settings) { s.start = start }) }

// Start is where a new group begins. The zero Start is [StartOldest].
type Start struct {
	kind startKind
	at   time.Time
}

type startKind uint8

const (
	startOldest startKind = iota
	startNewest
	startAt
)

// StartOldest begins with the oldest record that the broker still has.
func StartOldest() Start { return Start{} }

// StartNewest begins with what comes after the partition was first claimed.
func StartNewest() Start { return Start{kind: startNewest} }

// StartAt begins with the first record that is not older than t.
func StartAt(t time.Time) Start { return Start{kind: startAt, at: t} }
