package keyed

import (
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
)

// ErrFull is returned for a new key when the registry holds as many as it may and
// none of them is idle.
var ErrFull = errors.New("keyed: full, and no key is idle")

// Registry maps keys to values of their own, created on first use. It never holds
// more than its capacity. Looking up a known key takes no lock. A Registry is safe
// for concurrent use.
//
// A value that was handed out may be evicted while it is idle, so that one caller
// works on the old value and the next on a new one. Use a Registry only where an
// idle value and a new one are as good as each other.
type Registry[V any] struct {
	create   func(key string) V
	idle     func(V) bool
	capacity int
	index    sync.Map // string to *item[V]; changed under mu only

	mu   sync.Mutex
	ring []*item[V]
	hand int
}

// maxLook is how many items one new key may look at to find an idle one: some
// microseconds' worth.
const maxLook = 256

type item[V any] struct {
	key   string
	value V
	// used is set by each lookup and cleared by the passing hand, which so
	// spares what was looked up since it last came by ("second chance", the
	// usual cheap form of evicting the least recently used).
	used atomic.Bool
}

// NewRegistry returns an empty Registry for at most capacity keys. create makes
// the value of a new key, and idle tells whether a value may be evicted; both are
// called with the registry locked, so they must be quick and must not call back.
func NewRegistry[V any](capacity int, create func(key string) V, idle func(V) bool) (*Registry[V], error) {
	var errs []error
	if capacity < 1 {
		errs = append(errs, fmt.Errorf("keyed: capacity %d: must be at least 1", capacity))
	}
	if create == nil {
		errs = append(errs, errors.New("keyed: create: must not be nil"))
	}
	if idle == nil {
		errs = append(errs, errors.New("keyed: idle: must not be nil"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Registry[V]{create: create, idle: idle, capacity: capacity}, nil
}

// Get returns the value of key and creates it where there is none. It returns
// [ErrFull] when that would take more than the capacity and no idle value was
// found in a bounded search.
func (r *Registry[V]) Get(key string) (V, error) {
	if it, ok := r.lookup(key); ok {
		return it.value, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if it, ok := r.lookup(key); ok {
		return it.value, nil
	}
	if len(r.ring) >= r.capacity && !r.evict() {
		var none V
		return none, ErrFull
	}
	it := &item[V]{key: key, value: r.create(key)}
	r.index.Store(key, it)
	r.ring = append(r.ring, it)
	return it.value, nil
}

// Find returns the value of key without creating one.
func (r *Registry[V]) Find(key string) (V, bool) {
	if it, ok := r.lookup(key); ok {
		return it.value, true
	}
	var none V
	return none, false
}

// All iterates over the keys and values of this moment, in no particular order.
// The registry is not locked meanwhile.
func (r *Registry[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		r.index.Range(func(_, it any) bool {
			i := it.(*item[V])
			return yield(i.key, i.value)
		})
	}
}

// Len returns how many keys there are.
func (r *Registry[V]) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ring)
}

func (r *Registry[V]) lookup(key string) (*item[V], bool) {
	found, ok := r.index.Load(key)
	if !ok {
		return nil, false
	}
	it := found.(*item[V])
	if !it.used.Load() { // a plain store on each lookup would make readers fight for the line
		it.used.Store(true)
	}
	return it, true
}

// evict removes the first idle item that was not looked up since the hand last
// passed; in the second round it takes any idle one. It reports whether it found
// one. It looks at maxLook items at most, so that a flood of new keys costs the
// others no long wait; the hand goes on where it stopped, and so sees every item
// in time. The caller holds mu.
func (r *Registry[V]) evict() bool {
	for range min(2*len(r.ring), maxLook) {
		if r.hand >= len(r.ring) {
			r.hand = 0
		}
		it := r.ring[r.hand]
		if !it.used.Swap(false) && r.idle(it.value) {
			last := len(r.ring) - 1
			r.ring[r.hand] = r.ring[last]
			r.ring[last] = nil
			r.ring = r.ring[:last]
			r.index.Delete(it.key)
			return true
		}
		r.hand++
	}
	return false
}
