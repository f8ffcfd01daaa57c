package lag

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// Partition is how far the group is behind on one partition.
type Partition struct {
	Topic     string
	Partition int32
	// Start and End are the oldest offset kept and the next one to be written.
	Start, End int64
	// Committed is the group's commit, -1 without one; Processed is the offset up to
	// which the consumer has worked off everything, -1 where that is not known.
	Committed, Processed int64
	// Messages is the lag of the commit, and Unprocessed that of Processed, which the
	// commit follows within its interval; -1 where that is not known. Both count
	// offsets: the markers of transactions are among them.
	Messages, Unprocessed int64
	// Behind is the age of the first record that is not committed, right to a poll.
	Behind time.Duration
	// AtLeast tells that the record is older than what is remembered.
	AtLeast bool
	// CatchUp is how long the lag takes to go at the net rate of the window; [Never]
	// when it does not shrink.
	CatchUp time.Duration
	// State is what the group is doing about it.
	State State
	// At is when the end was asked for.
	At time.Time
}

// stale is how many intervals an answer may be old before it is no longer shown.
const stale = 3

// Snapshot returns the partitions, in order, of which the brokers have told within the
// last three intervals.
func (m *Monitor) Snapshot() []Partition {
	owned := m.owned()
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Partition
	for at, h := range m.partitions {
		processed := int64(-1)
		if owned != nil {
			offset, mine := owned[at]
			if !mine {
				continue
			}
			processed = offset
		}
		position, known := h.position()
		if !known || h.end < 0 || now.Sub(h.endAt) > stale*m.cfg.Interval {
			continue
		}
		all = append(all, h.partition(now, at, position, processed))
	}
	slices.SortFunc(all, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

func (h *history) partition(now time.Time, at place, position, processed int64) Partition {
	p := Partition{
		Topic: at.topic, Partition: at.partition, Start: h.start, End: h.end,
		Committed: h.committed, Processed: processed,
		Messages: max(h.end-position, 0), Unprocessed: -1, State: h.state(), At: h.endAt,
	}
	if processed >= 0 {
		p.Unprocessed = max(h.end-processed, 0)
	}
	p.Behind, p.AtLeast = h.behind(now, position)
	p.CatchUp = h.catchUp(p.Messages)
	return p
}

// owned returns the consumer's partitions with what it has processed; nil without one.
func (m *Monitor) owned() map[place]int64 {
	if m.consumer == nil {
		return nil
	}
	status := m.consumer.Status()
	mine := make(map[place]int64, len(status.Partitions))
	for _, p := range status.Partitions {
		mine[place{p.Topic, p.Partition}] = p.Commit
	}
	return mine
}

func gauge(name, help string, labels ...string) *observe.Gauge {
	return &observe.Gauge{Component: "saramax", Name: name, Help: help, Labels: append([]string{"group"}, labels...)}
}

var (
	messagesGauge    = gauge("partition_lag_messages", "Records that the group has not committed.", "topic", "partition")
	unprocessedGauge = gauge("partition_unprocessed_messages", "Records that the consumer has not worked off.", "topic", "partition")
	secondsGauge     = gauge("partition_lag_seconds", "Age of the first record that is not committed.", "topic", "partition")
	catchUpGauge     = gauge("partition_catch_up_seconds", "How long the lag takes to go; +Inf when it does not shrink.", "topic", "partition")
	endGauge         = gauge("partition_end_offset", "Offset of the next record to be written.", "topic", "partition")
	startGauge       = gauge("partition_start_offset", "Offset of the oldest record kept.", "topic", "partition")
	committedGauge   = gauge("partition_committed_offset", "Offset that the group has committed; -1 without a commit.", "topic", "partition")
	stateGauge       = gauge("partition_state", "1 for what the group is doing about the partition.", "topic", "partition", "state")
	polledGauge      = gauge("lag_last_poll_timestamp_seconds", "When a broker last told where a partition ends.")
	failuresGauge    = &observe.Gauge{
		Component: "saramax", Name: "lag_poll_failures_total", Help: "Polls that failed or were not answered in time.",
		Labels: []string{"group"}, Cumulative: true,
	}
)

// Readings implements [observe.Source]. A partition that is given up, or of which no
// broker has told for three intervals, has no series any more.
func (m *Monitor) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		read := func(g *observe.Gauge, value float64, labels ...string) bool {
			r := observe.Reading{Gauge: g, Value: value, Values: observe.Values{m.group}}
			copy(r.Values[1:], labels)
			return yield(r)
		}
		m.mu.Lock()
		polled, failures := m.polled, m.failures
		m.mu.Unlock()
		at := 0.0
		if !polled.IsZero() {
			at = float64(polled.UnixMilli()) / 1000
		}
		if !read(polledGauge, at) || !read(failuresGauge, float64(failures)) {
			return
		}
		for _, p := range m.Snapshot() {
			if !p.read(read) {
				return
			}
		}
	}
}

func (p *Partition) read(read func(*observe.Gauge, float64, ...string) bool) bool {
	partition := strconv.Itoa(int(p.Partition))
	catchUp := p.CatchUp.Seconds()
	if p.CatchUp == Never {
		catchUp = math.Inf(1)
	}
	for _, r := range []struct {
		gauge *observe.Gauge
		value float64
		known bool
	}{
		{messagesGauge, float64(p.Messages), true},
		{unprocessedGauge, float64(p.Unprocessed), p.Unprocessed >= 0},
		{secondsGauge, p.Behind.Seconds(), true},
		{catchUpGauge, catchUp, true},
		{endGauge, float64(p.End), true},
		{startGauge, float64(p.Start), p.Start >= 0},
		{committedGauge, float64(p.Committed), true},
	} {
		if r.known && !read(r.gauge, r.value, p.Topic, partition) {
			return false
		}
	}
	for s := range states {
		value := 0.0
		if s == p.State {
			value = 1
		}
		if !read(stateGauge, value, p.Topic, partition, s.String()) {
			return false
		}
	}
	return true
}
