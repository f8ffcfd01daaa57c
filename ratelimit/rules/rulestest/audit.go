package rulestest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
)

// auditors is how many followers save at the same time.
const auditors = 16

// Audit makes so many edits by several followers at once, each of which looks again
// when another came first, and demands that the history has every one of them: once,
// under the number that its author was told, and as he wrote it. The function is that
// of [Test].
func Audit(t *testing.T, empty func(t *testing.T, history int) rollout.Store, edits int) {
	store := empty(t, edits+1)
	var todo, stale atomic.Int64
	told := make([]uint64, edits) // the number of each edit
	var all sync.WaitGroup
	for a := range auditors {
		set, err := rules.New(Edit(1).Rules)
		require.NoError(t, err)
		f, err := rollout.New(set, store, fmt.Sprint("instance ", a), rollout.Config{Timeout: patience})
		require.NoError(t, err)
		all.Go(func() {
			for i := todo.Add(1) - 1; i < int64(edits); i = todo.Add(1) - 1 {
				n, err := saveOver(t, f, numbered(i), &stale)
				if err != nil {
					t.Errorf("edit %d: %v", i, err)
					return
				}
				told[i] = n
			}
		})
	}
	all.Wait()
	t.Logf("%d edits saved by %d followers, %d more refused as stale and made again", edits, auditors, stale.Load())
	history, err := store.History(t.Context(), 2*edits)
	require.NoError(t, err)
	require.Len(t, history, edits+1, "with the one that filled the store")
	byNumber := make(map[uint64]rollout.Revision, len(history))
	for i, r := range history {
		require.EqualValues(t, len(history)-i, r.Number, "no number is left out")
		byNumber[r.Number] = r
	}
	for i, n := range told {
		want := numbered(int64(i))
		want.Configured = byNumber[1].Configured // which edits hand on
		require.Equal(t, want, byNumber[n].Edit)
	}
}

// numbered is an edit unlike all others.
func numbered(i int64) rollout.Edit {
	e := Edit(i + 1)
	e.Author, e.Note = fmt.Sprint("author ", i%7), fmt.Sprint("edit ", i)
	return e
}

// saveOver saves e over whatever is the latest revision.
func saveOver(t *testing.T, f *rollout.Follower, e rollout.Edit, stale *atomic.Int64) (uint64, error) {
	for {
		seen, err := f.Latest(t.Context())
		if err != nil && !errors.Is(err, rules.ErrStale) {
			return 0, err
		}
		r, err := f.Save(t.Context(), seen.Number, e)
		if err == nil && r.Number != seen.Number+1 {
			return 0, fmt.Errorf("saved as revision %d over %d, which nobody had seen", r.Number, r.Number-1)
		}
		if err == nil {
			return r.Number, nil
		}
		if !errors.Is(err, rules.ErrStale) {
			return 0, err
		}
		stale.Add(1)
	}
}
