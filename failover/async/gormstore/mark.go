package gormstore

import (
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/failover/async"
)

// marks remember, for each queue, up to where rows were claimed, so that the next claim
// begins there. What was claimed has left the index only for those who do not look
// back: while some transaction holds an old snapshot, or a purge lags, the database
// steps over every such entry again, and claims get slower the more was delivered.
//
// A mark is a hint. Rows that others had locked, or that were committed after a later
// one was claimed, are below it: every wholeEvery a claim begins at the beginning.
type marks struct {
	mu sync.Mutex
	of map[markKey]mark
}

type markKey struct {
	queue string
	from  async.State
}

type mark struct {
	due   map[async.Priority]int64 // of the last row claimed; never changed in place
	whole time.Time                // when a claim last began at the beginning
}

// wholeEvery is how long a row below the mark may wait longer than it should.
const wholeEvery = time.Second

// begin returns from which due times on a claim looks; none is from the beginning.
func (m *marks) begin(c async.Claim) map[async.Priority]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of[markKey{c.Queue, c.From}]
	if c.Newest || time.Since(k.whole) >= wholeEvery {
		return nil
	}
	return k.due
}

// end takes what a claim got that stands, and from where it looked.
func (m *marks) end(c async.Claim, from map[async.Priority]int64, got []record) {
	if c.Newest {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := markKey{c.Queue, c.From}
	k := mark{due: make(map[async.Priority]int64), whole: m.of[key].whole}
	for p, due := range m.of[key].due {
		k.due[p] = due
	}
	last := make(map[async.Priority]int64)
	for _, r := range got {
		last[async.Priority(r.Priority)] = max(last[async.Priority(r.Priority)], r.Due)
	}
	for p, due := range last {
		k.due[p] = due // also back, where a whole claim found older ones
	}
	if from == nil {
		k.whole = time.Now()
	}
	if m.of == nil {
		m.of = make(map[markKey]mark)
	}
	m.of[key] = k
}
