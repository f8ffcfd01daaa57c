package async_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/failover/async"
)

// What the memory's orders hold must be what a search would find.
func TestSortedIsASortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ours := async.NewSorted()
		model := []int64{}
		for range rapid.IntRange(0, 3000).Draw(t, "length") {
			id := rapid.Int64Range(0, 2000).Draw(t, "id")
			at, there := slices.BinarySearch(model, id)
			switch {
			case !there:
				ours.Add(id)
				model = slices.Insert(model, at, id)
			default:
				ours.Remove(id)
				model = slices.Delete(model, at, at+1)
			}
		}
		require.Equal(t, model, slices.AppendSeq([]int64{}, ours.IDs()))
		from := rapid.Int64Range(0, 2000).Draw(t, "from")
		at, there := slices.BinarySearch(model, from)
		if there {
			at++
		}
		require.Equal(t, append([]int64{}, model[at:]...), slices.AppendSeq([]int64{}, ours.After(from)))
	})
}
