package saramax

import (
	"container/list"
	"context"
	"sync"
)

// room bounds what is unconfirmed, in records and bytes. Who waits is served in turn,
// so that a large record is not passed by small ones for ever.
type room struct {
	maxRecords, maxBytes int

	mu             sync.Mutex
	records, bytes int
	waiting        list.List // of *waiter
}

type waiter struct {
	bytes   int
	granted chan struct{}
}

// enter takes room for one record. It returns ErrBufferFull when done closes first.
func (r *room) enter(ctx context.Context, closing <-chan struct{}, bytes int) error {
	r.mu.Lock()
	if r.waiting.Len() == 0 && r.fits(bytes) {
		r.take(bytes)
		r.mu.Unlock()
		return nil
	}
	w := &waiter{bytes, make(chan struct{})}
	place := r.waiting.PushBack(w)
	r.mu.Unlock()

	var err error
	select {
	case <-w.granted:
		return nil
	case <-closing:
		err = ErrProducerClosed
	case <-ctx.Done():
		err = ErrBufferFull
	}
	r.giveUp(w, place)
	return err
}

// giveUp takes w out of the line, or gives back what it was granted meanwhile.
func (r *room) giveUp(w *waiter, place *list.Element) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-w.granted:
		r.put(w.bytes)
	default:
		r.waiting.Remove(place)
	}
	r.admit() // the next one may fit where w did not
}

// leave gives the room of one record back.
func (r *room) leave(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(bytes)
	r.admit()
}

func (r *room) held() (records, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.records, r.bytes
}

// Those below want mu held.

func (r *room) fits(bytes int) bool {
	return r.records < r.maxRecords && r.bytes+bytes <= r.maxBytes
}

func (r *room) take(bytes int) { r.records++; r.bytes += bytes }
func (r *room) put(bytes int)  { r.records--; r.bytes -= bytes }

func (r *room) admit() {
	for first := r.waiting.Front(); first != nil; first = r.waiting.Front() {
		w := first.Value.(*waiter)
		if !r.fits(w.bytes) {
			return
		}
		r.take(w.bytes)
		r.waiting.Remove(first)
		close(w.granted)
	}
}
