package async

import (
	"iter"
	"slices"
	"sort"
)

// sorted keeps rows in an order, in blocks of bounded length: to add and to remove one
// costs two binary searches and a move within its block, whatever the number of rows.
// A row must not change its place while it is in.
type sorted struct {
	compare func(a, b *memoryRow) int // 0 only for the same row
	blocks  [][]*memoryRow            // none is empty
}

// blockMost is at what length a block is cut in two.
const blockMost = 512

// block is where r is, or belongs.
func (s *sorted) block(r *memoryRow) int {
	i := sort.Search(len(s.blocks), func(i int) bool {
		b := s.blocks[i]
		return s.compare(b[len(b)-1], r) >= 0
	})
	return min(i, len(s.blocks)-1) // behind the last one is at its end
}

func (s *sorted) add(r *memoryRow) {
	if len(s.blocks) == 0 {
		s.blocks = append(s.blocks, []*memoryRow{r})
		return
	}
	i := s.block(r)
	at, _ := slices.BinarySearchFunc(s.blocks[i], r, s.compare)
	b := slices.Insert(s.blocks[i], at, r)
	s.blocks[i] = b
	switch {
	case len(b) < blockMost:
	case i == len(s.blocks)-1: // rows mostly come in order: leave full blocks behind
		s.blocks = append(s.blocks, []*memoryRow{b[len(b)-1]})
		s.blocks[i] = slices.Delete(b, len(b)-1, len(b))
	default:
		s.blocks = slices.Insert(s.blocks, i+1, slices.Clone(b[len(b)/2:]))
		s.blocks[i] = slices.Delete(b, len(b)/2, len(b))
	}
}

func (s *sorted) remove(r *memoryRow) {
	if len(s.blocks) == 0 {
		return
	}
	i := s.block(r)
	at, found := slices.BinarySearchFunc(s.blocks[i], r, s.compare)
	if !found {
		return
	}
	if s.blocks[i] = slices.Delete(s.blocks[i], at, at+1); len(s.blocks[i]) == 0 {
		s.blocks = slices.Delete(s.blocks, i, i+1)
	}
}

// all are the rows in order. They must not be added or removed meanwhile.
func (s *sorted) all() iter.Seq[*memoryRow] {
	return func(yield func(*memoryRow) bool) {
		for _, b := range s.blocks {
			for _, r := range b {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// after are the rows with a higher ID, of those that are in the order of IDs.
func (s *sorted) after(id int64) iter.Seq[*memoryRow] {
	return func(yield func(*memoryRow) bool) {
		from := sort.Search(len(s.blocks), func(i int) bool {
			b := s.blocks[i]
			return b[len(b)-1].ID > id
		})
		for _, b := range s.blocks[from:] {
			for _, r := range b {
				if r.ID > id && !yield(r) {
					return
				}
			}
		}
	}
}
