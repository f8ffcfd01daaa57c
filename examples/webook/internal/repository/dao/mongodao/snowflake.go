package mongodao

import (
	"fmt"
	"sync"
	"time"
)

// An id is 41 bits of milliseconds since epoch, 5 bits of node and 7 bits of a
// sequence: 53 bits in all, for front ends in JavaScript keep no more of a number. They
// last until 2094.
const (
	nodeBits     = 5
	sequenceBits = 7

	// Nodes is how many nodes there can be.
	Nodes = 1 << nodeBits
)

var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// snowflake makes ids that are distinct without asking anybody, and ordered by time
// within one node. It is safe for concurrent use.
type snowflake struct {
	node int64
	now  func() time.Time

	mu sync.Mutex
	// last is the millisecond and the sequence of the last id, in one number.
	last int64
}

func newSnowflake(node int, now func() time.Time) (*snowflake, error) {
	if node < 0 || node >= Nodes {
		return nil, fmt.Errorf("mongodao: node must be between 0 and %d: %d", Nodes-1, node)
	}
	return &snowflake{node: int64(node), now: now}, nil
}

// next returns the next id. When the clock stands still, goes back or is too slow for
// the demand, the ids run ahead of it: they count on.
func (s *snowflake) next() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, s.now().Sub(epoch).Milliseconds()<<sequenceBits)
	ms, sequence := s.last>>sequenceBits, s.last&(1<<sequenceBits-1)
	return ms<<(nodeBits+sequenceBits) | s.node<<sequenceBits | sequence
}
