package saramax

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// GroupHandler is a [sarama.ConsumerGroupHandler] for those who call Consume
// themselves; [Consumer] does that for all others. It may be used for one session
// after the other, but for one at a time.
//
// Leave the client's automatic commits on: they repeat a commit that failed.
type GroupHandler struct {
	group  sarama.ConsumerGroup
	name   string
	work   Work
	set    settings
	tuning atomic.Pointer[Tuning]

	ticks   atomic.Int64 // a coarse clock: nanoseconds since epoch, never 0
	epoch   time.Time
	beats   atomic.Int64  // of sessions' tickers
	leaving chan struct{} // closed when it stops for good
	leave   func(error)
	failure error       // why, set before leaving is closed
	dead    atomic.Bool // it is leaving because of a stuck handler
	lost    atomic.Int64

	mu       sync.Mutex
	claims   map[place]*claim
	operator map[place]bool // paused by hand; a place without topic is all of them
	fetchMap func(topic string, partition int32) (int64, string, error)
	begin    func(sarama.ConsumerGroupSession) error
	ended    []Unfinished // what claims left behind since the last takeAbandoned

	countersMu sync.RWMutex
	counters   map[string]*topicStats

	session *session
	waiting eventQueue
	quiet   logLimit
}

// place is a partition.
type place struct {
	topic     string
	partition int32
}

// NewGroupHandler returns a handler for the consumer group called name, of which group
// is this process's member: it is asked to pause and resume partitions. The error
// names everything that is wrong. [WithStart] and [WithBroadcast] need a [Consumer].
func NewGroupHandler(group sarama.ConsumerGroup, name string, work Work, opts ...Option) (*GroupHandler, error) {
	set, errs := settingsOf(opts)
	if group == nil {
		errs = append(errs, errors.New("group is nil"))
	}
	if set.start.kind != startOldest {
		errs = append(errs, errors.New("WithStart needs a Consumer"))
	}
	if set.broad {
		errs = append(errs, errors.New("WithBroadcast needs a Consumer"))
	}
	if set.drain == 0 {
		set.drain = defaultDrain
	}
	h := newGroupHandler(name, work, set)
	_, bound := h.bind(nil)
	errs = append(errs, bound...)
	errs = append(errs, h.check()...)
	if len(errs) > 0 {
		return nil, fmt.Errorf("saramax: %w", errors.Join(errs...))
	}
	h.group = group
	return h, nil
}

func newGroupHandler(name string, work Work, set settings) *GroupHandler {
	h := &GroupHandler{
		name: name, work: work, set: set, epoch: time.Now(),
		claims: make(map[place]*claim), operator: make(map[place]bool), counters: make(map[string]*topicStats),
	}
	tuning := set.tuning
	h.tuning.Store(&tuning)
	h.renew()
	h.tick()
	return h
}

// bind lets others complete the handler, and returns the topics that they need read.
func (h *GroupHandler) bind(topics []string) ([]string, []error) {
	if h.set.bind == nil {
		return nil, nil
	}
	more, err := h.set.bind(h, topics)
	if err != nil {
		return nil, []error{err}
	}
	return more, nil
}

func (h *GroupHandler) check() []error {
	var errs []error
	if h.name == "" {
		errs = append(errs, errors.New("group name is empty"))
	}
	if h.work == nil {
		errs = append(errs, errors.New("work is nil"))
	} else if err := h.work.check(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// renew makes the handler ready to be used, again.
func (h *GroupHandler) renew() {
	leaving := make(chan struct{})
	h.leaving, h.failure = leaving, nil
	h.dead.Store(false)
	var once sync.Once
	h.leave = func(err error) {
		once.Do(func() {
			h.failure = err
			h.dead.Store(err != nil)
			close(leaving)
		})
	}
}

// Setup starts what runs beside the claims of a session.
func (h *GroupHandler) Setup(sess sarama.ConsumerGroupSession) error {
	if h.begin != nil {
		if err := h.begin(sess); err != nil {
			return err
		}
	}
	h.session = startSession(h, sess)
	return nil
}

// Cleanup commits, and ends what Setup started.
func (h *GroupHandler) Cleanup(sess sarama.ConsumerGroupSession) error {
	if h.session != nil {
		h.session.end()
		h.session = nil
	}
	sess.Commit()
	return nil
}

// ConsumeClaim works off one partition until it is given up, and then drains and
// commits it. It returns no error but [ErrStuck]: whatever else fails stays within the
// partition, since a return ends the session for all of them.
func (h *GroupHandler) ConsumeClaim(sess sarama.ConsumerGroupSession, source sarama.ConsumerGroupClaim) error {
	c := newClaim(h, sess, source)
	h.restore(c)
	h.open(c)
	c.consume()
	left := c.drain()
	sess.Commit()
	h.closed(c, left)
	if h.dead.Load() {
		return h.failure
	}
	return nil
}

// restore reads back what was done above the commit.
func (h *GroupHandler) restore(c *claim) {
	if h.fetchMap == nil {
		return
	}
	commit, metadata, err := h.fetchMap(c.topic, c.partition)
	if err == nil && commit == c.marked {
		c.track.restored, err = decodeOffsetMap(commit, metadata)
		c.markedMap = metadata
	}
	if err != nil {
		h.emit(Event{Kind: EventMapUnread, Topic: c.topic, Partition: c.partition, Offset: c.marked, Err: err})
	}
}

// open puts a claim on the books.
func (h *GroupHandler) open(c *claim) {
	h.mu.Lock()
	h.claims[place{c.topic, c.partition}] = c
	byHand := h.pausedByHand(place{c.topic, c.partition})
	h.mu.Unlock()
	if byHand {
		c.reasons |= PauseOperator
	}
	c.pauseMu.Lock()
	c.pausing.Store(byHand)
	c.tellGroup(byHand) // whatever an earlier tenure left behind
	c.pauseMu.Unlock()
	h.emit(Event{Kind: EventClaimed, Topic: c.topic, Partition: c.partition, Offset: c.marked})
}

// closed takes a claim off the books.
func (h *GroupHandler) closed(c *claim, left []Unfinished) {
	h.mu.Lock()
	if at := (place{c.topic, c.partition}); h.claims[at] == c {
		delete(h.claims, at)
	}
	h.ended = append(h.ended, left...)
	h.mu.Unlock()
	h.stats(c.topic).abandoned.Add(int64(len(left)))
	for _, u := range left {
		h.emit(Event{Kind: EventAbandoned, Topic: u.Topic, Partition: u.Partition, Offset: u.Offset, Count: 1})
	}
	h.emit(Event{Kind: EventReleased, Topic: c.topic, Partition: c.partition, Offset: c.marked})
}

// takeAbandoned returns what claims left behind, and forgets it.
func (h *GroupHandler) takeAbandoned() []Unfinished {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := h.ended
	h.ended = nil
	return left
}

// tick sets the coarse clock.
func (h *GroupHandler) tick() { h.ticks.Store(int64(time.Since(h.epoch)) + 1) }

// since is how long ago a tick was; 0 for none.
func (h *GroupHandler) since(tick int64) time.Duration {
	if tick <= 0 {
		return 0
	}
	return time.Since(h.epoch) - time.Duration(tick)
}

// each calls f for the claims of this moment.
func (h *GroupHandler) each(f func(*claim)) {
	h.mu.Lock()
	claims := make([]*claim, 0, len(h.claims))
	for _, c := range h.claims {
		claims = append(claims, c)
	}
	h.mu.Unlock()
	for _, c := range claims {
		f(c)
	}
}

var _ sarama.ConsumerGroupHandler = (*GroupHandler)(nil)

// detached is a context for work that outlives what it belongs to.
func detached(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}
