package logger

import (
	"context"
	"fmt"
	"sync"
)

// AsyncConfig sizes an [Async].
type AsyncConfig struct {
	// Queue is how many lines may wait; zero means 8192, some seconds of a busy
	// service in a few megabytes. A line that finds the queue full is dropped and
	// counted.
	Queue int
}

// Async is a Core that writes in the background, so that a slow sink does not make
// requests wait. Lines of level error and above are written at once, by the caller:
// they are rare, and must not be lost in a crash; they may appear before lines that
// still wait. When lines were dropped for want of space, a line says how many once
// there is space again: written and reported add up to what was offered.
//
// Someone has to call [Async.Run]; [Async.Close] ends it. Values are read
// ([Field.Resolved]) before a line is queued, so what happens to them later does
// not show. Put logger/mask in front of an Async: behind it, keys inside values
// are still found, types no longer are.
type Async struct {
	next Core
	q    *queue
}

// NewAsync returns an Async over next. The error wraps [ErrConfig].
func NewAsync(next Core, cfg AsyncConfig) (*Async, error) {
	switch {
	case next == nil:
		return nil, fmt.Errorf("%w: NewAsync's next is nil", ErrConfig)
	case cfg.Queue < 0:
		return nil, fmt.Errorf("%w: AsyncConfig.Queue is %d, want 0 or more", ErrConfig, cfg.Queue)
	}
	q := &queue{
		root: next, ring: make([]queued, orDefault(cfg.Queue, 8192)),
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	q.changed = sync.NewCond(&q.mu)
	return &Async{next: next, q: q}, nil
}

// Enabled tells what the Core below says.
func (a *Async) Enabled(l Level) bool { return a.next.Enabled(l) }

// With returns a Core that adds fields to each line and shares a's queue.
func (a *Async) With(fields []Field) Core {
	return &Async{next: a.next.With(fields), q: a.q}
}

// Write queues the line, or counts it as dropped, or after Close writes it at once.
func (a *Async) Write(e Entry, fields []Field) {
	if e.Level >= LevelError || !a.q.put(a.next, e, fields) {
		a.next.Write(e, fields)
		a.q.mu.Lock()
		a.q.direct++
		a.q.mu.Unlock()
	}
}

// Run writes queued lines until ctx ends or Close is called, then writes what is
// left and returns nil. After ctx ended the Async is closed: later lines are
// written by their callers. Run it once, in a goroutine of its own.
func (a *Async) Run(ctx context.Context) error {
	q := a.q
	q.running(1)
	defer q.running(-1)
	for {
		select {
		case <-ctx.Done():
			q.close()
			q.work(context.Background())
			return nil
		case <-q.stop:
			q.work(context.Background())
			return nil
		case <-q.wake:
			q.work(ctx)
		}
	}
}

// Flush waits until the lines queued before the call are written, or ctx ends. It
// writes them itself where nobody runs [Async.Run]; a write that has begun is not
// interrupted.
func (a *Async) Flush(ctx context.Context) error {
	a.q.mu.Lock()
	target := a.q.tail
	a.q.mu.Unlock()
	return a.q.wait(ctx, func(q *queue) bool { return q.done >= target })
}

// Close makes later lines be written by their callers, and waits as [Async.Flush]
// does until all queued ones, and the report of dropped ones, are written. Calling
// it again waits again.
func (a *Async) Close(ctx context.Context) error {
	a.q.close()
	return a.q.wait(ctx, func(q *queue) bool { return q.done == q.tail && q.reported == q.lost && !q.busy })
}

// AsyncSnapshot is the state of an [Async].
type AsyncSnapshot struct {
	// Queued lines wait, Written ones have left, Dropped ones found no space.
	Queued, Written, Dropped uint64
}

// Snapshot returns the state of now. Reports of dropped lines are not counted.
func (a *Async) Snapshot() AsyncSnapshot {
	a.q.mu.Lock()
	defer a.q.mu.Unlock()
	return AsyncSnapshot{Queued: a.q.tail - a.q.done, Written: a.q.done + a.q.direct, Dropped: a.q.lost}
}
