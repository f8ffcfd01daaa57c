package concurrency_test

import (
	"container/heap"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
)

// server is a dependency with room for so many calls at once; beyond, all of them
// take longer in proportion. It runs on simulated time.
type server struct {
	now     time.Duration
	service time.Duration
	room    int
	dropAt  int // calls in flight from which on it refuses; 0 means never
	calls   calls
}

type call struct {
	end     time.Duration
	dropped bool
	ticket  concurrency.Ticket
}

type calls []call

func (c calls) Len() int           { return len(c) }
func (c calls) Less(i, j int) bool { return c[i].end < c[j].end }
func (c calls) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *calls) Push(x any)        { *c = append(*c, x.(call)) }
func (c *calls) Pop() any {
	old := *c
	last := old[len(old)-1]
	*c = old[:len(old)-1]
	return last
}

// run offers arrivals evenly, so many a second, and returns how many calls ended
// and the average time that they took.
func (s *server) run(t *testing.T, a *concurrency.Adaptive, perSecond int, length time.Duration) (ended int, mean time.Duration) {
	t.Helper()
	gap, total := time.Second/time.Duration(perSecond), time.Duration(0)
	for stop := s.now + length; s.now < stop; s.now += gap {
		for len(s.calls) > 0 && s.calls[0].end <= s.now {
			c := heap.Pop(&s.calls).(call)
			if c.dropped {
				c.ticket.Drop()
			} else {
				c.ticket.Release()
			}
			ended++
		}
		ticket, err := a.Acquire(t.Context(), "")
		require.NoError(t, err)
		if !ticket.Allowed {
			continue
		}
		load := max(1, float64(len(s.calls)+1)/float64(s.room))
		took := time.Duration(float64(s.service) * load)
		total += took
		heap.Push(&s.calls, call{s.now + took, s.dropAt > 0 && len(s.calls) >= s.dropAt, ticket})
	}
	return ended, total / time.Duration(max(ended, 1))
}

func adaptive(t *testing.T, s *server, c concurrency.AdaptiveConfig) *concurrency.Adaptive {
	t.Helper()
	a, err := concurrency.NewAdaptive(c, concurrency.WithClock(func() time.Duration { return s.now }))
	require.NoError(t, err)
	return a
}

func TestAdaptiveFindsTheRoomOfItsDependency(t *testing.T) {
	for _, initial := range []int64{4, 20, 500} {
		s := &server{service: 50 * time.Millisecond, room: 50} // 1000 a second
		a := adaptive(t, s, concurrency.AdaptiveConfig{Initial: initial})
		s.run(t, a, 300, 5*time.Second) // calm: it learns what is usual
		s.run(t, a, 3000, 20*time.Second)
		limit := a.Snapshot().Limit
		require.GreaterOrEqual(t, limit, int64(40), "from %d", initial)
		require.LessOrEqual(t, limit, int64(120), "from %d", initial)
		ended, mean := s.run(t, a, 3000, 10*time.Second)
		require.Greater(t, ended, 8000, "it uses nearly all of the dependency's 1000 a second")
		require.Less(t, mean, 125*time.Millisecond)
	}
}

func TestALongOverloadDoesNotBecomeUsual(t *testing.T) {
	s := &server{service: 50 * time.Millisecond, room: 50}
	a := adaptive(t, s, concurrency.AdaptiveConfig{})
	s.run(t, a, 300, 5*time.Second)
	s.run(t, a, 3000, 10*time.Second)
	early := a.Snapshot().Limit
	s.run(t, a, 3000, 5*time.Minute)
	require.InDelta(t, early, a.Snapshot().Limit, float64(early)/4)
}

func TestAdaptiveRecoversFromALastingSlowdown(t *testing.T) {
	s := &server{service: 50 * time.Millisecond, room: 50}
	a := adaptive(t, s, concurrency.AdaptiveConfig{})
	s.run(t, a, 3000, 30*time.Second)
	s.service = 300 * time.Millisecond // for good, at any load: 167 a second
	s.run(t, a, 3000, time.Minute)
	ended, _ := s.run(t, a, 3000, 10*time.Second)
	require.Greater(t, ended, 1200)
	s.service = 50 * time.Millisecond
	s.run(t, a, 3000, time.Minute)
	ended, mean := s.run(t, a, 3000, 10*time.Second)
	require.Greater(t, ended, 8000)
	require.Less(t, mean, 200*time.Millisecond, "what was usual in the slow times is not quite forgotten before a calm one")
}

func TestAnIdleLimitStaysWhereItIs(t *testing.T) {
	s := &server{service: 50 * time.Millisecond, room: 50}
	a := adaptive(t, s, concurrency.AdaptiveConfig{Initial: 40})
	s.run(t, a, 100, time.Minute) // five in flight: nothing that could tell
	require.Equal(t, int64(40), a.Snapshot().Limit)
}

func TestDroppedCallsBringTheLimitDown(t *testing.T) {
	s := &server{service: 50 * time.Millisecond, room: 1000, dropAt: 30}
	a := adaptive(t, s, concurrency.AdaptiveConfig{Initial: 200})
	s.run(t, a, 3000, 20*time.Second)
	require.LessOrEqual(t, a.Snapshot().Limit, int64(40))
}

func TestIgnoredCallsTeachNothing(t *testing.T) {
	now := time.Duration(0)
	a, err := concurrency.NewAdaptive(concurrency.AdaptiveConfig{Initial: 20, Max: 20},
		concurrency.WithClock(func() time.Duration { return now }))
	require.NoError(t, err)
	rounds := func(n int, took time.Duration, end func(concurrency.Ticket)) {
		for range n {
			var all []concurrency.Ticket
			for range 15 {
				ticket, err := a.Acquire(t.Context(), "")
				require.NoError(t, err)
				require.True(t, ticket.Allowed)
				all = append(all, ticket)
			}
			now += took
			for _, ticket := range all {
				end(ticket)
			}
		}
	}
	rounds(100, 50*time.Millisecond, concurrency.Ticket.Release)
	rounds(100, time.Minute, concurrency.Ticket.Ignore) // hung, and were cancelled
	require.Equal(t, concurrency.Snapshot{Limit: 20}, a.Snapshot())
}

func TestAdaptiveBoundsCanBeChanged(t *testing.T) {
	a, err := concurrency.NewAdaptive(concurrency.AdaptiveConfig{Initial: 100})
	require.NoError(t, err)
	require.NoError(t, a.SetBounds(1, 30))
	require.Equal(t, int64(30), a.Snapshot().Limit)
	require.NoError(t, a.SetBounds(50, 60))
	require.Equal(t, int64(50), a.Snapshot().Limit)
	require.ErrorContains(t, a.SetBounds(10, 5), "max 5")
	require.Equal(t, int64(50), a.Snapshot().Limit)
}
