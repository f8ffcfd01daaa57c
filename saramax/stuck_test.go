package saramax_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/saramax"
)

func TestStuckHandlerIsReportedWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var others atomic.Int64
		u := newUnit(t, each(func(_ context.Context, r rawRecord) error {
			if r.Partition == 0 {
				<-release
			}
			others.Add(1)
			return nil
		}), saramax.WithStuck(saramax.Stuck{After: 10 * time.Second}))
		u.Claim(topic, 0).Send(raw(2)...)
		u.Claim(topic, 1).Send(raw(50)...)
		pass(9900 * time.Millisecond)
		require.Empty(t, u.kinds(saramax.EventStuck))
		require.InDelta(t, 9.9, u.handler.Status().Partitions[0].Oldest.Seconds(), 0.6)
		pass(1100 * time.Millisecond)
		require.Len(t, u.kinds(saramax.EventStuck), 1)
		pass(time.Hour)
		require.Len(t, u.kinds(saramax.EventStuck), 1, "once for each call")
		require.EqualValues(t, 50, others.Load(), "other partitions go on")
		close(release)
		pass(time.Second)
		require.EqualValues(t, 2, u.committed())
	})
}

func TestStuckParkGoesOnWithoutTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var canceled atomic.Bool
		u := newUnit(t, each(func(ctx context.Context, r rawRecord) error {
			if r.Offset == 1 {
				<-ctx.Done()
				canceled.Store(true)
				<-release
			}
			return nil
		}), saramax.WithStuck(saramax.Stuck{After: 10 * time.Second, Policy: saramax.StuckPark}))
		c := u.Claim(topic, 0)
		c.Send(raw(4)...)
		pass(15 * time.Second)
		require.EqualValues(t, 4, u.committed())
		require.True(t, canceled.Load())
		require.Equal(t, 1, u.handler.Status().Left)
		require.Len(t, u.parked.list(), 1)
		require.Equal(t, saramax.ReasonStuck, u.parked.list()[0].Reason)
		require.EqualValues(t, 1, u.parked.list()[0].Message.Offset)
		close(release)
		pass(time.Second)
		require.Len(t, u.kinds(saramax.EventFenced), 1)
		require.Zero(t, u.handler.Status().Left)
		require.EqualValues(t, 4, u.committed())
		require.Len(t, u.parked.list(), 1)
	})
}

func TestStuckParkHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		u := newUnit(t, each(func(context.Context, rawRecord) error { <-release; return nil }),
			saramax.WithStuck(saramax.Stuck{After: time.Second, Policy: saramax.StuckPark, Most: 3}), saramax.WithDrain(time.Second))
		c := u.Claim(topic, 0)
		c.Send(raw(10)...)
		pass(time.Minute)
		select {
		case <-c.Done():
		default:
			t.Fatal("it goes on leaving goroutines behind")
		}
		require.ErrorIs(t, c.Revoke(), saramax.ErrStuck)
		require.Len(t, u.parked.list(), 3)
		close(release)
	})
}

func TestStuckLeaveEndsTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		u := newUnit(t, batches(func(_ context.Context, batch []rawRecord) []saramax.Verdict {
			if batch[0].Offset == 1 {
				<-release
			}
			return nil
		}), saramax.WithStuck(saramax.Stuck{After: 5 * time.Second, Policy: saramax.StuckLeave}), saramax.WithDrain(time.Second),
			saramax.WithBatch(1, 0))
		c := u.Claim(topic, 0)
		c.Send(raw(3)...)
		pass(10 * time.Second)
		require.ErrorIs(t, c.Revoke(), saramax.ErrStuck)
		require.EqualValues(t, 1, u.committed())
		close(release)
	})
}
