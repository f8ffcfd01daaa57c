package saramax

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

var (
	errNoParker  = errors.New("saramax: nowhere to put rejected records")
	errForsaken  = errors.New("saramax: handler was given up as stuck")
	errParkPanic = errors.New("saramax: parker panicked")
)

// turn settles what the worker did and takes what comes next; false when the worker
// is to end, because there is nothing, or no longer a place for its results.
func (w *worker) turn() bool {
	c := w.c
	settled := w.settleBudget()
	c.mu.Lock()
	c.turns++
	if settled {
		c.reasons &^= PauseBudget // admit has news
	}
	more := w.settle() && w.take()
	if !more {
		c.quit(w)
	}
	c.dispatch()
	c.mu.Unlock()
	c.applyPause()
	c.h.emitWaiting()
	return more
}

// settleBudget tells the budget how records ended; false without one.
func (w *worker) settleBudget() bool {
	b := w.c.h.set.budget
	if b == nil || w.late {
		return false
	}
	for _, it := range w.items {
		switch it.end {
		case endDone, endSkip:
			b.settle(w.c.topic, w.c.partition, settledDone)
		case endPark:
			b.settle(w.c.topic, w.c.partition, settledRejected)
		case endOpen:
			b.settle(w.c.topic, w.c.partition, settledGivenUp)
		case endRetry: // it is still begun
		}
	}
	return len(w.items) > 0
}

// settle puts what the worker did into the books. mu is held. It returns false when
// the results come too late: the claim has ended, or has given the worker up.
func (w *worker) settle() bool {
	c := w.c
	if !w.started {
		w.started = true
		c.starting--
		return !c.ended
	}
	if w.late {
		c.h.lost.Add(-1)
	}
	if c.ended || w.late {
		c.h.stats(c.topic).fenced.Add(int64(len(w.items)))
		c.h.emitLater(Event{
			Kind: EventFenced, Topic: c.topic, Partition: c.partition, Offset: w.first, Count: int64(len(w.items)),
		})
		return false
	}
	for _, it := range w.items {
		c.settle(it)
	}
	for _, l := range w.lanes {
		if _, waits := c.delayed[l]; !waits {
			c.queue.release(l)
		}
	}
	w.items, w.lanes = w.items[:0], w.lanes[:0]
	return true
}

// settle puts one item into the books. mu is held.
func (c *claim) settle(it *item) {
	stats := c.h.stats(c.topic)
	switch it.end {
	case endDone:
		stats.outcomes[outcomeOK].Add(1)
		c.done(it)
	case endSkip:
		stats.outcomes[outcomeDropped].Add(1)
		c.done(it)
	case endPark:
		stats.outcomes[outcomeDead].Add(1)
		c.done(it)
	case endRetry:
		stats.outcomes[outcomeRetried].Add(1)
		it.end = endOpen
		it.lane.retry = it
		if it.kept {
			c.delay(it.lane, 0) // the budget says when
		} else {
			c.delay(it.lane, c.h.set.backoff(it.failed))
		}
	case endOpen: // the claim stops: whoever gets the partition handles it
		stats.outcomes[outcomeAbandoned].Add(1)
	}
}

// delay keeps a busy lane busy for a while. mu is held.
func (c *claim) delay(l *lane, d time.Duration) {
	if c.stopping.Load() {
		return
	}
	c.delayed[l] = time.AfterFunc(d, func() {
		c.mu.Lock()
		if _, waits := c.delayed[l]; waits {
			delete(c.delayed, l)
			c.queue.release(l)
			c.dispatch()
		}
		c.mu.Unlock()
		c.applyPause()
	})
}

// take takes the records of the next call. mu is held.
func (w *worker) take() bool {
	c := w.c
	if len(c.workers) > c.limit() || !c.mayTake() {
		return false
	}
	n, head := 1, c.queue.peek()
	if c.h.work.batched() {
		n = c.h.tuning.Load().Batch
	}
	again := head.lane.retry != nil
	if again {
		n = 1
	}
	// What is tried again was begun already, so no budget has a say, unless that kept it.
	if !again || head.kept {
		if n = c.affordable(n); n == 0 {
			return false
		}
	}
	for now := time.Now(); len(w.items) < n && c.queue.ready > 0 && !c.queue.peek().due.After(now); {
		var l *lane
		w.items, l = c.queue.take(w.items, n-len(w.items), now)
		w.lanes = append(w.lanes, l)
	}
	w.final, c.flush = c.flush, false
	w.overdue, w.first = false, w.items[0].msg.Offset
	return true
}

// affordable is how many of n records the budget lets begin.
func (c *claim) affordable(n int) int {
	if c.h.set.budget == nil {
		return n
	}
	most, wait := c.h.set.budget.admit(c.topic, c.partition)
	if most > 0 {
		return min(n, most)
	}
	c.reasons |= PauseBudget
	c.wakeAt(time.Now().Add(wait))
	return 0
}

// quit takes a worker off the list. mu is held.
func (c *claim) quit(w *worker) {
	if _, mine := c.workers[w]; !mine {
		return
	}
	delete(c.workers, w)
	if w.cancel != nil {
		w.cancel(nil)
	}
	c.checkIdle()
}

// checkIdle tells whoever drains the claim that no worker is left. mu is held.
func (c *claim) checkIdle() {
	if c.stopping.Load() && len(c.workers) == 0 && !c.flush && !c.isIdle {
		c.isIdle = true
		close(c.idle)
	}
}

// park puts an item aside, and returns when it is safe or the claim stops. As long as
// it cannot, nothing else of the partition is begun: what fails goes nowhere.
func (w *worker) park(it *item, reason Reason, cause error) {
	c := w.c
	if c.h.set.parker == nil {
		it.end = endRetry
		it.failed = max(it.failed, 1)
		c.h.emit(w.parkEvent(EventParkFailed, it, reason, errors.Join(errNoParker, cause)))
		return
	}
	r := Rejected{Message: it.msg, Group: c.h.name, Reason: reason, Cause: cause, Attempts: it.calls}
	for failures := 0; ; failures++ {
		if failures > 0 && !w.sleep(c.h.set.backoff(failures)) || w.fenced() {
			break
		}
		err := c.h.park(c.ctx, r)
		if err == nil {
			it.end = endPark
			c.h.stats(c.topic).rejected[reason].Add(1)
			c.h.emit(w.parkEvent(EventRejected, it, reason, cause))
			if failures > 0 {
				w.hold(-1)
			}
			return
		}
		if errors.Is(err, ErrBudgetSpent) {
			it.end, it.kept = endRetry, true
			if failures > 0 {
				w.hold(-1)
			}
			return
		}
		c.h.stats(c.topic).parkFailures.Add(1)
		c.h.emit(w.parkEvent(EventParkFailed, it, reason, err))
		if failures == 0 {
			w.hold(+1)
		}
	}
}

func (w *worker) parkEvent(kind EventKind, it *item, reason Reason, err error) Event {
	e := w.event(kind, it, err)
	e.Reason = reason
	return e
}

// fenced tells that what the worker does no longer counts.
func (w *worker) fenced() bool {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	_, mine := w.c.workers[w]
	return w.c.ended || !mine
}

// hold keeps other workers of the claim from beginning anything, or lets them.
func (w *worker) hold(by int) {
	c := w.c
	c.mu.Lock()
	if c.parking += by; c.parking > 0 {
		c.reasons |= PausePark
	} else {
		c.reasons &^= PausePark
	}
	c.dispatch()
	c.mu.Unlock()
	c.applyPause()
}

// park calls the parker, whose panic is an error like any other.
func (h *GroupHandler) park(ctx context.Context, r Rejected) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %w", errParkPanic, &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	return h.set.parker.Park(ctx, r)
}
