package saramax

import (
	"maps"
	"slices"
	"strconv"

	"github.com/bulwark-go/bulwark/observe"
)

type reader func(g *observe.Gauge, value float64, labels ...string) bool

func (h *GroupHandler) topicNames() []string {
	h.countersMu.RLock()
	defer h.countersMu.RUnlock()
	return slices.Sorted(maps.Keys(h.counters))
}

func (h *GroupHandler) readTopics(read reader) bool {
	for _, topic := range h.topicNames() {
		s := h.stats(topic)
		for i, name := range outcomeNames {
			if !read(&messagesGauge, float64(s.outcomes[i].Load()), topic, name) {
				return false
			}
		}
		for i, name := range reasonNames {
			if !read(&rejectedGauge, float64(s.rejected[i].Load()), topic, name) {
				return false
			}
		}
		for _, r := range []struct {
			gauge *observe.Gauge
			value int64
		}{
			{&parkFailuresGauge, s.parkFailures.Load()},
			{&fencedGauge, s.fenced.Load()},
			{&panicsGauge, s.panics.Load()},
			{&lostGauge, s.lost.Load()},
			{&resetsGauge, s.resets.Load()},
			{&abandonedGauge, s.abandoned.Load()},
		} {
			if !read(r.gauge, float64(r.value), topic) {
				return false
			}
		}
	}
	return true
}

func readPaused(topics []string, s Status, read reader) bool {
	type by struct {
		topic  string
		reason int
	}
	counts := make(map[by]int)
	for _, p := range s.Partitions {
		for i := range pauseNames {
			if p.Paused&(1<<i) != 0 {
				counts[by{p.Topic, i}]++
			}
		}
	}
	for _, topic := range topics {
		for i, name := range pauseNames {
			if !read(&pausedGauge, float64(counts[by{topic, i}]), topic, name) {
				return false
			}
		}
	}
	return true
}

func readPartitions(s Status, read reader) {
	for _, p := range s.Partitions {
		partition := strconv.Itoa(int(p.Partition))
		for _, r := range []struct {
			gauge *observe.Gauge
			value float64
		}{
			{&bytesGauge, float64(p.Bytes)},
			{&inflightGauge, float64(p.InFlight)},
			{&waitingGauge, float64(p.Waiting)},
			{&gapGauge, float64(p.Gap)},
			{&oldestGauge, p.Oldest.Seconds()},
			{&commitGauge, float64(p.Commit)},
		} {
			if !read(r.gauge, r.value, p.Topic, partition) {
				return
			}
		}
	}
}
