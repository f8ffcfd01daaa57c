package saramax_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

func TestEachHandlesEveryRecordInOrderAndCommits(t *testing.T) {
	k := newCluster(t, 2)
	k.send(append(k.events(0, 300, 3), k.events(1, 300, 3)...)...)
	group := testenv.Name(t)
	var seen journal[saramax.Record[event]]
	cl := client(t, k.addrs)
	c, err := saramax.NewConsumer(cl, group, []string{k.topic},
		saramax.Each(func(_ context.Context, rec saramax.Record[event]) error {
			seen.add(rec)
			return nil
		}))
	require.NoError(t, err)
	r := start(t, c)
	eventually(t, "600 records", func() bool { return seen.len() >= 600 })
	require.NoError(t, r.end())

	next := map[int32]int64{}
	for _, rec := range seen.list() {
		require.Equal(t, next[rec.Partition], rec.Offset)
		require.Equal(t, rec.Value.Key, string(rec.Key))
		require.Equal(t, 1, rec.Attempt)
		require.False(t, rec.Time.IsZero())
		next[rec.Partition]++
	}
	require.Equal(t, map[int32]int64{0: 300, 1: 300}, next)
	for p := range int32(2) {
		require.EqualValues(t, 300, committed(t, cl, group, k.topic, p))
	}
}

func TestBatchFillsAtSizeAndFiresAtLinger(t *testing.T) {
	k := newCluster(t, 1)
	k.send(k.events(0, 1050, 3)...)
	group := testenv.Name(t)
	var sizes journal[int]
	var seen journal[int64]
	cl := client(t, k.addrs)
	c, err := saramax.NewConsumer(cl, group, []string{k.topic},
		saramax.Batch(func(_ context.Context, batch []saramax.Record[event]) []saramax.Verdict {
			sizes.add(len(batch))
			for _, rec := range batch {
				seen.add(rec.Offset)
			}
			return nil
		}), saramax.WithBatch(500, 300*time.Millisecond))
	require.NoError(t, err)
	r := start(t, c)
	eventually(t, "1050 records", func() bool { return seen.len() >= 1050 })
	require.NoError(t, r.end())
	for i, offset := range seen.list() {
		require.EqualValues(t, i, offset)
	}
	for _, n := range sizes.list() {
		require.LessOrEqual(t, n, 500)
		require.Positive(t, n)
	}
	require.EqualValues(t, 1050, committed(t, cl, group, k.topic, 0))
}
