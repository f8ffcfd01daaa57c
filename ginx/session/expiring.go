package session

import (
	"container/heap"
	"time"
)

// expiring is a bounded map whose entries end. It needs no goroutine: an entry
// past its end is never returned, and put clears away two of them for each one it
// adds. When it is full, the entry nearest to its end gives way. Its owner locks.
type expiring[V any] struct {
	limit  int
	items  map[string]*item[V]
	byEnds itemHeap[V]
}

type item[V any] struct {
	key   string
	value V
	ends  time.Time
	index int
}

func newExpiring[V any](limit int) *expiring[V] {
	return &expiring[V]{limit: limit, items: make(map[string]*item[V])}
}

// get changes nothing, so a read lock is enough.
func (e *expiring[V]) get(key string, now time.Time) (value V, ok bool) {
	it := e.items[key]
	if it == nil || !now.Before(it.ends) {
		return value, false
	}
	return it.value, true
}

func (e *expiring[V]) put(key string, value V, now, ends time.Time) {
	for range 2 {
		if len(e.byEnds) > 0 && !now.Before(e.byEnds[0].ends) {
			e.remove(e.byEnds[0].key)
		}
	}
	if it := e.items[key]; it != nil {
		it.value, it.ends = value, ends
		heap.Fix(&e.byEnds, it.index)
		return
	}
	if len(e.items) >= e.limit {
		e.remove(e.byEnds[0].key)
	}
	it := &item[V]{key: key, value: value, ends: ends}
	e.items[key] = it
	heap.Push(&e.byEnds, it)
}

func (e *expiring[V]) remove(key string) {
	if it := e.items[key]; it != nil {
		delete(e.items, key)
		heap.Remove(&e.byEnds, it.index)
	}
}

// itemHeap has the entry that ends first on top.
type itemHeap[V any] []*item[V]

func (h itemHeap[V]) Len() int           { return len(h) }
func (h itemHeap[V]) Less(i, j int) bool { return h[i].ends.Before(h[j].ends) }

func (h itemHeap[V]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *itemHeap[V]) Push(x any) {
	it := x.(*item[V])
	it.index = len(*h)
	*h = append(*h, it)
}

func (h *itemHeap[V]) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return it
}
