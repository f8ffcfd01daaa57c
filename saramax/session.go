package saramax

import (
	"time"

	"github.com/IBM/sarama"
)

// session is what runs beside the claims of one session: commits, and the watch over
// handlers. It is one goroutine with one ticker.
type session struct {
	h    *GroupHandler
	sess sarama.ConsumerGroupSession
	stop chan struct{}
	done chan struct{}
}

func startSession(h *GroupHandler, sess sarama.ConsumerGroupSession) *session {
	s := &session{h: h, sess: sess, stop: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *session) end() {
	close(s.stop)
	<-s.done
}

func (s *session) run() {
	defer close(s.done)
	every := s.h.set.every()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	committed := time.Now()
	for {
		select {
		case <-s.stop:
			return
		case now := <-ticker.C:
			s.h.tick()
			s.h.beats.Add(1)
			s.h.each((*claim).watch)
			if now.Sub(committed) >= s.h.set.commit-every/2 {
				committed = now
				s.commit()
			}
		}
	}
}

// every is how often a session looks at its claims.
func (s *settings) every() time.Duration {
	return min(s.commit, max(s.stuck.After/4, 10*time.Millisecond), 500*time.Millisecond)
}

// commit publishes what every claim has done, in one request.
func (s *session) commit() {
	moved := false
	s.h.each(func(c *claim) {
		c.mu.Lock()
		moved = c.publish() || moved
		c.mu.Unlock()
	})
	if moved {
		s.sess.Commit()
	}
}

// watch looks for handlers that are overdue, and for a record that holds back the
// commit for too long.
func (c *claim) watch() {
	c.mu.Lock()
	now := c.h.ticks.Load()
	c.watchAge(now)
	for w := range c.workers {
		began := w.began.Load()
		// The clock may have been behind by a tick when the call began.
		if began > 0 && time.Duration(now-began) >= c.h.set.stuck.After+c.h.set.every() {
			c.overdue(w, began)
		}
	}
	if !c.ended {
		c.dispatch()
	}
	c.mu.Unlock()
	c.applyPause()
	c.h.emitWaiting()
}

// watchAge sets or clears the pause for a commit that does not move while others are
// done. mu is held.
func (c *claim) watchAge(now int64) {
	at := c.track.commit()
	if at != c.oldest || c.track.held() == 0 {
		c.oldest, c.oldestAt = at, now
	}
	limit := c.h.tuning.Load().Window.Age
	c.aged = limit > 0 && c.track.above > 0 && time.Duration(now-c.oldestAt) >= limit
	if !c.aged {
		return
	}
	if c.reasons |= PauseGap; !c.told {
		c.told = true
		c.h.emitLater(Event{
			Kind: EventGap, Topic: c.topic, Partition: c.partition, Offset: at, Count: int64(c.track.held()),
		})
	}
}

// overdue reports a handler once, and does what the policy says. mu is held.
func (c *claim) overdue(w *worker, began int64) {
	policy := c.h.set.stuck
	if !w.overdue {
		w.overdue = true
		c.h.emitLater(Event{
			Kind: EventStuck, Topic: c.topic, Partition: c.partition, Offset: w.first,
			Count: int64(len(w.items)),
		})
	}
	switch policy.Policy {
	case StuckPark:
		if c.h.set.parker == nil || c.stopping.Load() {
			return
		}
		if c.h.lost.Load() >= int64(policy.Most) {
			c.h.leave(ErrStuck)
			return
		}
		if w.began.CompareAndSwap(began, forsaken) {
			c.forsake(w)
		}
	case StuckLeave:
		c.h.leave(ErrStuck)
	}
}

// forsake leaves a worker to its handler; its records go to another one, which parks
// them. mu is held.
func (c *claim) forsake(w *worker) {
	c.h.lost.Add(1)
	if w.cancel != nil {
		w.cancel(ErrStuck)
	}
	heir := &worker{c: c, lanes: append([]*lane(nil), w.lanes...), started: true, first: w.first}
	for _, it := range w.items {
		own := *it // the handler's goroutine may still read the old one
		heir.items = append(heir.items, &own)
	}
	delete(c.workers, w)
	c.workers[heir] = struct{}{}
	go heir.after(func() {
		for _, it := range heir.open() {
			heir.park(it, ReasonStuck, ErrStuck)
		}
	})
}
