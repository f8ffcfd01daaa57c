package saramax

// tracker knows which records of one claim are done, and so what may be committed:
// the offset of the first one that is not. It is keyed by the order in which records
// came, not by offsets, which have gaps where a topic is compacted or transactions
// ended. It does no locking.
type tracker struct {
	offsets []int64  // a ring: the place of record number n is n & (len-1)
	done    []uint64 // one bit for each place
	head    uint64   // the first record that is not done
	tail    uint64   // the number of the next record
	above   int      // records done at or above head
	next    int64    // what to commit when all are done

	latest   int64     // the last offset that came; -1 before
	restored offsetMap // done in an earlier tenure, above its commit
}

const trackerSize = 64 // the least ring: one word of bits

// newTracker starts at an offset from which nothing has come yet.
func newTracker(start int64) tracker {
	return tracker{offsets: make([]int64, trackerSize), done: make([]uint64, 1), next: start, latest: -1}
}

// add takes in the next record and returns its number. Offsets grow.
func (t *tracker) add(offset int64) uint64 {
	if t.tail-t.head == uint64(len(t.offsets)) {
		t.grow()
	}
	n := t.tail
	t.tail++
	i := n & uint64(len(t.offsets)-1)
	t.offsets[i], t.latest = offset, offset
	t.done[i/64] &^= 1 << (i % 64)
	return n
}

// finish notes that record number n is done.
func (t *tracker) finish(n uint64) {
	mask := uint64(len(t.offsets) - 1)
	i := n & mask
	t.done[i/64] |= 1 << (i % 64)
	t.above++
	for t.head != t.tail {
		i := t.head & mask
		if t.done[i/64]&(1<<(i%64)) == 0 {
			return
		}
		t.next = t.offsets[i] + 1
		t.above--
		t.head++
	}
}

// commit is the offset that may be committed: nothing below it is left to do.
func (t *tracker) commit() int64 {
	if t.head == t.tail {
		return t.next
	}
	return t.offsets[t.head&uint64(len(t.offsets)-1)]
}

// held is how many records were taken in and cannot be committed yet.
func (t *tracker) held() int { return int(t.tail - t.head) }

// doneAbove yields the offsets above the commit that are done, as runs from first to
// last with something between them, in order. Offsets within a run that no record has
// are as good as done.
func (t *tracker) doneAbove(yield func(first, last int64) bool) {
	mask := uint64(len(t.offsets) - 1)
	open := false
	var first, last int64
	for n := t.head; n != t.tail; n++ {
		i := n & mask
		switch {
		case t.done[i/64]&(1<<(i%64)) != 0:
			if last = t.offsets[i]; !open {
				open, first = true, last
			}
		case open:
			if open = false; !yield(first, last) {
				return
			}
		}
	}
	for _, r := range t.restored { // what was done before and has not come again yet
		if r.last <= max(t.latest, t.commit()) {
			continue
		}
		switch from := max(r.first, t.latest+1); {
		case open && from == last+1:
			last = r.last
		case open && !yield(first, last):
			return
		default:
			open, first, last = true, from, r.last
		}
	}
	if open {
		yield(first, last)
	}
}

func (t *tracker) grow() {
	old, mask := *t, uint64(len(t.offsets)-1)
	t.offsets = make([]int64, 2*len(old.offsets))
	t.done = make([]uint64, 2*len(old.done))
	for n := t.head; n != t.tail; n++ {
		from, to := n&mask, n&(2*mask+1)
		t.offsets[to] = old.offsets[from]
		t.done[to/64] |= old.done[from/64] >> (from % 64) & 1 << (to % 64)
	}
}
