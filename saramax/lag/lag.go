// Package lag tells how far a consumer group is behind, in messages and in seconds,
// by asking the brokers. What a consumer itself believes freezes with it: a handler
// that is stuck fetches nothing, and so learns of no new record. A [Monitor] polls the
// group's commits and the partitions' ends beside the consumer, with one request to
// each broker, whatever the number of partitions.
//
//	monitor, err := lag.New(client, "interactive", []string{"read_article"}, lag.Config{}, lag.WithConsumer(consumer))
//	metrics.Register(monitor)
//	go monitor.Run(ctx)
//
// Lag in seconds is the age of the first record that is not committed, by when the
// monitor saw the partition's end pass it; it is right to a poll. Where the record is
// older than what the monitor remembers, it is at least that.
//
// Threshold-free states in the manner of Burrow tell a consumer that is behind and
// works from one that is behind and does not: see [State].
package lag

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/saramax"
)

// Config configures [New]. The zero Config is a good start.
type Config struct {
	// Interval is the time between two polls; 10 seconds by default. It is also how
	// wrong a lag in seconds can be.
	Interval time.Duration
	// Window is how many polls a [State] and a rate are judged by; 12 by default, 3 at
	// least.
	Window int
	// Samples is how many pairs of time and end are remembered of each partition; 512
	// by default, Window at least. Older ones are thinned out, so that they reach far
	// back.
	Samples int
	// Starts is the time between two looks at where the partitions begin, which
	// retention moves; a minute by default.
	Starts time.Duration
}

func (c Config) withDefaults() Config {
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if c.Interval == 0 {
		c.Interval = 10 * time.Second
	}
	if c.Starts == 0 {
		c.Starts = time.Minute
	}
	or(&c.Window, 12)
	or(&c.Samples, 512)
	return c
}

func (c Config) check() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("lag: "+format, args...))
		}
	}
	bad(c.Interval < 0, "Interval %v is negative", c.Interval)
	bad(c.Starts < 0, "Starts %v is negative", c.Starts)
	bad(c.Window < 3, "Window %d is below 3", c.Window)
	bad(c.Samples < c.Window, "Samples %d is below Window %d", c.Samples, c.Window)
	return errors.Join(errs...)
}

// Consumer is what a [Monitor] asks of the consumer beside it: [saramax.Consumer] is
// one.
type Consumer interface {
	Status() saramax.Status
}

// Option configures [New].
type Option interface{ apply(*Monitor) }

type option func(*Monitor)

func (f option) apply(m *Monitor) { f(m) }

// WithConsumer has the monitor report the partitions that c owns and no others, each
// from the moment it is claimed until it is given up, so that the instances of a group
// report each partition once; and what c has processed beside what is committed.
// Without it all partitions of the topics are reported, as by an exporter.
func WithConsumer(c Consumer) Option { return option(func(m *Monitor) { m.consumer = c }) }

// Monitor polls the lag of one group. Make one with [New]; it is safe for concurrent
// use.
type Monitor struct {
	client   sarama.Client
	group    string
	topics   []string
	cfg      Config
	consumer Consumer

	running sync.Mutex

	mu         sync.Mutex
	partitions map[place]*history
	asked      map[int32]bool // brokers that have not answered yet
	looked     time.Time      // when the starts were asked for
	polled     time.Time      // when a poll was last answered
	failures   int64
}

type place struct {
	topic     string
	partition int32
}

// ErrRunning is the answer of [Monitor.Run] while it runs already.
var ErrRunning = errors.New("lag: monitor runs already")

var name = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// New returns a Monitor of group on topics. It connects to nothing; client stays the
// caller's, and best is none that a consumer long-polls through. The error names
// everything that is wrong.
func New(client sarama.Client, group string, topics []string, cfg Config, opts ...Option) (*Monitor, error) {
	cfg = cfg.withDefaults()
	errs := []error{cfg.check()}
	if client == nil {
		errs = append(errs, errors.New("lag: client is nil"))
	}
	if group == "" {
		errs = append(errs, errors.New("lag: group is empty"))
	}
	if len(topics) == 0 {
		errs = append(errs, errors.New("lag: no topics"))
	}
	for _, topic := range topics {
		if !name.MatchString(topic) {
			errs = append(errs, fmt.Errorf("lag: topic %q is not 1 to 249 of [a-zA-Z0-9._-]", topic))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m := &Monitor{
		client: client, group: group, topics: slices.Compact(slices.Sorted(slices.Values(topics))), cfg: cfg,
		partitions: make(map[place]*history), asked: make(map[int32]bool),
	}
	for _, o := range opts {
		o.apply(m)
	}
	return m, nil
}

// Run polls until ctx ends, and returns nil then. A broker that does not answer is not
// asked again until it has, and holds up no other; an answer that comes after Run has
// returned is ignored, and ends with the client at the latest. A failed poll is counted
// and tried again.
func (m *Monitor) Run(ctx context.Context) error {
	if !m.running.TryLock() {
		return ErrRunning
	}
	defer m.running.Unlock()
	tick := time.NewTicker(m.cfg.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		m.poll(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}
