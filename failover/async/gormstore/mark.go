package gormstore

import (
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/failover/async"
)

// marks remember, for each queue, where the last claim was, so that the next one begins
// there. What was claimed has left the index only for those who do not look back: while
// some transaction holds an old snapshot, or a purge lags, the database steps over
// every such entry again, and claims get slower the more was delivered since.
//
// A mark is a hint. Rows that others had locked, or that were committed after a later
// one was claimed, are below it: every wholeEvery a claim begins at the beginning.
type marks struct {
	mu sync.Mutex
	of map[markKey]mark
}

type markKey struct {
	queue    string
	from     async.State
	priority async.Priority
}

type mark struct {
	due   int64     // of the last row claimed
	whole time.Time // when a claim last began at the beginning
}

// wholeEvery is how long a row below the mark may wait longer than it should.
const wholeEvery = time.Second

// begin returns from which due time on a claim looks; whole is whether from the
// beginning.
func (m *marks) begin(c async.Claim, p async.Priority) (due int64, whole bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of[markKey{c.Queue, c.From, p}]
	if c.Newest || time.Since(k.whole) >= wholeEvery {
		return 0, true
	}
	return k.due, false
}

// end takes what a claim got, in the order of due times.
func (m *marks) end(c async.Claim, p async.Priority, whole bool, got []record) {
	if c.Newest {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := markKey{c.Queue, c.From, p}
	k := m.of[key]
	if len(got) > 0 {
		k.due = got[len(got)-1].Due
	}
	if whole {
		k.whole = time.Now()
	}
	if m.of == nil {
		m.of = make(map[markKey]mark)
	}
	m.of[key] = k
}
