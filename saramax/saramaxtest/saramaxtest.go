// Package saramaxtest drives a consumer's handler without a broker: a [Member] stands
// for sarama's consumer group, with sessions, claims, marks and commits that follow
// sarama's rules, and no goroutine or timer of its own. So it also works in a bubble of
// testing/synctest, where handlers with backoff and batches with a linger take no time.
//
// What it cannot show is the group protocol itself; internal and embedded brokers do.
package saramaxtest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// Member is one member of a consumer group. It implements [sarama.ConsumerGroup] as far
// as handlers use it, and is safe for concurrent use.
type Member struct {
	t testing.TB

	mu        sync.Mutex
	handler   sarama.ConsumerGroupHandler
	paused    map[partition]bool
	pauses    map[partition]int
	marked    map[partition]mark
	committed map[partition]mark
	commits   int
	claims    map[partition]*Claim
	ctx       context.Context
	cancel    context.CancelFunc
}

type partition struct {
	topic string
	id    int32
}

type mark struct {
	offset   int64
	metadata string
}

// NewMember returns a member without a session. What it is left with is ended with the
// test.
func NewMember(t testing.TB) *Member {
	m := &Member{
		t: t, paused: make(map[partition]bool), pauses: make(map[partition]int),
		marked: make(map[partition]mark), committed: make(map[partition]mark), claims: make(map[partition]*Claim),
	}
	t.Cleanup(m.End)
	return m
}

// Begin starts a session with handler: it calls Setup.
func (m *Member) Begin(handler sarama.ConsumerGroupHandler) {
	m.t.Helper()
	m.mu.Lock()
	m.handler = handler
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.mu.Unlock()
	if err := handler.Setup(m); err != nil {
		m.t.Fatalf("saramaxtest: Setup: %v", err)
	}
}

// Claim gives the member a partition, from the committed offset on or, without one,
// from offset 0.
func (m *Member) Claim(topic string, id int32) *Claim {
	at := partition{topic, id}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Claim{
		member: m, at: at, messages: make(chan *sarama.ConsumerMessage, 256), done: make(chan struct{}),
		next: m.committed[at].offset, initial: m.committed[at].offset,
	}
	m.marked[at] = mark{offset: c.initial, metadata: m.committed[at].metadata}
	m.claims[at] = c
	handler := m.handler
	go func() {
		defer close(c.done)
		c.err = handler.ConsumeClaim(m, c)
	}()
	return c
}

// Cancel ends the session's context, as the beginning of an eager rebalance does, and
// returns at once.
func (m *Member) Cancel() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cancel != nil {
		m.cancel()
	}
}

// End ends the session: it cancels the context, waits for the claims to return, and
// calls Cleanup. Without a session it does nothing.
func (m *Member) End() {
	m.Cancel()
	m.mu.Lock()
	claims := slices.Collect(maps.Values(m.claims))
	handler := m.handler
	m.mu.Unlock()
	if handler == nil {
		return
	}
	for _, c := range claims {
		c.Revoke()
	}
	if err := handler.Cleanup(m); err != nil {
		m.t.Errorf("saramaxtest: Cleanup: %v", err)
	}
	m.Commit()
	m.mu.Lock()
	m.handler = nil
	m.mu.Unlock()
}

// Committed returns what was committed for a partition, and with which metadata.
func (m *Member) Committed(topic string, id int32) (offset int64, metadata string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.committed[partition{topic, id}]
	return c.offset, c.metadata
}

// Commits counts calls of Commit that had something to commit.
func (m *Member) Commits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commits
}

// IsPaused tells whether a partition is paused.
func (m *Member) IsPaused(topic string, id int32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.paused[partition{topic, id}]
}

// Pauses counts how often a partition was paused.
func (m *Member) Pauses(topic string, id int32) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pauses[partition{topic, id}]
}

// Claim is a partition that a [Member] has.
type Claim struct {
	member   *Member
	at       partition
	messages chan *sarama.ConsumerMessage
	initial  int64
	done     chan struct{}
	err      error

	mu      sync.Mutex
	next    int64
	revoked bool
}

// Send hands over messages as a fetch would, and sets their topic and partition, and
// their offsets one after the other unless they have one. It blocks while the handler
// does not read.
func (c *Claim) Send(messages ...*sarama.ConsumerMessage) {
	for _, m := range messages {
		c.mu.Lock()
		if m.Offset < c.next {
			m.Offset = c.next
		}
		c.next = m.Offset + 1
		c.mu.Unlock()
		m.Topic, m.Partition = c.at.topic, c.at.id
		if m.Timestamp.IsZero() {
			m.Timestamp = time.Now()
		}
		c.messages <- m
	}
}

// Close revokes the partition, as a cooperative rebalance does: no more messages come,
// while the session goes on. It returns at once.
func (c *Claim) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.revoked {
		c.revoked = true
		close(c.messages)
	}
}

// Revoke is Close, and waits until the handler has let go of the partition. It returns
// what ConsumeClaim did.
func (c *Claim) Revoke() error {
	c.Close()
	<-c.done
	c.member.mu.Lock()
	defer c.member.mu.Unlock()
	if c.member.claims[c.at] == c {
		delete(c.member.claims, c.at)
	}
	return c.err
}

// Done is closed when ConsumeClaim has returned.
func (c *Claim) Done() <-chan struct{} { return c.done }
