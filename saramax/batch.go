package saramax

// batch handles items together until each has an end. Where they fail as a whole,
// they are tried once more, and then in halves: first the one, until each of its
// records has an end, then the other, so that the order of records holds.
func (w *worker) batch(items []*item) {
	for wholes := 0; len(items) > 0; {
		err, ok := w.call(items)
		if !ok {
			return
		}
		switch {
		case err == nil:
			items = w.sift(items)
		case len(items) > 1 && (wholes > 0 || w.mustSplit(items, err)):
			w.spend(items)
			w.split(items)
			return
		default:
			wholes++
			items = w.failed(items, err)
		}
		if len(items) > 0 && !w.pause(items) {
			return
		}
	}
}

// split handles two halves of items that failed together.
func (w *worker) split(items []*item) {
	for _, half := range [][]*item{items[:(len(items)+1)/2], items[(len(items)+1)/2:]} {
		err, ok := w.call(half)
		if !ok {
			return
		}
		var rest []*item
		switch {
		case err == nil:
			rest = w.sift(half)
		case len(half) > 1:
			w.split(half)
			continue
		default:
			rest = w.failed(half, err)
		}
		if len(rest) > 0 {
			if !w.pause(rest) {
				return
			}
			w.batch(rest)
		}
	}
}

// sift gives each item the end of its verdict and returns those to be tried again.
func (w *worker) sift(items []*item) []*item {
	verdicts := w.verdicts
	var rest []*item
	for i, it := range items {
		w.judge(it, verdicts[i])
		if it.end == endRetry {
			it.end = endOpen
			rest = append(rest, it)
		}
	}
	return rest
}

// failed counts an attempt of items that failed as a whole, and returns those that
// have one left.
func (w *worker) failed(items []*item, err error) []*item {
	v := VerdictOf(err)
	var rest []*item
	for _, it := range items {
		if w.judge(it, v); it.end == endRetry {
			it.end = endOpen
			rest = append(rest, it)
		}
	}
	return rest
}

// mustSplit tells whether trying items that failed together once more is of no use, or
// would use up the attempts of one that may be innocent.
func (w *worker) mustSplit(items []*item, err error) bool {
	if VerdictOf(err).action == ActionDeadLetter {
		return true
	}
	for _, it := range items {
		if it.failed+1 >= w.c.h.set.retry.Attempts {
			return true
		}
	}
	return false
}

// spend counts an attempt of items that failed together, but leaves each of them one
// of its own.
func (w *worker) spend(items []*item) {
	for _, it := range items {
		it.failed = max(it.failed, min(it.failed+1, w.c.h.set.retry.Attempts-1))
	}
}

// resume goes on after a handler ended its goroutine with a group of items, which are
// the first that have no end.
func (w *worker) resume(group []*item) {
	switch {
	case !w.c.h.work.batched():
		w.judge(group[0], Retry(errLeft))
		return
	case len(group) > 1:
		w.split(group)
	default:
		w.failed(group, errLeft)
	}
	w.batch(w.open())
}

// pause waits until items may be tried again; false when the claim stops before. Where
// the budget kept one of them, that is when it lets a probe begin.
func (w *worker) pause(items []*item) bool {
	for _, it := range items {
		if it.kept {
			return w.pauseForProbe()
		}
	}
	return w.sleep(w.c.h.set.backoff(items[0].failed))
}

func (w *worker) pauseForProbe() bool {
	for {
		most, wait := w.c.h.set.budget.admit(w.c.topic, w.c.partition)
		if most > 0 {
			return true
		}
		if !w.sleep(wait) {
			return false
		}
	}
}
