package saramax

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// claim is one tenure of one partition: what was fetched, what of it is under way and
// what is done. It is the epoch that fences late results: a worker holds the claim it
// works for, and only a claim that has not ended moves the commit, under the lock
// that ended it. A partition that comes back is another claim, in the same session or
// not.
type claim struct {
	h         *GroupHandler
	sess      sarama.ConsumerGroupSession
	source    sarama.ConsumerGroupClaim
	topic     string
	partition int32

	ctx    context.Context // the handlers'; ends with the drain deadline
	cancel context.CancelCauseFunc
	stop   chan struct{} // closed when nothing more is to be begun

	stopping atomic.Bool // set under mu, read without it before a handler is called

	mu       sync.Mutex
	track    tracker
	queue    lanes
	bytes    int64 // of all records held
	workers  map[*worker]struct{}
	delayed  map[*lane]*time.Timer // their first record waits for its next attempt
	starting int                   // workers that have not taken anything yet
	parking  int                   // workers that cannot park: nothing else is begun
	flush    bool                  // the batch that was filling may still go
	idle     chan struct{}         // closed when it is stopping and no worker is left
	isIdle   bool
	ended    bool

	alarm   *time.Timer // looks again for what may be begun
	alarmAt time.Time   // zero: not set

	marked    int64  // what was last handed to the session
	markedMap string // with that metadata
	oldest    int64  // the offset that holds back the commit, and since which tick
	oldestAt  int64

	reasons PauseReason // why nothing should be fetched
	told    bool        // of the gap that holds now
	aged    bool        // a record has held back the commit for too long
	pauseMu sync.Mutex  // held while the group is told, after mu
	paused  atomic.Bool // what the group was told
	pausing atomic.Bool // reasons are not empty

	turns int64 // how often a worker or a timer looked for work
	free  []*item
}

func newClaim(h *GroupHandler, sess sarama.ConsumerGroupSession, source sarama.ConsumerGroupClaim) *claim {
	c := &claim{
		h: h, sess: sess, source: source, topic: source.Topic(), partition: source.Partition(),
		stop: make(chan struct{}), idle: make(chan struct{}),
		track:   newTracker(source.InitialOffset()),
		workers: make(map[*worker]struct{}), delayed: make(map[*lane]*time.Timer),
		marked: source.InitialOffset(), oldest: -1,
	}
	c.queue = newLanes(h.set.order, h.tuning.Load().Window.PerKey)
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(sess.Context()))
	return c
}

// consume reads the claim until it is revoked, the session ends or the consumer
// stops. It reads whatever comes, whether there is room or not: a claim that is not
// read stops its neighbours on the same broker. What bounds memory is that the
// partition is paused.
func (c *claim) consume() {
	messages := c.source.Messages()
	burst := make([]*sarama.ConsumerMessage, 0, 256)
	over := c.sess.Context().Done()
	for {
		select { // first, so that nothing is taken once it is over
		case <-over:
			return
		case <-c.h.leaving:
			return
		default:
		}
		select {
		case <-over:
			return
		case <-c.h.leaving:
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			burst = append(burst[:0], m)
		}
		for more := true; more && len(burst) < cap(burst); {
			select {
			case m, ok := <-messages:
				if more = ok; ok {
					burst = append(burst, m)
				}
			default:
				more = false
			}
		}
		c.push(burst)
	}
}

// push takes records in and lets workers know.
func (c *claim) push(burst []*sarama.ConsumerMessage) {
	now := time.Now()
	c.mu.Lock()
	for _, m := range burst {
		n := c.track.add(m.Offset)
		if c.track.restored.has(m.Offset) {
			c.track.finish(n)
			continue
		}
		it := c.item()
		it.msg, it.number, it.arrived = m, n, now
		it.size = int64(len(m.Key) + len(m.Value))
		if c.h.set.due != nil {
			it.due = c.h.set.due(m)
		}
		if c.h.set.earlier != nil {
			it.calls = c.h.set.earlier(m)
		}
		c.bytes += it.size
		c.queue.push(it)
	}
	c.dispatch()
	c.mu.Unlock()
	c.applyPause()
}

// item returns one that is not in use.
func (c *claim) item() *item {
	if n := len(c.free); n > 0 {
		it := c.free[n-1]
		c.free = c.free[:n-1]
		*it = item{}
		return it
	}
	return new(item)
}

// maxFree bounds how many items a claim keeps for later.
const maxFree = 1024

// done lets go of an item that needs no more work.
func (c *claim) done(it *item) {
	c.track.finish(it.number)
	c.bytes -= it.size
	it.msg, it.cause = nil, nil
	if len(c.free) < maxFree {
		c.free = append(c.free, it)
	}
}

// dispatch starts workers for what may be begun, and sets the reasons for a pause.
// mu is held.
func (c *claim) dispatch() {
	c.judgeRoom()
	for len(c.workers) < c.limit() && c.mayBegin() {
		c.starting++
		w := &worker{c: c}
		c.workers[w] = struct{}{}
		go w.loop()
	}
	c.pausing.Store(c.reasons != 0)
}

// limit is how many workers may run.
func (c *claim) limit() int {
	if c.h.set.order == OrderPartition {
		return 1
	}
	return c.h.tuning.Load().Concurrency
}

// mayBegin tells whether one more worker would find something to begin with. mu is
// held.
func (c *claim) mayBegin() bool {
	if c.starting >= c.queue.ready || c.starting > 0 && c.h.work.batched() {
		return false // those who come will take it, and look for more
	}
	return c.mayTake()
}

// mayTake tells whether something may be begun now, and otherwise sees to it that
// somebody looks again in time. mu is held.
func (c *claim) mayTake() bool {
	head := c.queue.peek()
	switch {
	case head == nil, c.ended, c.stopping.Load() && !c.flush, c.parking > 0:
		return false
	case c.reasons&(PauseOperator|PauseBudget) != 0:
		return false
	case !c.isDue(head):
		return false
	}
	return !c.h.work.batched() || c.flush || c.fires(head)
}

// isDue tells whether a record may be handled by now; the partition holds otherwise.
func (c *claim) isDue(head *item) bool {
	if head.due.IsZero() || !time.Now().Before(head.due) {
		c.reasons &^= PauseDelay
		return true
	}
	c.reasons |= PauseDelay
	c.wakeAt(head.due)
	return false
}

// fires tells whether a batch is full, or its first record has waited long enough.
func (c *claim) fires(head *item) bool {
	t := c.h.tuning.Load()
	if c.queue.records >= t.Batch || t.Linger <= 0 {
		return true
	}
	at := head.arrived.Add(t.Linger)
	if !time.Now().Before(at) {
		return true
	}
	c.wakeAt(at)
	return false
}

// wakeAt has dispatch called at a time, or before. mu is held.
func (c *claim) wakeAt(at time.Time) {
	if !c.alarmAt.IsZero() && !at.Before(c.alarmAt) {
		return
	}
	c.alarmAt = at
	if d := time.Until(at); c.alarm == nil {
		c.alarm = time.AfterFunc(d, c.ring)
	} else {
		c.alarm.Reset(d)
	}
}

func (c *claim) ring() {
	c.mu.Lock()
	c.turns++
	c.alarmAt = time.Time{}
	c.reasons &^= PauseBudget // admit is asked again
	c.dispatch()
	c.mu.Unlock()
	c.applyPause()
}
