package saramax

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// PartitionStatus is the state of one partition that this instance owns.
type PartitionStatus struct {
	Topic     string
	Partition int32
	// Paused tells why the partition is not fetched; 0 when it is.
	Paused PauseReason
	// Waiting is how many records wait for a handler, InFlight how many handlers have,
	// Retrying how many wait for their next attempt.
	Waiting, InFlight, Retrying int
	// Bytes is how large the keys and values of all records held are.
	Bytes int64
	// Commit is the offset up to which everything is done, -1 before anything is known.
	Commit int64
	// Gap is how many records are done above it.
	Gap int
	// Oldest is how long the oldest call of a handler has been running, to about half
	// a second.
	Oldest time.Duration
	// End is where the last fetch saw the partition's end. It stands still while
	// nothing is fetched.
	End int64
}

// Status is the state of a consumer.
type Status struct {
	Group string
	// Up tells whether the consumer is in a session of its group.
	Up bool
	// Left is how many goroutines of stuck handlers were left behind and still run.
	Left int
	// Partitions are those owned now, in order.
	Partitions []PartitionStatus
}

// Status returns the state of this moment.
func (c *Consumer) Status() Status {
	s := c.handler.Status()
	s.Up = c.up.Load()
	return s
}

// Status is [Consumer.Status]; it does not know of Up.
func (h *GroupHandler) Status() Status {
	s := Status{Group: h.name, Left: int(h.lost.Load())}
	h.each(func(c *claim) { s.Partitions = append(s.Partitions, c.status()) })
	slices.SortFunc(s.Partitions, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return s
}

func (c *claim) status() PartitionStatus {
	end := c.source.HighWaterMarkOffset()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := PartitionStatus{
		Topic: c.topic, Partition: c.partition, Paused: c.reasons,
		Retrying: len(c.delayed), Bytes: c.bytes,
		Commit: max(c.track.commit(), -1), Gap: c.track.above, End: end,
	}
	for w := range c.workers {
		s.InFlight += len(w.items)
		s.Oldest = max(s.Oldest, c.h.since(w.began.Load()))
	}
	s.Waiting = c.track.held() - c.track.above - s.InFlight - s.Retrying
	return s
}

// Pause stops the consumer from beginning anything of a topic's partitions, or of all
// of its partitions when none are named, until [Consumer.Resume]. Partitions that come
// later are paused too. What is under way goes on, and no rebalance follows.
func (c *Consumer) Pause(topic string, partitions ...int32) {
	c.handler.setPaused(topic, partitions, true)
}

// Resume ends [Consumer.Pause]. A partition that is paused for another reason stays so.
func (c *Consumer) Resume(topic string, partitions ...int32) {
	c.handler.Resume(topic, partitions...)
}

// Pause is [Consumer.Pause].
func (h *GroupHandler) Pause(topic string, partitions ...int32) { h.setPaused(topic, partitions, true) }

// Resume is [Consumer.Resume].
func (h *GroupHandler) Resume(topic string, partitions ...int32) {
	h.setPaused(topic, partitions, false)
}

// everyPartition stands for all partitions of a topic.
const everyPartition = -1

func (h *GroupHandler) setPaused(topic string, partitions []int32, paused bool) {
	h.mu.Lock()
	if len(partitions) == 0 {
		for at := range h.operator {
			if at.topic == topic {
				delete(h.operator, at)
			}
		}
		partitions = []int32{everyPartition}
	}
	for _, p := range partitions {
		h.operator[place{topic, p}] = paused
	}
	h.mu.Unlock()
	h.each(func(c *claim) {
		h.mu.Lock()
		byHand := h.pausedByHand(place{c.topic, c.partition})
		h.mu.Unlock()
		c.mu.Lock()
		if byHand {
			c.reasons |= PauseOperator
		} else {
			c.reasons &^= PauseOperator
		}
		c.mu.Unlock()
		c.look()
	})
}

// pausedByHand tells whether somebody paused a partition. mu is held.
func (h *GroupHandler) pausedByHand(at place) bool {
	if paused, told := h.operator[at]; told {
		return paused
	}
	return h.operator[place{at.topic, everyPartition}]
}

var (
	messagesGauge = observe.Gauge{
		Component: "saramax", Name: "messages_total", Cumulative: true,
		Help: "Records by what became of them.", Labels: []string{"group", "topic", "outcome"},
	}
	rejectedGauge = observe.Gauge{
		Component: "saramax", Name: "dead_letters_total", Cumulative: true,
		Help: "Records put aside, by reason.", Labels: []string{"group", "topic", "reason"},
	}
	parkFailuresGauge = topicGauge("dead_letter_publish_failures_total", "Failures to put a record aside.")
	fencedGauge       = topicGauge("fenced_completions_total", "Results that came after their partition was given up.")
	panicsGauge       = topicGauge("panics_total", "Panics of handlers.")
	lostGauge         = topicGauge("lost_messages_total", "Records that retention removed before they were consumed.")
	resetsGauge       = topicGauge("offset_resets_total", "Commits that the broker no longer had a record for.")
	abandonedGauge    = topicGauge("abandoned_messages_total", "Records whose handlers did not end in time.")

	bytesGauge    = partitionGauge("buffered_bytes", "Keys and values held.")
	inflightGauge = partitionGauge("inflight_messages", "Records that handlers have.")
	waitingGauge  = partitionGauge("waiting_messages", "Records that wait for a handler.")
	gapGauge      = partitionGauge("commit_gap_messages", "Records done that cannot be committed yet.")
	oldestGauge   = partitionGauge("oldest_inflight_seconds", "Age of the oldest call of a handler.")
	commitGauge   = partitionGauge("partition_processed_offset", "The offset up to which everything is done.")

	pausedGauge = observe.Gauge{
		Component: "saramax", Name: "paused_partitions", Help: "Partitions that are not fetched, by reason.",
		Labels: []string{"group", "topic", "reason"},
	}
	upGauge = observe.Gauge{
		Component: "saramax", Name: "consumer_up", Help: "Whether the consumer is in a session.", Labels: []string{"group"},
	}
	leftGauge = observe.Gauge{
		Component: "saramax", Name: "abandoned_handlers", Help: "Goroutines of stuck handlers left behind.", Labels: []string{"group"},
	}
	joinsGauge = observe.Gauge{
		Component: "saramax", Name: "joins_total", Cumulative: true, Help: "Sessions begun.", Labels: []string{"group"},
	}
)

func topicGauge(name, help string) observe.Gauge {
	return observe.Gauge{Component: "saramax", Name: name, Cumulative: true, Help: help, Labels: []string{"group", "topic"}}
}

func partitionGauge(name, help string) observe.Gauge {
	return observe.Gauge{Component: "saramax", Name: name, Help: help, Labels: []string{"group", "topic", "partition"}}
}

// Readings yields counters of each topic, born at 0, and the state of the partitions
// owned now.
func (c *Consumer) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		h, s := c.handler, c.Status()
		read := func(g *observe.Gauge, value float64, labels ...string) bool {
			r := observe.Reading{Gauge: g, Value: value}
			r.Values[0] = h.name
			copy(r.Values[1:], labels)
			return yield(r)
		}
		up := 0.0
		if s.Up {
			up = 1
		}
		if !read(&upGauge, up) || !read(&leftGauge, float64(s.Left)) || !read(&joinsGauge, float64(c.joins.Load())) {
			return
		}
		if h.readTopics(read) && readPaused(h.topicNames(), s, read) {
			readPartitions(s, read)
		}
	}
}
