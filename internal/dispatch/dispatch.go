// Package dispatch calls listeners in the order of what happened, one at a time, and
// without the lock under which it happened: a listener may call back whoever told it.
package dispatch

import "sync"

// Queue holds events until they are delivered. The zero Queue is empty and ready. It
// has no lock of its own: the lock of whoever owns it guards each method.
type Queue[E any] struct {
	events     []E
	delivering bool // some goroutine is calling the listeners
	held       int
	panicked   uint64
}

// Push adds an event, to be delivered by the next Deliver.
func (q *Queue[E]) Push(event E) { q.events = append(q.events, event) }

// Hold keeps events back until a Release, while the owner's caller holds other locks
// that listeners may want. Deliver afterwards.
func (q *Queue[E]) Hold() { q.held++ }

// Release ends a Hold.
func (q *Queue[E]) Release() { q.held-- }

// Panicked is how many panics of listeners were contained.
func (q *Queue[E]) Panicked() uint64 { return q.panicked }

// Due tells whether Deliver would call anybody.
func (q *Queue[E]) Due() bool { return len(q.events) > 0 && q.held == 0 && !q.delivering }

// Deliver calls the listeners with all that is queued, and with what others push
// meanwhile: whoever comes first delivers for all. The caller holds mu, the owner's
// lock, and holds it again afterwards; listeners are called without it. For each event
// to returns the listeners of the moment, and may complete the event; it is called
// with the lock.
//
// A listener is no part of the call that happens to deliver to it: its panic is
// contained and counted. Its runtime.Goexit ends the caller's goroutine, which can
// not be helped; what is queued then goes with the next Deliver.
func (q *Queue[E]) Deliver(mu sync.Locker, to func(*E) []func(E)) {
	if !q.Due() {
		return
	}
	q.delivering = true
	defer func() { q.delivering = false }()
	for len(q.events) > 0 && q.held == 0 {
		event := q.events[0]
		q.events = q.events[1:]
		for _, listen := range to(&event) {
			if !call(mu, listen, event) {
				q.panicked++
			}
		}
	}
	if len(q.events) == 0 {
		q.events = nil // let go of what was delivered
	}
}

// call calls listen without the lock, and reports whether it returned.
func call[E any](mu sync.Locker, listen func(E), event E) (returned bool) {
	mu.Unlock()
	defer mu.Lock()
	defer func() {
		if !returned {
			_ = recover()
		}
	}()
	listen(event)
	return true
}
