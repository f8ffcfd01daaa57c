package async

import (
	"cmp"
	"iter"
)

// WithHook calls f at the named steps: "accepting", "stored", "claimed",
// "submitted", "sent", "finished" and "checked".
func WithHook(f func(step string)) Option { return optionFunc(func(o *options) { o.hook = f }) }

// MaxBatch bounds one use of the store.
const MaxBatch = maxBatch

// Sorted is a sorted of rows that are nothing but their IDs.
type Sorted struct {
	s    sorted
	rows map[int64]*memoryRow
}

// NewSorted returns an empty Sorted.
func NewSorted() *Sorted {
	return &Sorted{
		s:    sorted{compare: func(a, b *memoryRow) int { return cmp.Compare(a.ID, b.ID) }},
		rows: map[int64]*memoryRow{},
	}
}

func (s *Sorted) Add(id int64) {
	s.rows[id] = &memoryRow{Row: Row{ID: id}}
	s.s.add(s.rows[id])
}

func (s *Sorted) Remove(id int64) { s.s.remove(s.rows[id]) }

func (s *Sorted) IDs() iter.Seq[int64]           { return ids(s.s.all()) }
func (s *Sorted) After(id int64) iter.Seq[int64] { return ids(s.s.after(id)) }

func ids(rows iter.Seq[*memoryRow]) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for r := range rows {
			if !yield(r.ID) {
				return
			}
		}
	}
}
