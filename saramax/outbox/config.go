package outbox

import (
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

// OnDead says what becomes of the events behind a dead one of the same aggregate. The
// zero OnDead is FollowersWait.
type OnDead uint8

// The policies.
const (
	// FollowersWait keeps the order: they wait until the dead event was requeued or
	// purged. See [Admin].
	FollowersWait OnDead = iota
	// FollowersFlow keeps the aggregate going: they are published as if it had never
	// been.
	FollowersFlow
)

// Order says how the order within an aggregate is kept when a publish fails. The zero
// Order is OneByOne.
type Order uint8

// The orders.
const (
	// OneByOne gives the publisher no event of an aggregate before the one ahead of it
	// was acknowledged. Aggregates do not wait for each other; only one with many
	// events in a row is slow, at one event for each answer of the broker.
	OneByOne Order = iota
	// Together gives the publisher events of an aggregate in one call, in their order.
	// It is for publishers that, when a message fails, send none after it with the same
	// key. sarama's producer does not promise that; until something fails the order
	// is kept all the same.
	Together
)

// Config configures a [Relay]. The zero value is all defaults.
type Config struct {
	// Name names the outbox in metrics and logs: a few characters; the table's name by
	// default.
	Name string
	// Batch is how many events are published at once at most; 500 by default.
	Batch int
	// Workers is how many batches are under way at once at most; 2 by default, so that
	// the database works while the broker does. Each has buckets of its own.
	Workers int
	// MinPoll and MaxPoll bound the pause after a look that found nothing: it begins at
	// MinPoll, 10 ms by default, and doubles up to MaxPoll, 1 s by default. To each up
	// to 0.4 of it is added by chance. Where the database has a [Plugin] a commit of
	// this process ends the pause.
	MinPoll, MaxPoll time.Duration
	// SweepEvery is how often a look begins at the beginning, for what was committed
	// late; 1 s by default. It is done more seldom where it would take more than a
	// twentieth of the time.
	SweepEvery time.Duration
	// Lease is for how long buckets are ours without being renewed; 30 s by default.
	// So long the events of a relay that died wait for another. It must be more than
	// 1.5 times the time after which the producer gives up.
	Lease time.Duration
	// BatchTime bounds one batch: once it has passed nothing more of it is sent. A
	// quarter of Lease by default.
	BatchTime time.Duration
	// MaxAttempts is how often an event is tried, including attempts that the relay
	// did not survive; 10 by default. Attempts that end with [ErrUnavailable] do not
	// count.
	MaxAttempts int
	// Backoff is the pause of an aggregate after its first failed attempt; 500 ms by
	// default. It doubles up to MaxBackoff, 1 min by default, and half of it is by
	// chance. In the same way the relay pauses while everything is unavailable.
	Backoff, MaxBackoff time.Duration
	// OnDead says what becomes of those behind a dead event; [FollowersWait] by default.
	OnDead OnDead
	// Order is [OneByOne] by default.
	Order Order
	// StatsEvery is how often the figures of [Relay.Snapshot] are read; 30 s by default.
	StatsEvery time.Duration
	// StoreTimeout bounds each use of the database; a sixth of Lease by default.
	StoreTimeout time.Duration
}

func (c Config) withDefaults(table string) Config {
	if c.Name == "" {
		c.Name = table
	}
	fill(&c.Batch, 500)
	fill(&c.Workers, 2)
	fill(&c.MinPoll, 10*time.Millisecond)
	fill(&c.MaxPoll, max(time.Second, c.MinPoll))
	fill(&c.SweepEvery, time.Second)
	fill(&c.Lease, 30*time.Second)
	fill(&c.BatchTime, c.Lease/4)
	fill(&c.MaxAttempts, 10)
	fill(&c.Backoff, 500*time.Millisecond)
	fill(&c.MaxBackoff, max(time.Minute, c.Backoff))
	fill(&c.StatsEvery, 30*time.Second)
	fill(&c.StoreTimeout, c.Lease/6)
	return c
}

func fill[T comparable](field *T, otherwise T) {
	var zero T
	if *field == zero {
		*field = otherwise
	}
}

func (c Config) check() error {
	var v violations
	v.require(len(c.Name) <= 64, "Config.Name", c.Name, "of up to 64 bytes")
	v.require(c.Batch >= 1 && c.Batch <= 10_000, "Config.Batch", c.Batch, "from 1 to 10000")
	v.require(c.Workers >= 1 && c.Workers <= maxBuckets, "Config.Workers", c.Workers, "from 1 to 256")
	v.require(c.MinPoll > 0, "Config.MinPoll", c.MinPoll, "positive")
	v.require(c.MaxPoll >= c.MinPoll, "Config.MaxPoll", c.MaxPoll, "at least MinPoll")
	v.require(c.SweepEvery > 0, "Config.SweepEvery", c.SweepEvery, "positive")
	v.require(c.Lease >= 100*time.Millisecond, "Config.Lease", c.Lease, "at least 100ms")
	v.require(c.BatchTime > 0 && c.BatchTime <= c.Lease/2, "Config.BatchTime", c.BatchTime, "positive, and at most half of Lease")
	v.require(c.MaxAttempts >= 1, "Config.MaxAttempts", c.MaxAttempts, "positive")
	v.require(c.Backoff > 0, "Config.Backoff", c.Backoff, "positive")
	v.require(c.MaxBackoff >= c.Backoff, "Config.MaxBackoff", c.MaxBackoff, "at least Backoff")
	v.require(c.OnDead <= FollowersFlow, "Config.OnDead", c.OnDead, "FollowersWait or FollowersFlow")
	v.require(c.Order <= Together, "Config.Order", c.Order, "OneByOne or Together")
	v.require(c.StatsEvery > 0, "Config.StatsEvery", c.StatsEvery, "positive")
	v.require(c.StoreTimeout > 0, "Config.StoreTimeout", c.StoreTimeout, "positive")
	return v.err()
}

// Option configures [NewRelay].
type Option interface{ apply(*options) }

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

type options struct {
	observer observe.Observer
	log      logger.Logger
	instance string
	hook     func(step string)
}

// WithObserver reports to o: "outbox/claim" for each look at the table,
// "outbox/publish" for each call of the publisher, and "outbox/relayed" for each event
// that left the table or failed to.
func WithObserver(o observe.Observer) Option { return optionFunc(func(s *options) { s.observer = o }) }

// WithLogger tells l what no caller hears: uses of the database that failed, leases
// that were lost, events that died. Payloads and keys are not told.
func WithLogger(l logger.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }

// WithInstance names this process in the table of sessions, for people: up to 64
// bytes; a random name without it.
func WithInstance(name string) Option { return optionFunc(func(o *options) { o.instance = name }) }

func newOptions(opts []Option) (options, error) {
	o := options{instance: "relay", hook: func(string) {}}
	for _, option := range opts {
		if option != nil {
			option.apply(&o)
		}
	}
	o.observer = observe.OrNop(o.observer)
	var v violations
	v.text("WithInstance", o.instance, 1, 64)
	return o, v.err()
}
