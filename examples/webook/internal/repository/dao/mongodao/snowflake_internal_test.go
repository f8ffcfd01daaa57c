package mongodao

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIDsAreDistinctAndOrderedWhateverTheClockDoes(t *testing.T) {
	now := epoch.Add(time.Hour)
	ids, err := newSnowflake(3, func() time.Time { return now })
	require.NoError(t, err)
	last := int64(0)
	for _, step := range []time.Duration{0, time.Millisecond, -time.Hour, 0, time.Hour, -time.Millisecond, time.Second} {
		now = now.Add(step)
		for range 1000 { // more than a millisecond has room for
			id := ids.next()
			require.Greater(t, id, last)
			require.EqualValues(t, 3, id>>sequenceBits&(Nodes-1))
			last = id
		}
	}
}

func TestNodesDoNotMeet(t *testing.T) {
	now := func() time.Time { return epoch.Add(time.Hour) }
	seen := map[int64]bool{}
	for node := range Nodes {
		ids, err := newSnowflake(node, now)
		require.NoError(t, err)
		for range 300 {
			seen[ids.next()] = true
		}
	}
	require.Len(t, seen, Nodes*300)
}

func TestIDsFitIntoJavaScriptForDecades(t *testing.T) {
	ids, err := newSnowflake(Nodes-1, func() time.Time { return time.Date(2094, 1, 1, 0, 0, 0, 0, time.UTC) })
	require.NoError(t, err)
	require.LessOrEqual(t, ids.next(), int64(1)<<53-1)
	for _, node := range []int{-1, Nodes} {
		_, err := newSnowflake(node, time.Now)
		require.Error(t, err)
	}
}
