package saramax

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// Consumer consumes topics as a member of a group. Its methods are safe for concurrent
// use.
type Consumer struct {
	client  sarama.Client
	config  *sarama.Config
	topics  []string
	handler *GroupHandler
	running atomic.Bool
	up      atomic.Bool // in a session
	joins   atomic.Int64
}

// topicName is Kafka's rule.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// NewConsumer returns a consumer of topics for a group. Every purpose needs a group of
// its own: two consumers of one group share its records between them.
//
// The client stays the caller's, who closes it after [Consumer.Run] has returned; no
// other consumer may use it meanwhile. Of its settings the group's timeouts, its
// assignment strategy, the version and the network's hold. The error names everything
// that is wrong, contradictory settings of the client included, and says what to set.
func NewConsumer(client sarama.Client, group string, topics []string, work Work, opts ...Option) (*Consumer, error) {
	set, errs := settingsOf(opts)
	if set.broad {
		group += "." + set.broadcast
	}
	errs = append(errs, checkTopics(topics)...)
	if client == nil {
		errs = append(errs, errors.New("client is nil"))
	} else {
		if set.drain == 0 {
			set.drain = client.Config().Consumer.Group.Rebalance.Timeout / 4 * 3
		}
		errs = append(errs, checkGroupConfig(client.Config(), set.drain)...)
	}
	h := newGroupHandler(group, work, set)
	more, bound := h.bind(topics)
	topics = append(slices.Clone(topics), more...)
	errs = append(errs, bound...)
	if errs = append(errs, h.check()...); len(errs) > 0 {
		return nil, fmt.Errorf("saramax: %w", errors.Join(errs...))
	}
	c := &Consumer{client: client, config: groupConfig(client.Config(), &set), topics: topics, handler: h}
	h.fetchMap = func(topic string, partition int32) (int64, string, error) {
		return committedOffset(client, group, topic, partition)
	}
	h.begin = c.beginSession
	for _, topic := range topics {
		h.stats(topic)
	}
	return c, nil
}

func checkTopics(topics []string) []error {
	var errs []error
	if len(topics) == 0 {
		errs = append(errs, errors.New("no topics"))
	}
	seen := make(map[string]bool)
	for _, topic := range topics {
		if !topicName.MatchString(topic) {
			errs = append(errs, fmt.Errorf("topic %q is not 1 to 249 of [a-zA-Z0-9._-]", topic))
		}
		if seen[topic] {
			errs = append(errs, fmt.Errorf("topic %q is named twice", topic))
		}
		seen[topic] = true
	}
	return errs
}

// Run consumes until ctx ends, and then stops in good order: nothing more is begun,
// handlers under way get the drain deadline to end, what is done is committed, and the
// group is left. Run returns nil then, or an [*AbandonedError] when handlers did not
// end in time. Their contexts end with the deadline, not with ctx.
//
// Faults of brokers and rebalances do not end Run; it tries again, after a pause. What
// cannot get better by itself does: missing rights, settings that the broker refuses, a
// closed client, a static member's id that another one uses.
func (c *Consumer) Run(ctx context.Context) (err error) {
	if !c.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer c.running.Store(false)
	c.handler.renew()
	ended, err := c.start(ctx)
	defer func() { err = errors.Join(err, ended()) }()
	if err != nil {
		return err
	}
	group, err := sarama.NewConsumerGroupFromClient(c.handler.name, configured{c.client, c.config})
	if err != nil {
		return fmt.Errorf("saramax: group %s: %w", c.handler.name, err)
	}
	c.handler.group = group
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for err := range group.Errors() {
			c.handler.emit(errorEvent(err))
		}
	}()
	err = c.loop(ctx, group)
	if closing := group.Close(); closing != nil {
		c.handler.emit(errorEvent(closing)) // the group learns of our leave by its session timeout
	}
	<-drained
	if left := c.handler.takeAbandoned(); err == nil && len(left) > 0 {
		return &AbandonedError{Records: left}
	}
	return err
}

// start runs what others want done before a group is joined, and returns what undoes
// it.
func (c *Consumer) start(ctx context.Context) (ended func() error, err error) {
	ended = func() error {
		ctx, cancel := detached(ctx, 10*time.Second)
		defer cancel()
		var errs []error
		for _, end := range slices.Backward(c.handler.set.ends) {
			errs = append(errs, end(ctx))
		}
		return errors.Join(errs...)
	}
	for _, start := range c.handler.set.starts {
		if err := start(ctx, c.handler.name, c.client); err != nil {
			return ended, err
		}
	}
	return ended, nil
}

// Retune changes what a [Tuning] holds, while the consumer runs. A mistake changes
// nothing. [Window.PerKey] holds for partitions claimed from then on.
func (c *Consumer) Retune(t Tuning) error { return c.handler.Retune(t) }

// Retune is [Consumer.Retune].
func (h *GroupHandler) Retune(t Tuning) error {
	errs := t.check()
	if h.set.order == OrderPartition && t.Concurrency > 1 {
		errs = append(errs, fmt.Errorf("concurrency %d needs OrderKey or Unordered", t.Concurrency))
	}
	if len(errs) > 0 {
		return fmt.Errorf("saramax: retune: %w", errors.Join(errs...))
	}
	t = t.filled()
	h.tuning.Store(&t)
	h.each((*claim).look)
	return nil
}

// look has a claim judge its state again.
func (c *claim) look() {
	c.mu.Lock()
	if !c.ended {
		c.dispatch()
	}
	c.mu.Unlock()
	c.applyPause()
	c.h.emitWaiting()
}

// Tuning returns what is in force.
func (c *Consumer) Tuning() Tuning { return *c.handler.tuning.Load() }
