package saramaxtest

import (
	"context"
	"errors"

	"github.com/IBM/sarama"
)

var (
	_ sarama.ConsumerGroup        = (*Member)(nil)
	_ sarama.ConsumerGroupSession = (*Member)(nil)
	_ sarama.ConsumerGroupClaim   = (*Claim)(nil)
)

// Topic implements [sarama.ConsumerGroupClaim].
func (c *Claim) Topic() string { return c.at.topic }

// Partition implements [sarama.ConsumerGroupClaim].
func (c *Claim) Partition() int32 { return c.at.id }

// InitialOffset implements [sarama.ConsumerGroupClaim].
func (c *Claim) InitialOffset() int64 { return c.initial }

// HighWaterMarkOffset implements [sarama.ConsumerGroupClaim].
func (c *Claim) HighWaterMarkOffset() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next
}

// Messages implements [sarama.ConsumerGroupClaim].
func (c *Claim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

// Claims implements [sarama.ConsumerGroupSession].
func (m *Member) Claims() map[string][]int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string][]int32)
	for at := range m.claims {
		out[at.topic] = append(out[at.topic], at.id)
	}
	return out
}

// MemberID implements [sarama.ConsumerGroupSession].
func (m *Member) MemberID() string { return "member" }

// GenerationID implements [sarama.ConsumerGroupSession].
func (m *Member) GenerationID() int32 { return 1 }

// MarkOffset implements [sarama.ConsumerGroupSession]: the highest mark wins.
func (m *Member) MarkOffset(topic string, id int32, offset int64, metadata string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := (partition{topic, id}); offset > m.marked[at].offset {
		m.marked[at] = mark{offset, metadata}
	}
}

// ResetOffset implements [sarama.ConsumerGroupSession]: a mark that is not higher wins.
func (m *Member) ResetOffset(topic string, id int32, offset int64, metadata string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := (partition{topic, id}); offset <= m.marked[at].offset {
		m.marked[at] = mark{offset, metadata}
	}
}

// MarkMessage implements [sarama.ConsumerGroupSession].
func (m *Member) MarkMessage(msg *sarama.ConsumerMessage, metadata string) {
	m.MarkOffset(msg.Topic, msg.Partition, msg.Offset+1, metadata)
}

// Commit implements [sarama.ConsumerGroupSession].
func (m *Member) Commit() {
	m.mu.Lock()
	defer m.mu.Unlock()
	moved := false
	for at, it := range m.marked {
		if m.committed[at] != it {
			m.committed[at], moved = it, true
		}
	}
	if moved {
		m.commits++
	}
}

// Context implements [sarama.ConsumerGroupSession].
func (m *Member) Context() context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ctx
}

// Pause implements [sarama.ConsumerGroup].
func (m *Member) Pause(partitions map[string][]int32) { m.set(partitions, true) }

// Resume implements [sarama.ConsumerGroup].
func (m *Member) Resume(partitions map[string][]int32) { m.set(partitions, false) }

func (m *Member) set(partitions map[string][]int32, paused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			at := partition{topic, id}
			if paused && !m.paused[at] {
				m.pauses[at]++
			}
			m.paused[at] = paused
		}
	}
}

// PauseAll implements [sarama.ConsumerGroup]; handlers must not use it, as it would
// reach partitions that are not theirs.
func (m *Member) PauseAll() { m.t.Error("saramaxtest: PauseAll was called") }

// ResumeAll implements [sarama.ConsumerGroup], like [Member.PauseAll].
func (m *Member) ResumeAll() { m.t.Error("saramaxtest: ResumeAll was called") }

var errNoBroker = errors.New("saramaxtest: a Member has no broker to consume from: use Begin and Claim")

// Consume implements [sarama.ConsumerGroup] and fails.
func (m *Member) Consume(context.Context, []string, sarama.ConsumerGroupHandler) error {
	return errNoBroker
}

// Errors implements [sarama.ConsumerGroup]; there are none.
func (m *Member) Errors() <-chan error { return nil }

// Close implements [sarama.ConsumerGroup].
func (m *Member) Close() error { return nil }
