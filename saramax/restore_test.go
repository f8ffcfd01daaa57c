package saramax_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

func TestCrashRepeatsOnlyWhatWasNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		hang := make(chan struct{})
		var calls atomic.Int64
		work := each(func(_ context.Context, rec rawRecord) error {
			if calls.Add(1); rec.Offset == 0 && calls.Load() <= n {
				<-hang
			}
			return nil
		})
		opts := []saramax.Option{saramax.WithOrder(saramax.Unordered, 2), saramax.WithStuck(saramax.Stuck{After: time.Hour})}
		u := newUnit(t, work, opts...)
		u.Claim(topic, 0).Send(raw(n)...)
		pass(3 * time.Second)
		commit, metadata := u.Committed(topic, 0)
		require.Zero(t, commit)
		require.LessOrEqual(t, len(metadata), 4096)
		require.EqualValues(t, n, calls.Load())

		// The process is gone; another one gets the partition, with what was committed.
		for name, c := range map[string]struct {
			fetch func(string, int32) (int64, string, error)
			calls int64
			told  int
		}{
			"restored":   {func(string, int32) (int64, string, error) { return 0, metadata, nil }, 1, 0},
			"moved":      {func(string, int32) (int64, string, error) { return 17, metadata, nil }, n, 0},
			"foreign":    {func(string, int32) (int64, string, error) { return 0, "other tool", nil }, n, 1},
			"unreadable": {func(string, int32) (int64, string, error) { return 0, "", errTransient }, n, 1},
		} {
			var again atomic.Int64
			next := &unit{Member: newMember(t), t: t}
			h, err := saramax.NewGroupHandler(next.Member, "group", each(func(context.Context, rawRecord) error {
				again.Add(1)
				return nil
			}), append(opts, saramax.OnEvent(func(e saramax.Event) { next.events.add(e) }))...)
			require.NoError(t, err)
			h.SetFetchMap(c.fetch)
			next.Begin(h)
			next.Claim(topic, 0).Send(raw(n)...)
			pass(3 * time.Second)
			require.Equal(t, c.calls, again.Load(), name)
			require.Len(t, next.kinds(saramax.EventMapUnread), c.told, name)
			require.EqualValues(t, n, next.committed(), name)
			_, metadata := next.Committed(topic, 0)
			require.Empty(t, metadata, name)
		}
		close(hang)
	})
}

// A member that dies leaves its offset map with the group's coordinator.
func TestOffsetMapTravelsThroughTheBroker(t *testing.T) {
	k := newCluster(t, 1)
	k.send(k.events(0, 500, 500)...)
	group := testenv.Name(t)
	hang := make(chan struct{})
	var done sync.Map
	var count, doubles atomic.Int64
	handler := func(blocks bool) saramax.Work {
		return saramax.Each(func(_ context.Context, rec saramax.Record[event]) error {
			if blocks && rec.Offset == 3 {
				<-hang
				return errors.New("too late")
			}
			if _, again := done.LoadOrStore(rec.Offset, true); again {
				doubles.Add(1)
			}
			count.Add(1)
			return nil
		})
	}
	opts := []saramax.Option{
		saramax.WithOrder(saramax.OrderKey, 4), saramax.WithCommitEvery(20 * time.Millisecond), saramax.WithDrain(3 * time.Second),
	}
	cl := client(t, k.addrs)
	c, err := saramax.NewConsumer(cl, group, []string{k.topic}, handler(true), opts...)
	require.NoError(t, err)
	first := start(t, c)
	eventually(t, "all but one", func() bool { return count.Load() == 499 })
	require.Error(t, first.end()) // it abandons the one that hangs
	close(hang)
	require.EqualValues(t, 3, committed(t, cl, group, k.topic, 0))

	c, err = saramax.NewConsumer(client(t, k.addrs), group, []string{k.topic}, handler(false), opts...)
	require.NoError(t, err)
	second := start(t, c)
	eventually(t, "the last one", func() bool { return count.Load() == 500 })
	require.NoError(t, second.end())
	require.Zero(t, doubles.Load())
	require.EqualValues(t, 500, committed(t, cl, group, k.topic, 0))
}
