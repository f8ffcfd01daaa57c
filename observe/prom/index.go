package prom

import (
	"maps"
	"sync/atomic"
)

// index is a map for few writes and very many reads: a reader takes no lock and
// makes no allocation, whatever the key type (a sync.Map boxes its keys). New
// entries gather in a second map, and are copied to the readers' map when reads
// have missed about as often as there are entries, so that n entries cost O(n)
// copies in total.
//
// get may be called at any time; the other methods under one lock of the owner's.
type index[K comparable, V any] struct {
	read   atomic.Pointer[map[K]V]
	all    map[K]V
	misses int
}

func (x *index[K, V]) get(key K) (v V, ok bool) {
	if m := x.read.Load(); m != nil {
		v, ok = (*m)[key]
	}
	return v, ok
}

func (x *index[K, V]) getLocked(key K) (v V, ok bool) {
	if v, ok = x.all[key]; ok {
		x.missed()
	}
	return v, ok
}

func (x *index[K, V]) putLocked(key K, v V) {
	if x.all == nil {
		x.all = make(map[K]V)
	}
	x.all[key] = v
	x.missed()
}

func (x *index[K, V]) missed() {
	x.misses++
	if 2*x.misses >= len(x.all) {
		x.publishLocked()
	}
}

// publishLocked shows readers every entry.
func (x *index[K, V]) publishLocked() {
	m := maps.Clone(x.all)
	x.read.Store(&m)
	x.misses = 0
}
