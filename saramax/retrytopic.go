package saramax

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// WithRetryTopics handles failed records again after each of delays, which must grow,
// before they are dead-lettered: a record that failed in its own topic is put, through
// publisher, into the retry topic of the first delay, from there into that of the
// second, and so on. See [RetryTopic] for their names, and [WithDeadLetter], without
// which there are no retry topics.
//
// The consumer subscribes to its retry topics, too. A record there waits in the broker:
// the partition is paused until the first one is due. Since each topic has one delay,
// nothing behind it is due earlier, and any number of waiting records costs one timer.
//
// The topics must exist, with as many partitions as their source and enough retention;
// [Consumer.Run] checks that, see [FailureTopics].
func WithRetryTopics(publisher Publisher, delays ...time.Duration) Option {
	return optionFunc(func(s *settings) {
		if publisher == nil || len(delays) == 0 {
			s.errs = append(s.errs, errors.New("WithRetryTopics needs a publisher and at least one delay"))
		}
		a := asideOf(s)
		a.retry, a.delays = publisher, slices.Clone(delays)
		s.due, s.earlier = a.due, a.earlier
	})
}

// RetryOrder says what a record that waits in a retry topic holds back.
type RetryOrder uint8

// The orders.
const (
	// BlockKey keeps the order of each key: while a record waits in a retry topic,
	// later ones with its key follow it there, unhandled. Which keys those are is kept
	// in a compacted topic. Records without a key are not held back. It is the default.
	BlockKey RetryOrder = iota
	// BlockNothing lets later records overtake those that wait. It suits handlers that
	// do not mind, because each record says all there is to say.
	BlockNothing

	retryOrders
)

// WithRetryOrder sets what a waiting record holds back; [BlockKey] without it. To hold
// back the whole partition, use no retry topics but [WithRetry] with more attempts:
// with [OrderPartition] a record that is repeated in place blocks all behind it.
func WithRetryOrder(order RetryOrder) Option {
	return optionFunc(func(s *settings) {
		if order >= retryOrders {
			s.errs = append(s.errs, fmt.Errorf("WithRetryOrder: order %d is unknown", order))
		}
		asideOf(s).order = order
	})
}

// WithUncheckedTopics leaves out the check of retry and dead-letter topics at the start
// of [Consumer.Run], for clients that may not describe them. Check them by other
// means: see [FailureTopics.Check].
func WithUncheckedTopics() Option {
	return optionFunc(func(s *settings) { asideOf(s).unchecked = true })
}

// blockedTopic is where the blocked keys of a topic in a group are kept.
func blockedTopic(topic, group string) string { return topic + "." + group + ".blocked" }
