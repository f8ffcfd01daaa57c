package saramax

import (
	"time"
)

// drain ends the claim: nothing more is begun but the batch that was filling, what is
// under way gets until the deadline, and then the claim is closed to results. It
// returns what was abandoned.
func (c *claim) drain() []Unfinished {
	c.halt()
	limit := c.h.set.drain
	grace := min(limit/5, time.Second)
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	warning := time.NewTimer(limit - grace)
	defer warning.Stop()
	for running := true; running; {
		select {
		case <-c.idle:
			running = false
		case <-warning.C:
			c.cancel(errDraining)
		case <-deadline.C:
			running = false
		}
	}
	return c.close()
}

// halt stops what is not begun. From here on no handler is called for a record that
// was only read ahead.
func (c *claim) halt() {
	c.mu.Lock()
	// A batch that fills while no other runs was as good as begun.
	c.flush = c.h.work.batched() && len(c.workers) == 0 && c.queue.ready > 0 && c.flushable()
	c.stopping.Store(true)
	close(c.stop)
	if c.alarm != nil {
		c.alarm.Stop()
	}
	for l, timer := range c.delayed {
		timer.Stop()
		delete(c.delayed, l)
	}
	c.dispatch()
	if len(c.workers) == 0 {
		c.flush = false
	}
	c.checkIdle()
	c.mu.Unlock()
	c.h.emitWaiting()
}

// flushable tells whether nothing else than its linger holds a batch back.
func (c *claim) flushable() bool {
	return c.parking == 0 && c.reasons&(PauseOperator|PauseBudget|PauseDelay) == 0 && !c.h.dead.Load()
}

// close publishes the commit for the last time and fences everything that comes later.
func (c *claim) close() []Unfinished {
	c.mu.Lock()
	c.publish()
	c.ended = true
	var left []Unfinished
	for w := range c.workers {
		for _, it := range w.items {
			if it.end == endOpen || it.end == endRetry {
				left = append(left, Unfinished{
					Topic: c.topic, Partition: c.partition, Offset: it.msg.Offset, For: c.h.since(w.began.Load()),
				})
			}
		}
	}
	if c.alarm != nil {
		c.alarm.Stop()
	}
	c.mu.Unlock()
	c.cancel(errDraining)
	c.pauseMu.Lock()
	c.tellGroup(false) // a pause outlives the claim otherwise
	c.pauseMu.Unlock()
	return left
}

// publish hands the session what may be committed. mu is held, which is what fences
// late results.
func (c *claim) publish() bool {
	if c.ended {
		return false
	}
	offset := c.track.commit()
	if offset < 0 {
		return false // nothing came yet, and the group has no commit
	}
	done := encodeOffsetMap(offset, &c.track)
	if offset == c.marked && done == c.markedMap {
		return false
	}
	if offset == c.marked {
		c.sess.ResetOffset(c.topic, c.partition, offset, done)
	} else {
		c.sess.MarkOffset(c.topic, c.partition, offset, done)
	}
	c.marked, c.markedMap = offset, done
	return true
}
