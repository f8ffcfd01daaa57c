package saramax

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// worker handles records of one claim, one call after the other, as long as there are
// any that may be begun.
type worker struct {
	c        *claim
	items    []*item // under way; guarded by claim.mu where others read them
	lanes    []*lane // that these came from, busy
	first    int64   // the offset of the first item
	verdicts []Verdict
	started  bool // it has taken something, or found nothing

	ctx    context.Context // of the call; the claim's, or one that ends when the call is forsaken
	cancel context.CancelCauseFunc
	final  bool // it flushes a batch of a claim that stops
	late   bool // its call was given up while it ran

	// began is the tick at which user code was entered, 0 outside of it, and forsaken
	// once the watchdog has given the call up.
	began   atomic.Int64
	overdue bool    // reported; guarded by claim.mu
	left    []*item // what a handler was at when it ended its goroutine
	report  func([]*item, []Verdict, error)
}

const forsaken = -1

// loop works until there is nothing to begin. What a handler does to its goroutine
// must not lose its records: runtime.Goexit arrives in the deferred function.
func (w *worker) loop() {
	clean := false
	defer func() {
		if !clean {
			w.exited()
		}
	}()
	for w.turn() {
		w.handle()
	}
	clean = true
}

// exited passes the records on to another worker, after a handler ended this one's
// goroutine.
func (w *worker) exited() {
	if w.began.Swap(0) == forsaken {
		w.late = true
		w.report(w.left, nil, errForsaken)
		w.turn()
		return
	}
	w.report(w.left, nil, errLeft)
	heir := w.bequeath()
	if heir == nil {
		return
	}
	group := w.left
	go heir.after(func() { heir.resume(group) })
}

// after is loop for a worker that has records already.
func (w *worker) after(first func()) {
	clean := false
	defer func() {
		if !clean {
			w.exited()
		}
	}()
	for first(); w.turn(); {
		w.handle()
	}
	clean = true
}

// bequeath puts another worker in w's place; nil when the claim has ended.
func (w *worker) bequeath() *worker {
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		c.quit(w)
		return nil
	}
	heir := &worker{c: c, items: w.items, lanes: w.lanes, started: true, final: w.final, first: w.first}
	delete(c.workers, w)
	c.workers[heir] = struct{}{}
	return heir
}

// handle gives each of the items its end.
func (w *worker) handle() {
	w.divert()
	if w.c.h.work.batched() {
		w.batch(w.open())
		return
	}
	for _, it := range w.open() {
		w.single(it)
	}
}

// open returns the items that have no end yet.
func (w *worker) open() []*item {
	for i, it := range w.items {
		if it.end != endOpen {
			return openOf(w.items, i)
		}
	}
	return w.items
}

func openOf(items []*item, from int) []*item {
	open := append([]*item(nil), items[:from]...)
	for _, it := range items[from:] {
		if it.end == endOpen {
			open = append(open, it)
		}
	}
	return open
}

// divert parks those whose key waits elsewhere.
func (w *worker) divert() {
	redirect := w.c.h.set.redirect
	if redirect == nil {
		return
	}
	for _, it := range w.items {
		if redirect(it.msg) {
			w.park(it, ReasonBlocked, nil)
		}
	}
}

// single makes one attempt at a record. Its next one, if there is one, is another
// worker's: meanwhile other keys go on.
func (w *worker) single(it *item) {
	err, ok := w.call(w.items)
	if !ok {
		return
	}
	v := w.verdicts[0]
	if err != nil {
		v = Retry(err)
	}
	w.judge(it, v)
}

// judge gives an item the end that its verdict asks for.
func (w *worker) judge(it *item, v Verdict) {
	switch v.action {
	case ActionDone:
		it.end = endDone
	case ActionSkip:
		it.end = endSkip
	case ActionDeadLetter:
		w.park(it, reasonOf(v.cause), v.cause)
	default:
		it.failed++
		if it.cause = v.cause; it.failed >= w.c.h.set.retry.Attempts {
			w.park(it, exhausted(v.cause), v.cause)
			return
		}
		it.end = endRetry
	}
}

func reasonOf(cause error) Reason {
	var undecodable *DecodeError
	if errors.As(cause, &undecodable) {
		return ReasonUndecodable
	}
	return ReasonPermanent
}

func exhausted(cause error) Reason {
	var panicked *PanicError
	if errors.As(cause, &panicked) || errors.Is(cause, errLeft) {
		return ReasonPanic
	}
	return ReasonAttempts
}

// call calls the handler, once. The error is that of all items, and their verdicts
// hold without one. It returns false when the call must not count: it was not begun,
// since the claim stops, or it has been given up.
func (w *worker) call(items []*item) (failure error, ok bool) {
	c := w.c
	if !w.admitted(len(items)) {
		return nil, false
	}
	if cap(w.verdicts) < len(items) {
		w.verdicts = make([]Verdict, len(items))
	}
	w.verdicts = w.verdicts[:len(items)]
	for _, it := range items {
		it.calls++
		it.kept = false
	}
	var ctx context.Context
	ctx, w.report = c.h.observeCall(w.context(), c.topic)
	w.began.Store(c.h.ticks.Load())
	failure = w.enter(ctx, items)
	if w.began.Swap(0) == forsaken {
		w.late = true
		w.report(items, nil, errForsaken)
		return nil, false
	}
	if failure != nil && VerdictOf(failure).action == ActionSkip {
		failure = nil
		for i := range w.verdicts {
			w.verdicts[i] = Skip()
		}
	}
	w.report(items, w.verdicts, failure)
	return failure, true
}

// enter runs user code and turns a panic into an error.
func (w *worker) enter(ctx context.Context, items []*item) (err error) {
	finished := false
	defer func() {
		if finished {
			return
		}
		v := recover()
		if v == nil { // runtime.Goexit: no code of this goroutine runs but deferred one
			w.left = items
			return
		}
		panicked := &PanicError{Value: v, Stack: debug.Stack()}
		w.c.h.emit(w.event(EventPanicked, items[0], panicked))
		err = panicked
	}()
	err = w.c.h.work.run(ctx, items, w.verdicts)
	finished = true
	return err
}

// context is what the handler gets.
func (w *worker) context() context.Context {
	if w.ctx == nil {
		w.ctx = w.c.ctx
		if w.c.h.set.stuck.Policy == StuckPark {
			w.ctx, w.cancel = context.WithCancelCause(w.c.ctx)
		}
	}
	return w.ctx
}

func (w *worker) event(kind EventKind, it *item, err error) Event {
	return Event{Kind: kind, Topic: w.c.topic, Partition: w.c.partition, Offset: it.msg.Offset, Err: err}
}

// stopped tells that nothing more is to be begun by this worker.
func (w *worker) stopped() bool { return w.c.stopping.Load() && !w.final }

// sleep waits between attempts; false when the claim stops meanwhile.
func (w *worker) sleep(d time.Duration) bool {
	if w.c.stopping.Load() {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.c.stop:
		return false
	}
}

// admitted waits until the rate limit lets n records pass; false when the claim stops
// before.
func (w *worker) admitted(n int) bool {
	set := &w.c.h.set
	for failures := 0; !w.stopped(); {
		if set.limiter == nil {
			return true
		}
		d, err := set.limiter.Take(w.c.ctx, set.limitKey, int64(n))
		switch {
		case err != nil:
			failures++
			w.c.h.emit(Event{Kind: EventError, Topic: w.c.topic, Partition: w.c.partition, Offset: -1, Err: err})
			if !w.sleep(set.backoff(failures)) {
				return false
			}
		case d.Allowed:
			return true
		case !w.sleep(max(d.RetryAfter, time.Millisecond)):
			return false
		}
	}
	return false
}
