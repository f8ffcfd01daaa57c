package saramax

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// lineModel says who is inside: who waits stands in a line, and its head goes in as
// soon as it fits.
type lineModel struct {
	records, bytes int
	inside, line   []int // numbers of callers
	size           []int // by number
}

func (m *lineModel) held() (n, bytes int) {
	for _, c := range m.inside {
		bytes += m.size[c]
	}
	return len(m.inside), bytes
}

func (m *lineModel) settle() {
	for len(m.line) > 0 {
		n, bytes := m.held()
		if n == m.records || bytes+m.size[m.line[0]] > m.bytes {
			return
		}
		m.inside, m.line = append(m.inside, m.line[0]), m.line[1:]
	}
}

func TestRoomServesInTurnAndNeverOverflows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &lineModel{records: 3, bytes: 100}
		r := &room{maxRecords: 3, maxBytes: 100}
		var waiters []*waiter // by number; nil for who went in at once
		remove := func(from *[]int, label string) int {
			i := rapid.IntRange(0, len(*from)-1).Draw(t, label)
			c := (*from)[i]
			*from = slices.Delete(slices.Clone(*from), i, i+1)
			return c
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 3).Draw(t, "step"); {
			case step <= 1:
				bytes := rapid.IntRange(0, 100).Draw(t, "bytes")
				m.size, m.line = append(m.size, bytes), append(m.line, len(m.size))
				waiters = append(waiters, r.queue(bytes))
			case step == 2 && len(m.inside) > 0:
				r.leave(m.size[remove(&m.inside, "leaves")])
			case step == 3 && len(m.line) > 0:
				r.giveUp(waiters[remove(&m.line, "gives up")])
			}
			m.settle()
			n, bytes := m.held()
			gotN, gotBytes := r.held()
			require.Equal(t, n, gotN)
			require.Equal(t, bytes, gotBytes)
			for _, c := range m.inside {
				require.True(t, granted(waiters[c]), "it fits, and was kept waiting")
			}
			for _, c := range m.line {
				require.False(t, granted(waiters[c]), "it was let in out of turn")
			}
		}
	})
}

func granted(w *waiter) bool {
	if w == nil {
		return true
	}
	select {
	case <-w.granted:
		return true
	default:
		return false
	}
}

func TestWhoGivesUpTheMomentItIsGrantedLeavesNothingTaken(t *testing.T) {
	r := &room{maxRecords: 1, maxBytes: 1}
	require.Nil(t, r.queue(1))
	w := r.queue(1)
	r.leave(1) // granted to w
	r.giveUp(w)
	n, bytes := r.held()
	require.Zero(t, n)
	require.Zero(t, bytes)
	require.Nil(t, r.queue(1))
}

func TestRoomOfAClosedProducerIsNotWaitedFor(t *testing.T) {
	r := &room{maxRecords: 1, maxBytes: 1}
	require.NoError(t, r.enter(t.Context(), nil, 1))
	closing := make(chan struct{})
	close(closing)
	require.ErrorIs(t, r.enter(t.Context(), closing, 1), ErrProducerClosed)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.enter(ctx, nil, 1), ErrBufferFull)
	r.leave(1)
	n, bytes := r.held()
	require.Zero(t, n)
	require.Zero(t, bytes)
}
