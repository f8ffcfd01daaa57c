package keyed

import (
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"math/bits"
	"sync"
)

// Full tells what a [Table] does with a new key when it is full of busy ones.
type Full uint8

// The policies.
const (
	// Refuse keeps what there is and refuses the new key.
	Refuse Full = iota
	// Evict makes room by forgetting the key that would become idle first, of a
	// few near by.
	Evict
)

const (
	minShardCapacity = 1024 // fewer keys in a shard would fill unevenly
	maxShards        = 128
	firstSlots       = 16
	evictLook        = 16 // how many busy neighbours Evict compares
	// rescan is the least time, in nanoseconds, between two searches of a full
	// shard for idle keys: a search looks at the whole shard.
	rescan = int64(10e6)
)

// Table maps keys to small values that it stores inline, in open addressing by a
// 64-bit fingerprint; the keys themselves are not kept. The fingerprint's seed is
// random, so nobody can choose keys that collide; among a million keys two share a
// value with a probability of 3e-8.
//
// Times are the owner's: nanoseconds on whatever clock it hands in. A Table is
// safe for concurrent use through its shards' locks.
type Table[V any] struct {
	seed   maphash.Seed
	until  func(shard int, v *V) int64
	full   Full
	mask   uint64
	shards []Shard[V]
}

// NewTable returns an empty Table. It holds at most capacity keys, and, since the
// shards fill a little unevenly, may be full from nine tenths of that on. until
// tells when a value in a shard becomes idle, math.MaxInt64 for not in sight; it is
// called with the shard locked. An owner that moves a time in sight to an earlier
// one calls Rescan, else a full shard may notice only at the later one.
func NewTable[V any](capacity int, full Full, until func(shard int, v *V) int64) (*Table[V], error) {
	if capacity < 1 {
		return nil, fmt.Errorf("keyed: capacity %d: must be at least 1", capacity)
	}
	n := 1
	for n < maxShards && capacity/(2*n) >= minShardCapacity {
		n *= 2
	}
	t := &Table[V]{
		seed: maphash.MakeSeed(), until: until, full: full,
		mask: uint64(n - 1), shards: make([]Shard[V], n),
	}
	for i := range t.shards {
		t.shards[i].table, t.shards[i].Index, t.shards[i].capacity = t, i, capacity/n
	}
	return t, nil
}

// Hash returns the fingerprint of key.
func (t *Table[V]) Hash(key string) uint64 {
	return max(maphash.String(t.seed, key), 1) // 0 marks an empty slot
}

// Shard returns the shard of a fingerprint, not locked.
func (t *Table[V]) Shard(h uint64) *Shard[V] { return &t.shards[h&t.mask] }

// Shards iterates over all shards, not locked, in the order of their Index. Who
// locks several at a time does it in that order.
func (t *Table[V]) Shards() iter.Seq[*Shard[V]] {
	return func(yield func(*Shard[V]) bool) {
		for i := range t.shards {
			if !yield(&t.shards[i]) {
				return
			}
		}
	}
}

// ShardCount returns how many shards there are.
func (t *Table[V]) ShardCount() int { return len(t.shards) }

// Len returns how many keys the table holds, idle ones included.
func (t *Table[V]) Len() int {
	total := 0
	for sh := range t.Shards() {
		sh.Lock()
		total += sh.used
		sh.Unlock()
	}
	return total
}

// Shard is one independently locked part of a [Table]. Lock it for every method.
// The values that it hands out are valid until it is unlocked or inserts.
type Shard[V any] struct {
	sync.Mutex
	// Index is the shard's place, from 0.
	Index    int
	table    *Table[V]
	slots    []slot[V]
	used     int
	capacity int
	// A search for idle keys found none that would be idle before earliest, and
	// need not be repeated sooner while still is true; nextScan is its pause.
	still    bool
	earliest int64
	nextScan int64
	_        [24]byte // keeps the locks of neighbours off one cache line
}

type slot[V any] struct {
	hash  uint64
	value V
}

// Find returns the value of a fingerprint, nil when there is none.
func (s *Shard[V]) Find(h uint64) *V {
	if s.used == 0 {
		return nil
	}
	for i := s.home(h); ; i = s.next(i) {
		switch s.slots[i].hash {
		case h:
			return &s.slots[i].value
		case 0:
			return nil
		}
	}
}

// Insert adds a zero value for a fingerprint that Find did not find. It returns
// nil when the table is full of busy keys and refuses.
func (s *Shard[V]) Insert(h uint64, now int64) *V {
	if !s.makeRoom(h, now) {
		return nil
	}
	i := s.home(h)
	for s.slots[i].hash != 0 {
		i = s.next(i)
	}
	s.slots[i].hash = h
	s.used++
	s.still = false
	return &s.slots[i].value
}

// FindOrInsert returns the value of a fingerprint, a new zero one where there was
// none, or nil when the table is full of busy keys and refuses.
func (s *Shard[V]) FindOrInsert(h uint64, now int64) *V {
	if v := s.Find(h); v != nil {
		return v
	}
	return s.Insert(h, now)
}

// Values iterates over all values.
func (s *Shard[V]) Values() iter.Seq[*V] {
	return func(yield func(*V) bool) {
		for i := range s.slots {
			if s.slots[i].hash != 0 && !yield(&s.slots[i].value) {
				return
			}
		}
	}
}

// Rescan forgets that a search for idle keys found none, for an owner that has
// changed what idle means.
func (s *Shard[V]) Rescan() { s.still, s.nextScan = false, 0 }

func (s *Shard[V]) home(h uint64) int {
	hi, _ := bits.Mul64(h, uint64(len(s.slots)))
	return int(hi)
}

func (s *Shard[V]) next(i int) int {
	if i++; i == len(s.slots) {
		return 0
	}
	return i
}

// makeRoom sees to it that one more key fits.
func (s *Shard[V]) makeRoom(h uint64, now int64) bool {
	if s.used >= s.capacity {
		if s.maySearch(now) {
			s.purge(now)
		}
		return s.used < s.capacity || s.table.full == Evict && s.evictNear(h)
	}
	if limit := len(s.slots) / 8 * 5; s.used >= limit {
		// Grow unless a fair part turns out to be idle.
		if s.purge(now); s.used >= limit/4*3 {
			s.grow()
		}
		s.Rescan()
	}
	return true
}

func (s *Shard[V]) maySearch(now int64) bool {
	return now >= s.nextScan && (!s.still || now >= s.earliest)
}

// purge removes what is idle.
func (s *Shard[V]) purge(now int64) {
	earliest, pinned := int64(math.MaxInt64), false
	for i := 0; i < len(s.slots); {
		if s.slots[i].hash != 0 {
			until := s.table.until(s.Index, &s.slots[i].value)
			if until <= now {
				s.remove(i) // may pull another key to i: look again
				continue
			}
			earliest = min(earliest, until)
			pinned = pinned || until == math.MaxInt64
		}
		i++
	}
	// A pinned value becomes idle without a time that could be known now.
	s.still, s.earliest, s.nextScan = !pinned, earliest, now+rescan
}

// evictNear removes the neighbour that is idle soonest; h is the new key's.
func (s *Shard[V]) evictNear(h uint64) bool {
	best, bestUntil := -1, int64(math.MaxInt64)
	for i, seen := s.home(h), 0; seen < min(evictLook, s.used); i = s.next(i) {
		if s.slots[i].hash == 0 {
			continue
		}
		seen++
		if until := s.table.until(s.Index, &s.slots[i].value); until < bestUntil {
			best, bestUntil = i, until
		}
	}
	if best < 0 { // all pinned
		return false
	}
	s.remove(best)
	return true
}

// remove empties slot i and closes the gap, so that no search meets a tombstone.
func (s *Shard[V]) remove(i int) {
	for j := s.next(i); s.slots[j].hash != 0; j = s.next(j) {
		home := s.home(s.slots[j].hash)
		if i < j && i < home && home <= j || j < i && (i < home || home <= j) {
			continue // it cannot be found from its home if it moves before it
		}
		s.slots[i] = s.slots[j]
		i = j
	}
	s.slots[i] = slot[V]{}
	s.used--
}

func (s *Shard[V]) grow() {
	old := s.slots
	size := len(old) * 2
	if size > minShardCapacity {
		size = len(old) / 2 * 3 // less to spare where it counts
	}
	most := s.capacity/5*8 + 16
	s.slots = make([]slot[V], min(max(size, firstSlots), most))
	for _, o := range old {
		if o.hash == 0 {
			continue
		}
		i := s.home(o.hash)
		for s.slots[i].hash != 0 {
			i = s.next(i)
		}
		s.slots[i] = o
	}
}
