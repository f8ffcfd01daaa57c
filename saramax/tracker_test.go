package saramax

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// trackerModel is a tracker as one would write it without care for speed.
type trackerModel struct {
	offsets []int64
	done    map[int64]bool
	start   int64
}

func (m *trackerModel) commit() int64 {
	for _, o := range m.offsets {
		if !m.done[o] {
			return o
		}
	}
	if len(m.offsets) == 0 {
		return m.start
	}
	return m.offsets[len(m.offsets)-1] + 1
}

func TestTrackerIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 100).Draw(t, "start")
		tr, m := newTracker(start), &trackerModel{done: map[int64]bool{}, start: start}
		open := map[int64]uint64{}
		next := start
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "add") || len(open) == 0 {
				next += rapid.Int64Range(0, 3).Draw(t, "gap") // compacted, or the marker of a transaction
				open[next] = tr.add(next)
				m.offsets = append(m.offsets, next)
				next++
			} else {
				keys := make([]int64, 0, len(open))
				for k := range open {
					keys = append(keys, k)
				}
				slices.Sort(keys)
				k := rapid.SampledFrom(keys).Draw(t, "done")
				tr.finish(open[k])
				delete(open, k)
				m.done[k] = true
			}
			if got, want := tr.commit(), m.commit(); got != want {
				t.Fatalf("commit %d, want %d", got, want)
			}
			restored, err := decodeOffsetMap(tr.commit(), encodeOffsetMap(tr.commit(), &tr))
			if err != nil {
				t.Fatal(err)
			}
			above := 0
			for _, o := range m.offsets {
				if o < m.commit() {
					continue
				}
				if m.done[o] {
					above++
				}
				if restored.has(o) != m.done[o] {
					t.Fatalf("offset %d: restored %v, done %v", o, restored.has(o), m.done[o])
				}
			}
			if above != tr.above {
				t.Fatalf("%d above, want %d", tr.above, above)
			}
		}
	})
}

func TestTrackerKeepsWhatIsRestoredUntilItComesAgain(t *testing.T) {
	tr := newTracker(10)
	tr.restored = offsetMap{{12, 13}, {15, 20}}
	n := tr.add(10)
	m, err := decodeOffsetMap(tr.commit(), encodeOffsetMap(tr.commit(), &tr))
	require.NoError(t, err)
	require.Equal(t, tr.restored, m)
	for o := int64(11); o <= 17; o++ {
		k := tr.add(o)
		if tr.restored.has(o) {
			tr.finish(k)
		}
	}
	m, err = decodeOffsetMap(tr.commit(), encodeOffsetMap(tr.commit(), &tr))
	require.NoError(t, err)
	require.Equal(t, tr.restored, m, "runs that touch are one")
	tr.finish(n)
	require.EqualValues(t, 11, tr.commit())
}

func TestOffsetMapFitsIntoMetadata(t *testing.T) {
	for name, pick := range map[string]func(int) bool{
		"a window of 10,000 but its first": func(i int) bool { return i > 0 },
		"every second of 100,000":          func(i int) bool { return i%2 == 1 },
		"any":                              func(i int) bool { return i > 0 && rand.IntN(3) > 0 },
		"few, far apart":                   func(i int) bool { return i%997 == 5 },
	} {
		tr := newTracker(1 << 40)
		for i := range 100_000 {
			n := tr.add(1<<40 + int64(i))
			if pick(i) {
				tr.finish(n)
			}
		}
		text := encodeOffsetMap(tr.commit(), &tr)
		require.LessOrEqual(t, len(text), metadataMax, name)
		m, err := decodeOffsetMap(tr.commit(), text)
		require.NoError(t, err)
		covered := 0
		for i := range 100_000 {
			if m.has(1<<40 + int64(i)) {
				require.True(t, pick(i) || name == "any", name)
				covered++
			}
		}
		require.Positive(t, covered, name)
	}
}

func FuzzOffsetMap(f *testing.F) {
	f.Add(int64(0), "")
	f.Add(int64(7), "bw1r:AQE")
	f.Add(int64(7), "bw1b:Ag")
	f.Add(int64(1<<62), "bw1r:////////////AQ")
	f.Fuzz(func(t *testing.T, commit int64, text string) {
		if commit < 0 {
			return
		}
		m, err := decodeOffsetMap(commit, text)
		if err != nil {
			return
		}
		at := commit
		for _, r := range m {
			if r.first <= at || r.last < r.first {
				t.Fatalf("run %v after %d", r, at)
			}
			at = r.last
		}
		if m.has(commit) {
			t.Fatal("the commit itself is never done")
		}
	})
}

func BenchmarkTracker(b *testing.B) {
	for _, c := range []struct {
		name   string
		window int
	}{{"window 1024", 1024}, {"window 100000", 100_000}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			tr := newTracker(0)
			order := rand.Perm(c.window)
			open := make([]uint64, c.window)
			next := int64(0)
			for b.Loop() {
				// One pair: a record comes, and one of the window, in any order, is done.
				k := int(next) % c.window
				if k == 0 && next > 0 {
					for _, i := range order {
						tr.finish(open[i])
					}
				}
				open[k] = tr.add(next)
				next++
			}
		})
	}
}
