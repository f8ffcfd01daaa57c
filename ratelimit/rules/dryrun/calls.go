package dryrun

import "sync"

// call is what is kept of one: when it came and its lot, whose it is, and its cost.
type call struct {
	when    uint64 // ns, times 64, and the ticket
	subject uint32 // a place in the table of its shard
	cost    uint32
}

const (
	ticketBits = 6
	mostTicket = 1<<ticketBits - 1
	longest    = 1<<(63-ticketBits) - 1 // 4 years, in ns
)

func pack(now int64, ticket, cost uint32) call {
	return call{when: uint64(now)<<ticketBits | uint64(ticket), cost: cost}
}

func (c call) at() int64      { return int64(c.when >> ticketBits) }
func (c call) ticket() uint32 { return uint32(c.when & mostTicket) }

// chunkSize is how many calls a chunk holds.
const chunkSize = 128

// chunks is the room for all calls. The shards take of it as they need, since one
// busy subject can have more calls than all others.
type chunks struct {
	calls []call   // chunk i begins at i*chunkSize
	next  []uint32 // the chunk after i in its queue

	mu   sync.Mutex
	free []uint32
}

func newChunks(calls int) *chunks {
	n := calls / chunkSize
	c := &chunks{calls: make([]call, n*chunkSize), next: make([]uint32, n), free: make([]uint32, n)}
	for i := range c.free {
		c.free[i] = uint32(n - 1 - i)
	}
	return c
}

func (c *chunks) take() (chunk uint32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.free) - 1
	if last < 0 {
		return 0, false
	}
	chunk, c.free = c.free[last], c.free[:last]
	return chunk, true
}

func (c *chunks) give(chunk uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = append(c.free, chunk) // within its capacity
}

// left returns how many chunks are free.
func (c *chunks) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.free)
}

// queue is a list of chunks, oldest first. All but the last are full, and none is
// empty.
type queue struct {
	head, tail uint32
	count      int // of chunks
	fill       int // calls in the last chunk
}

// push adds a call, unless there is no chunk for it.
func (q *queue) push(c *chunks, added call) bool {
	if q.count == 0 || q.fill == chunkSize {
		chunk, ok := c.take()
		if !ok {
			return false
		}
		if q.count == 0 {
			q.head = chunk
		} else {
			c.next[q.tail] = chunk
		}
		q.tail, q.fill = chunk, 0
		q.count++
	}
	c.calls[int(q.tail)*chunkSize+q.fill] = added
	q.fill++
	return true
}

// full tells whether another call needs a chunk.
func (q *queue) full() bool { return q.count == 0 || q.fill == chunkSize }

// first returns the calls of the oldest chunk.
func (q *queue) first(c *chunks) []call {
	if q.count == 0 {
		return nil
	}
	begin, n := int(q.head)*chunkSize, chunkSize
	if q.count == 1 {
		n = q.fill
	}
	return c.calls[begin : begin+n]
}

// drop gives the oldest chunk back.
func (q *queue) drop(c *chunks) {
	chunk := q.head
	q.head = c.next[chunk]
	q.count--
	c.give(chunk)
}

// move writes a call to the chunks that q's head leads, which are another queue's. It
// stays behind who reads that one.
func (q *queue) move(c *chunks, kept call) {
	if q.count == 0 {
		q.count = 1
	} else if q.fill == chunkSize {
		q.tail, q.fill = c.next[q.tail], 0
		q.count++
	}
	c.calls[int(q.tail)*chunkSize+q.fill] = kept
	q.fill++
}

// shrink cuts q down to kept, which is in its first chunks, and gives the others back.
func (q *queue) shrink(c *chunks, kept queue) {
	rest := *q
	for range kept.count {
		rest.head = c.next[rest.head]
	}
	for rest.count -= kept.count; rest.count > 0; {
		rest.drop(c)
	}
	*q = kept
}

// each calls f with all calls, oldest first.
func (q *queue) each(c *chunks, f func(call)) {
	for rest := *q; rest.count > 0; rest.count-- {
		for _, kept := range rest.first(c) {
			f(kept)
		}
		rest.head = c.next[rest.head]
	}
}
