package failover

import (
	"fmt"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

// position is where a sticky group stands: its candidate, how many time-outs in a row
// it has had there, and the generation, which counts switches. All three are in one
// word, so that a switch is one compare-and-swap and nothing of a generation can be
// counted in another.
type position uint64

const (
	indexBits   = 8
	countBits   = 24
	maxTimeouts = 1 << (countBits - 1)
)

func newPosition(generation uint32, count, index int) position {
	return position(generation)<<(indexBits+countBits) | position(count)<<indexBits | position(index)
}

func (p position) index() int         { return int(p & (1<<indexBits - 1)) }
func (p position) count() int         { return int(p >> indexBits & (1<<countBits - 1)) }
func (p position) generation() uint32 { return uint32(p >> (indexBits + countBits)) }

// stayed hears of a success of a call that began at a position.
func (c *core) stayed(began position) {
	for {
		now := position(c.sticky.Load())
		if now.generation() != began.generation() || now.count() == 0 {
			return
		}
		if c.sticky.CompareAndSwap(uint64(now), uint64(newPosition(now.generation(), 0, now.index()))) {
			return
		}
	}
}

// timedOut hears of a time-out of a call that began at a position, and switches when
// there were too many.
func (c *core) timedOut(set *settings, began position) {
	for {
		now := position(c.sticky.Load())
		if now.generation() != began.generation() {
			return
		}
		count := now.count() + 1
		if count > set.timeouts {
			if to, ok := c.successor(now.index()); ok {
				c.move(now, to, fmt.Sprintf("%d time-outs in a row", count))
			}
			// Whoever lost the race leaves it at the winner's. A count that has
			// nowhere to go stays where it is.
			return
		}
		if c.sticky.CompareAndSwap(uint64(now), uint64(newPosition(now.generation(), count, now.index()))) {
			return
		}
	}
}

// move switches to another candidate, unless somebody else was first. The lock is for
// the order of events only.
func (c *core) move(from position, to int, reason string) {
	next := newPosition(from.generation()+1, 0, to)
	c.events.mu.Lock()
	if c.sticky.CompareAndSwap(uint64(from), uint64(next)) {
		c.events.push(Event{
			Kind: Switched, From: c.members[from.index()].name, To: c.members[to].name,
			Generation: uint64(next.generation()), Reason: reason,
		})
	}
	c.events.mu.Unlock()
	c.flush()
}

// successor chooses whom to switch to: the next one in the circle that is well and of
// another domain, or just well, or at least not drained.
func (c *core) successor(index int) (int, bool) {
	others := c.all &^ bit(index) &^ c.drained.Load()
	if others == 0 {
		return 0, false
	}
	well := uint64(0)
	for i := range c.health {
		if others&bit(i) != 0 && c.health[i].breaker.State() == circuitbreaker.Closed {
			well |= bit(i)
		}
	}
	for _, from := range []uint64{others & c.forced.Load(), well &^ c.mates[index], well} {
		if from != 0 {
			return after(index, from), true
		}
	}
	return after(index, others), true
}
