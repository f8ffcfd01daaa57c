package saramax

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

const (
	rejoinBase = 250 * time.Millisecond
	rejoinMax  = 30 * time.Second
	healthy    = time.Minute // a session that lasted this long was a good one
)

// loop joins the group again and again: Consume returns at every eager rebalance, and
// at every fault.
func (c *Consumer) loop(ctx context.Context, group sarama.ConsumerGroup) error {
	for failures := 0; ; {
		began := time.Now()
		err := c.consume(ctx, group)
		switch {
		case c.handler.dead.Load():
			return c.handler.failure
		case ctx.Err() != nil:
			return nil
		case err != nil && isFatal(err):
			return fmt.Errorf("saramax: group %s: %w", c.handler.name, err)
		case err != nil:
			c.handler.emit(errorEvent(err))
		}
		lasted := time.Since(began)
		if lasted >= healthy {
			failures = 0
		}
		if err == nil && lasted > rejoinBase { // a rebalance: join again at once
			failures = 0
			continue
		}
		failures++
		if !pause(ctx, time.Duration(c.handler.set.rand()*backoffBound(rejoinBase, rejoinMax, failures))) {
			return nil
		}
	}
}

// consume is one session.
func (c *Consumer) consume(ctx context.Context, group sarama.ConsumerGroup) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	leaving := c.handler.leaving
	go func() {
		select {
		case <-leaving:
			cancel() // a stuck handler ends the session, too
		case <-ctx.Done():
		}
	}()
	c.joins.Add(1)
	defer c.up.Store(false)
	return group.Consume(ctx, c.topics, c.handler)
}

// pause waits for d; false when ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// fatal are errors that do not go away by trying again.
var fatal = []error{
	sarama.ErrTopicAuthorizationFailed, sarama.ErrGroupAuthorizationFailed, sarama.ErrClusterAuthorizationFailed,
	sarama.ErrSASLAuthenticationFailed, sarama.ErrUnsupportedSASLMechanism, sarama.ErrIllegalSASLState,
	sarama.ErrInvalidGroupId, sarama.ErrInconsistentGroupProtocol, sarama.ErrInvalidSessionTimeout,
	sarama.ErrUnsupportedVersion, sarama.ErrInvalidTopic, sarama.ErrFencedInstancedId,
	sarama.ErrClosedClient, sarama.ErrClosedConsumerGroup,
}

func isFatal(err error) bool {
	for _, target := range fatal {
		if errors.Is(err, target) {
			return true
		}
	}
	var config sarama.ConfigurationError
	return errors.As(err, &config)
}

func errorEvent(err error) Event {
	e := Event{Kind: EventError, Offset: -1, Err: err}
	var at *sarama.ConsumerError
	if errors.As(err, &at) {
		e.Topic, e.Partition = at.Topic, at.Partition
	}
	return e
}

// beginSession sets where the partitions of a session begin that have no commit, or
// one that the broker no longer has.
func (c *Consumer) beginSession(sess sarama.ConsumerGroupSession) error {
	claims := sess.Claims()
	if len(claims) > 0 {
		found, err := committedOffsets(c.client, c.handler.name, claims)
		if err != nil {
			return fmt.Errorf("saramax: read commits: %w", err)
		}
		for topic, partitions := range claims {
			for _, partition := range partitions {
				block := found.GetBlock(topic, partition)
				if block == nil || !errors.Is(block.Err, sarama.ErrNoError) {
					continue // sarama has asked for it too, and will say
				}
				if err := c.place(sess, topic, partition, block.Offset); err != nil {
					return err
				}
			}
		}
	}
	c.up.Store(true)
	return nil
}

// place moves the start of one partition where its commit is none, or out of range.
func (c *Consumer) place(sess sarama.ConsumerGroupSession, topic string, partition int32, commit int64) error {
	if commit < 0 && c.handler.set.start.kind == startOldest {
		return nil
	}
	at := func(when int64) (int64, error) {
		offset, err := c.client.GetOffset(topic, partition, when)
		if err != nil {
			return 0, fmt.Errorf("saramax: offsets of %s/%d: %w", topic, partition, err)
		}
		return offset, nil
	}
	newest, err := at(sarama.OffsetNewest)
	if err != nil {
		return err
	}
	if commit < 0 {
		return c.placeNew(sess, topic, partition, newest, at)
	}
	oldest, err := at(sarama.OffsetOldest)
	if err != nil {
		return err
	}
	switch lost := oldest - commit; {
	case lost > 0:
		sess.MarkOffset(topic, partition, oldest, "")
		c.moved(topic, partition, oldest, lost)
	case commit > newest: // the topic is another one, or the broker lost its end
		sess.ResetOffset(topic, partition, oldest, "")
		c.moved(topic, partition, oldest, 0)
	}
	return nil
}

// placeNew commits where a new group begins, so that it begins there only once.
func (c *Consumer) placeNew(
	sess sarama.ConsumerGroupSession, topic string, partition int32, newest int64, at func(int64) (int64, error),
) error {
	offset := newest
	if start := c.handler.set.start; start.kind == startAt {
		var err error
		if offset, err = at(start.at.UnixMilli()); err != nil {
			return err
		}
		if offset < 0 {
			offset = newest // nothing is as young as that
		}
	}
	sess.MarkOffset(topic, partition, offset, "")
	return nil
}

func (c *Consumer) moved(topic string, partition int32, to, lost int64) {
	stats := c.handler.stats(topic)
	stats.resets.Add(1)
	stats.lost.Add(lost)
	c.handler.emit(Event{Kind: EventLost, Topic: topic, Partition: partition, Offset: to, Count: lost})
}
