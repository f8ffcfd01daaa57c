package console

const (
	windowSeconds = 60
	// slots are more than the window, so that the running second does not take
	// the place of the oldest full one.
	slots = 64
)

// addable is what a window can sum.
type addable[T any] interface{ plus(T) T }

// window is a ring of seconds. A slot belongs to the second it names; an older one
// is emptied when its place is needed.
type window[T addable[T]] [slots]slot[T]

type slot[T addable[T]] struct {
	second int64
	count  T
}

func (w *window[T]) add(second int64, t T) {
	s := &w[second%slots]
	if s.second != second {
		*s = slot[T]{second: second}
	}
	s.count = s.count.plus(t)
}

// sum is that of the last windowSeconds, the running one included.
func (w *window[T]) sum(now int64) (t T) {
	for i := range w {
		if w[i].second > now-windowSeconds {
			t = t.plus(w[i].count)
		}
	}
	return t
}
