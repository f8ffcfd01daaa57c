package dryrun

import (
	"math/bits"
	"net/netip"
	"sync"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

const maxShards = 16

// shard is an independently locked part of the recorder: some subjects and their
// calls.
type shard struct {
	mu       sync.Mutex
	calls    queue
	subjects table
	_        [24]byte // keeps the locks of neighbours off one cache line
}

// newShards divides the subjects. A shard holds on to a chunk or two that are not
// full, so there are fewer shards where there are few chunks.
func newShards(chunks, subjects int) []shard {
	n := 1
	for n < maxShards && chunks/(2*n) >= 64 {
		n *= 2
	}
	shards := make([]shard, n)
	for i := range shards {
		shards[i].subjects = newTable(subjects / n)
	}
	return shards
}

// add keeps a call, unless there is no room for it.
func (s *shard) add(c *chunks, id *identity, n *names, added call, before int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls.full() {
		s.expire(c, before)
	}
	place, ok := s.subjects.find(id.id)
	if !ok {
		if place, ok = s.subjects.insert(id, n); !ok {
			return false
		}
	}
	added.subject = place
	if ok = s.calls.push(c, added); ok {
		s.subjects.entries[place].calls++
	} else if s.subjects.entries[place].calls == 0 {
		s.subjects.remove(place)
	}
	return ok
}

// expire forgets calls from before a time, and who has made no other. It needs the
// lock.
func (s *shard) expire(c *chunks, before int64) {
	for {
		oldest := s.calls.first(c)
		if len(oldest) == 0 || oldest[len(oldest)-1].at() >= before {
			return
		}
		for _, gone := range oldest {
			s.subjects.release(gone.subject)
		}
		s.calls.drop(c)
	}
}

// thin forgets the calls that are not in the sample of a level. It needs the lock.
func (s *shard) thin(c *chunks, l uint32) {
	all, kept := s.calls, queue{head: s.calls.head, tail: s.calls.head}
	for ; all.count > 0; all.count-- {
		for _, old := range all.first(c) {
			if !s.subjects.entries[old.subject].within(l) && old.ticket() < l {
				s.subjects.release(old.subject)
				continue
			}
			kept.move(c, old)
		}
		all.head = c.next[all.head]
	}
	s.calls.shrink(c, kept)
}

// entry is a subject that was seen.
type entry struct {
	id, user, tenant, method uint64
	ip                       [16]byte // a pseudonym
	calls                    uint32   // that are kept
	userLevel, blockLevel    uint8
	family                   uint8 // 4 or 6, 0 without an address
}

func (e *entry) within(l uint32) bool { return uint32(e.userLevel) >= l || uint32(e.blockLevel) >= l }

// subject returns it as a rule in pseudonyms meets it.
func (e *entry) subject() rules.Subject {
	s := rules.Subject{User: text(e.user), Tenant: text(e.tenant), Method: text(e.method)}
	switch e.family {
	case 4:
		s.IP = netip.AddrFrom16(e.ip).Unmap()
	case 6:
		s.IP = netip.AddrFrom16(e.ip)
	}
	return s
}

// table holds subjects at fixed places, and finds them by their hash, in open
// addressing.
type table struct {
	entries []entry
	free    []uint32 // places that were given back
	fresh   uint32   // places from here on were never used
	index   []uint32 // places plus 1; 0 is empty
}

func newTable(subjects int) table {
	return table{
		entries: make([]entry, subjects), free: make([]uint32, 0, subjects),
		index: make([]uint32, subjects+subjects/2+1),
	}
}

// left returns how many places are free.
func (t *table) left() int { return len(t.entries) - int(t.fresh) + len(t.free) }

func (t *table) home(id uint64) int {
	hi, _ := bits.Mul64(id, uint64(len(t.index)))
	return int(hi)
}

func (t *table) next(i int) int {
	if i++; i == len(t.index) {
		return 0
	}
	return i
}

func (t *table) find(id uint64) (place uint32, ok bool) {
	for i := t.home(id); t.index[i] != 0; i = t.next(i) {
		if place = t.index[i] - 1; t.entries[place].id == id {
			return place, true
		}
	}
	return 0, false
}

// insert adds a subject that find did not find, unless the table is full.
func (t *table) insert(id *identity, n *names) (place uint32, ok bool) {
	if last := len(t.free) - 1; last >= 0 {
		place, t.free = t.free[last], t.free[:last]
	} else if int(t.fresh) < len(t.entries) {
		place = t.fresh
		t.fresh++
	} else {
		return 0, false
	}
	e := entry{
		id: id.id, user: id.user, tenant: id.tenant, method: id.method,
		userLevel: uint8(level(id.user)), blockLevel: uint8(level(id.block)),
	}
	if id.ip.IsValid() {
		e.ip, e.family = n.addr(id.ip).As16(), 6
		if id.ip.Is4() {
			e.family = 4
		}
	}
	t.entries[place] = e
	i := t.home(e.id)
	for t.index[i] != 0 {
		i = t.next(i)
	}
	t.index[i] = place + 1
	return place, true
}

// release counts a call less of a subject, and forgets who has none.
func (t *table) release(place uint32) {
	e := &t.entries[place]
	if e.calls--; e.calls == 0 {
		t.remove(place)
	}
}

// remove forgets a subject, and closes the gap in the index.
func (t *table) remove(place uint32) {
	i := t.home(t.entries[place].id)
	for t.index[i] != place+1 {
		i = t.next(i)
	}
	for j := t.next(i); t.index[j] != 0; j = t.next(j) {
		home := t.home(t.entries[t.index[j]-1].id)
		if i < j && i < home && home <= j || j < i && (i < home || home <= j) {
			continue // it cannot be found from its home if it moves before it
		}
		t.index[i] = t.index[j]
		i = j
	}
	t.index[i] = 0
	t.entries[place] = entry{}
	t.free = append(t.free, place) // within its capacity
}
