package saramax_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/saramax"
)

func TestClaimIsReadWhileItsHandlerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		u := newUnit(t, each(func(context.Context, rawRecord) error { <-release; return nil }),
			saramax.WithWindow(saramax.Window{Messages: 1000}), saramax.WithBatch(100, 0))
		c := u.Claim(topic, 0)
		c.Send(raw(900)...)
		settle()
		require.False(t, u.IsPaused(topic, 0))
		c.Send(raw(9000)...) // one large fetch: nobody waits for the handler
		settle()
		require.True(t, u.IsPaused(topic, 0))
		status := u.handler.Status().Partitions
		require.Len(t, status, 1)
		require.Equal(t, saramax.PauseBackpressure, status[0].Paused)
		require.Equal(t, 9899, status[0].Waiting)
		require.Equal(t, 1, status[0].InFlight)
		close(release)
		pass(2 * time.Second)
		require.False(t, u.IsPaused(topic, 0))
		require.Equal(t, 1, u.Pauses(topic, 0), "low water is well below high water")
		require.EqualValues(t, 9900, u.committed())
	})
}

func TestWindowCountsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		u := newUnit(t, each(func(context.Context, rawRecord) error { <-release; return nil }),
			saramax.WithWindow(saramax.Window{Bytes: 1000}))
		c := u.Claim(topic, 0)
		c.Send(&sarama.ConsumerMessage{Key: make([]byte, 500), Value: make([]byte, 500)})
		settle()
		require.True(t, u.IsPaused(topic, 0))
		close(release)
		settle()
		require.False(t, u.IsPaused(topic, 0))
	})
}

func TestPauseEndsWithTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnit(t, each(func(ctx context.Context, _ rawRecord) error { <-ctx.Done(); return ctx.Err() }),
			saramax.WithWindow(saramax.Window{Messages: 10}), saramax.WithBatch(10, 0), saramax.WithDrain(time.Second))
		c := u.Claim(topic, 0)
		c.Send(raw(100)...)
		settle()
		require.True(t, u.IsPaused(topic, 0))
		require.NoError(t, c.Revoke())
		require.False(t, u.IsPaused(topic, 0), "sarama keeps a pause over reassignment")

		u.Pause(map[string][]int32{topic: {0}}) // as if somebody left it behind
		u.Claim(topic, 0)
		settle()
		require.False(t, u.IsPaused(topic, 0))
	})
}

// recorder follows which keys are handled at the same time, and in which order.
type recorder struct {
	mu      sync.Mutex
	running map[string]int
	all     int
	most    int
	seen    map[string][]int64
	overlap bool
}

func newRecorder() *recorder {
	return &recorder{running: map[string]int{}, seen: map[string][]int64{}}
}

func (r *recorder) begin(rec rawRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := string(rec.Key)
	r.running[key]++
	r.overlap = r.overlap || r.running[key] > 1
	r.all++
	r.most = max(r.most, r.all)
	r.seen[key] = append(r.seen[key], rec.Offset)
}

func (r *recorder) end(rec rawRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[string(rec.Key)]--
	r.all--
}

func TestKeysKeepTheirOrderAndRunBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		u := newUnit(t, each(func(_ context.Context, r rawRecord) error {
			rec.begin(r)
			defer rec.end(r)
			time.Sleep(time.Duration(r.Offset%7) * time.Millisecond)
			return nil
		}), saramax.WithOrder(saramax.OrderKey, 8))
		c := u.Claim(topic, 0)
		var keys []string
		for i := range 1000 {
			keys = append(keys, fmt.Sprint("k", i%20))
		}
		c.Send(keyed(keys...)...)
		pass(time.Minute)
		require.EqualValues(t, 1000, u.committed())
		require.False(t, rec.overlap)
		require.Equal(t, 8, rec.most)
		for key, offsets := range rec.seen {
			require.Len(t, offsets, 50, key)
			require.IsIncreasing(t, offsets, key)
		}
	})
}

func TestNullKeyIsNoKeyAndAnEmptyOneIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			key  []byte
			most int
		}{{nil, 5}, {[]byte{}, 1}} {
			rec := newRecorder()
			u := newUnit(t, each(func(_ context.Context, r rawRecord) error {
				rec.begin(r)
				defer rec.end(r)
				time.Sleep(time.Millisecond)
				return nil
			}), saramax.WithOrder(saramax.OrderKey, 5))
			messages := raw(50)
			for _, m := range messages {
				m.Key = c.key
			}
			u.Claim(topic, 0).Send(messages...)
			pass(3 * time.Second)
			require.Equal(t, c.most, rec.most)
			require.EqualValues(t, 50, u.committed())
			u.End()
		}
	})
}

func TestSlowKeyIsInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var others atomic.Int64
		u := newUnit(t, each(func(_ context.Context, r rawRecord) error {
			if string(r.Key) == "slow" {
				<-release
			} else {
				others.Add(1)
			}
			return nil
		}), saramax.WithOrder(saramax.OrderKey, 2),
			saramax.WithWindow(saramax.Window{Messages: 1000, PerKey: 50}), saramax.WithStuck(saramax.Stuck{After: 10 * time.Hour}))
		c := u.Claim(topic, 0)
		var keys []string
		for i := range 4000 {
			keys = append(keys, []string{"slow", fmt.Sprint(i)}[i%2])
		}
		c.Send(keyed(keys...)...)
		pass(time.Second)
		require.EqualValues(t, 2000, others.Load())
		require.False(t, u.IsPaused(topic, 0), "what a hot key has beyond its quota does not fill the window")
		close(release)
		pass(3 * time.Second)
		require.EqualValues(t, 4000, u.committed())
	})
}

func TestGapIsBoundedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		u := newUnit(t, each(func(_ context.Context, r rawRecord) error {
			if r.Offset == 0 && !well.Load() {
				return errTransient
			}
			return nil
		}), saramax.WithOrder(saramax.OrderKey, 2), saramax.WithRetry(saramax.RetryPolicy{Attempts: 1 << 30, Max: time.Second}),
			saramax.WithWindow(saramax.Window{Messages: 100, Gap: 500}))
		c := u.Claim(topic, 0)
		c.Send(raw(499)...)
		pass(time.Minute)
		require.False(t, u.IsPaused(topic, 0), "retries do not count against the window")
		c.Send(raw(1)...)
		settle()
		require.True(t, u.IsPaused(topic, 0))
		require.Equal(t, saramax.PauseGap, u.handler.Status().Partitions[0].Paused)
		require.Len(t, u.kinds(saramax.EventGap), 1)
		pass(time.Minute)
		require.Len(t, u.kinds(saramax.EventGap), 1)
		well.Store(true)
		pass(time.Minute)
		require.False(t, u.IsPaused(topic, 0))
		require.EqualValues(t, 500, u.committed())
	})
}

func TestAgeOfTheBlockingRecordPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		u := newUnit(t, each(func(_ context.Context, r rawRecord) error {
			if r.Offset == 0 {
				<-release
			}
			return nil
		}), saramax.WithOrder(saramax.Unordered, 2), saramax.WithWindow(saramax.Window{Age: 30 * time.Second}))
		u.Claim(topic, 0).Send(raw(10)...)
		pass(20 * time.Second)
		require.False(t, u.IsPaused(topic, 0))
		pass(15 * time.Second)
		require.True(t, u.IsPaused(topic, 0))
		require.Len(t, u.kinds(saramax.EventGap), 1)
		close(release)
		pass(time.Second)
		require.False(t, u.IsPaused(topic, 0))
		require.EqualValues(t, 10, u.committed())
	})
}

func TestOffsetIsPassedOnlyOnceTheRecordIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int64
		var others atomic.Int64
		u := newUnit(t, each(func(_ context.Context, r rawRecord) error {
			if r.Offset == 0 {
				return saramax.Permanent(errTransient)
			}
			others.Add(1)
			time.Sleep(time.Millisecond)
			return nil
		}), saramax.WithOrder(saramax.Unordered, 2))
		var broken atomic.Bool
		broken.Store(true)
		u.parkErr = func() error {
			if tries.Add(1); tries.Load() == 2 {
				panic("a parker may be broken, too")
			}
			if broken.Load() {
				return errTransient
			}
			return nil
		}
		c := u.Claim(topic, 0)
		c.Send(raw(100)...)
		pass(time.Minute)
		begun := others.Load()
		require.Less(t, begun, int64(99), "nothing is begun while rejected records have nowhere to go")
		require.EqualValues(t, 0, u.committed())
		require.Greater(t, tries.Load(), int64(3))
		require.Equal(t, saramax.PausePark, u.handler.Status().Partitions[0].Paused)
		require.NotEmpty(t, u.kinds(saramax.EventParkFailed))
		broken.Store(false)
		pass(time.Minute)
		require.EqualValues(t, 100, u.committed())
		require.Len(t, u.parked.list(), 1)
		require.False(t, u.IsPaused(topic, 0))
	})
}

func TestRecordsWaitUntilTheyAreDueWithoutAGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var handled journal[time.Duration]
		u := newUnit(t, each(func(context.Context, rawRecord) error {
			handled.add(time.Since(began))
			return nil
		}), saramax.WithDue(func(m *sarama.ConsumerMessage) time.Time { return m.Timestamp.Add(time.Minute) }))
		c := u.Claim(topic, 0)
		c.Send(raw(1)...)
		pass(30 * time.Second)
		require.True(t, u.IsPaused(topic, 0))
		require.Equal(t, saramax.PauseDelay, u.handler.Status().Partitions[0].Paused)
		require.Zero(t, u.handler.Status().Partitions[0].InFlight)
		c.Send(raw(1)...)
		pass(5 * time.Minute)
		require.Equal(t, []time.Duration{time.Minute, 90 * time.Second}, handled.list())
		require.False(t, u.IsPaused(topic, 0))
		require.EqualValues(t, 2, u.committed())
	})
}

func TestBudgetStopsAndProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var most atomic.Int64
		var ends journal[string]
		var calls atomic.Int64
		u := newUnit(t, each(func(context.Context, rawRecord) error {
			calls.Add(1)
			if calls.Load() < 3 {
				return saramax.Permanent(errTransient)
			}
			return nil
		}), saramax.WithBudget(func() (int, time.Duration) { return int(most.Load()), time.Minute }, func(end string) {
			ends.add(end)
			if end == "rejected" {
				most.Store(0)
			} else {
				most.Store(10)
			}
		}))
		most.Store(1)
		u.Claim(topic, 0).Send(raw(6)...)
		settle()
		require.EqualValues(t, 1, calls.Load())
		require.Equal(t, saramax.PauseBudget, u.handler.Status().Partitions[0].Paused)
		require.True(t, u.IsPaused(topic, 0))
		most.Store(1)
		pass(30 * time.Second)
		require.EqualValues(t, 1, calls.Load())
		pass(31 * time.Second)
		require.EqualValues(t, 2, calls.Load(), "a probe after the wait")
		most.Store(1)
		pass(61 * time.Second)
		require.EqualValues(t, 6, calls.Load(), "it closes with the probe that is well")
		require.Equal(t, []string{"rejected", "rejected", "done", "done", "done", "done"}, ends.list())
		require.False(t, u.IsPaused(topic, 0))
	})
}

func TestRedirectedRecordsAreParkedUnhandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, work := range []saramax.Work{
			each(func(_ context.Context, r rawRecord) error { require.NotEqualValues(t, 1, r.Offset); return nil }),
			batches(func(_ context.Context, batch []rawRecord) []saramax.Verdict {
				for _, r := range batch {
					require.NotEqualValues(t, 1, r.Offset)
				}
				return nil
			}),
		} {
			u := newUnit(t, work, saramax.WithRedirect(func(m *sarama.ConsumerMessage) bool { return m.Offset == 1 }),
				saramax.WithEarlier(func(*sarama.ConsumerMessage) int { return 7 }))
			u.Claim(topic, 0).Send(raw(3)...)
			pass(2 * time.Second)
			require.EqualValues(t, 3, u.committed())
			require.Len(t, u.parked.list(), 1)
			require.Equal(t, saramax.ReasonBlocked, u.parked.list()[0].Reason)
			require.Equal(t, 7, u.parked.list()[0].Attempts)
			u.End()
		}
	})
}
