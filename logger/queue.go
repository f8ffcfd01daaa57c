package logger

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// queue is what an Async and those derived by With share: a ring of lines, of which
// one goroutine at a time, the busy one, writes some.
type queue struct {
	root Core

	mu   sync.Mutex
	ring []queued
	// tail, head and done number the lines that were put in, taken out and
	// written; done <= head <= tail <= done + len(ring) + 1.
	tail, head, done uint64
	direct           uint64 // lines written by their callers
	lost, reported   uint64 // lines dropped, and how many of them a line has stated
	runners          int
	busy             bool
	closed           bool
	spare            []Field       // a slice for the slot that is emptied next
	wake             chan struct{} // has a token when the ring may not be empty
	stop             chan struct{} // closed by close
	changed          *sync.Cond    // done, busy or runners
}

type queued struct {
	core   Core
	entry  Entry
	fields []Field
}

// put tells whether the line is taken care of: queued, or dropped.
func (q *queue) put(core Core, e Entry, fields []Field) bool {
	b := buffers.Get().(*buffer)
	defer b.free()
	b.fields = b.fields[:0]
	for _, f := range fields {
		b.fields = append(b.fields, f.Resolved())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if q.tail-q.head == uint64(len(q.ring)) {
		q.lost++
		return true
	}
	slot := &q.ring[q.tail%uint64(len(q.ring))]
	slot.core, slot.entry = core, e
	slot.fields = append(slot.fields[:0], b.fields...)
	q.tail++
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

func (q *queue) running(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.runners += n
	q.changed.Broadcast()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.stop)
	}
}

// wait returns when finished says so under q.mu. Where nobody runs the queue it
// does the work itself.
func (q *queue) wait(ctx context.Context, finished func(*queue) bool) error {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.changed.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for !finished(q) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("logger: waiting for queued lines: %w", err)
		}
		if q.busy || q.runners > 0 {
			q.changed.Wait()
			continue
		}
		q.drain(ctx)
	}
	return nil
}

// work writes lines until none is left or ctx ends.
func (q *queue) work(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.busy {
		q.changed.Wait()
	}
	q.drain(ctx)
}

// drain is called with q.mu held, which it releases around each write.
func (q *queue) drain(ctx context.Context) {
	q.busy = true
	for n := 1; ctx.Err() == nil && q.head < q.tail; n++ {
		slot := &q.ring[q.head%uint64(len(q.ring))]
		line := *slot
		*slot = queued{fields: q.spare} // slices are used in turn
		q.head++
		q.mu.Unlock()
		line.core.Write(line.entry, line.fields)
		clear(line.fields)
		q.mu.Lock()
		q.spare = line.fields[:0]
		q.done++
		q.changed.Broadcast()
		if n%len(q.ring) == 0 { // a flood may never let the ring run empty
			q.report()
		}
	}
	q.report()
	q.busy = false
	q.changed.Broadcast()
}

// report states what was dropped since the last report. q.mu is held, and released
// around the write.
func (q *queue) report() {
	n := q.lost - q.reported
	if n == 0 {
		return
	}
	q.reported = q.lost
	q.mu.Unlock()
	defer q.mu.Lock()
	q.root.Write(Entry{Time: time.Now(), Level: LevelWarn, Message: SummaryMessage, Module: "logger"},
		[]Field{String("by", "full queue").Field(), Uint64("dropped", n).Field()})
}
