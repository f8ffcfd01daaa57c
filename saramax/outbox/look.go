package outbox

import (
	"slices"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// maxHeld is how many aggregates that are held up the database is told; it steps over
// their rows then. The others are read, and put aside here.
const maxHeld = 5000

// look looks for rows, if it is time, and begins a batch with what it finds.
func (t *term) look() {
	now := time.Now()
	if now.Before(t.next) || t.active >= t.r.cfg.Workers {
		return
	}
	if now.Before(t.paused) {
		t.next = t.paused
		return
	}
	t.release(now)
	what, swept := t.scan(now)
	f, err := t.read(what)
	if err != nil {
		t.r.failed("claim", err)
		t.idle()
		return
	}
	if swept {
		t.sweep = min(max(t.r.cfg.SweepEvery, 20*time.Since(now)), max(time.Minute, t.r.cfg.SweepEvery))
	}
	if t.mustShare(f) || !t.others.IsZero() && now.After(t.others) {
		t.share()
	}
	t.adapt(what, f)
	messages := t.take(f.messages)
	if len(messages) == 0 {
		t.idle()
		return
	}
	t.start(messages)
	t.soon()
}

// idle looks again later, and later each time.
func (t *term) idle() {
	t.next = time.Now().Add(spread(t.poll))
	t.poll = min(2*t.poll, t.r.cfg.MaxPoll)
	for _, h := range t.holds {
		if !h.dead && h.until.Before(t.next) {
			t.next = h.until
		}
	}
}

// release lets go what was held up for long enough.
func (t *term) release(now time.Time) {
	for aggregate, h := range t.holds {
		if !h.dead && !now.Before(h.until) {
			delete(t.holds, aggregate)
			t.buckets[h.bucket].reset(h.seq - 1)
		}
	}
}

// scan says where to look. While there is more than can be taken, that is at a part of
// the buckets only, so that the other workers have theirs.
func (t *term) scan(now time.Time) (what scan, swept bool) {
	free := t.free()
	if t.backlog {
		free = free[:min(len(free), (len(t.buckets)+t.r.cfg.Workers-1)/t.r.cfg.Workers)]
	}
	what = scan{buckets: free, lows: make([]int64, len(free)), each: t.each, most: t.r.cfg.Batch}
	for i, n := range free {
		var whole bool
		what.lows[i], whole = t.buckets[n].begin(now, t.sweep)
		swept = swept || whole
	}
	what.without = make(map[int][]int64)
	told := 0
	for aggregate, h := range t.holds {
		if told++; told <= maxHeld {
			what.without[h.bucket] = append(what.without[h.bucket], aggregate)
		}
	}
	more := max(0, told-maxHeld) // what else may be in front of those that we want
	what.each, what.most = what.each+more, what.most+more
	return what, swept
}

// read reads, and reports it.
func (t *term) read(what scan) (found, error) {
	ctx, end := t.r.set.observer.Start(t.publish, observe.Operation{Kind: &claimKind, Values: observe.Values{t.r.cfg.Name}})
	use, cancel := t.r.use(ctx)
	defer cancel()
	result := observe.Result{Outcome: observe.Panicked}
	defer func() { end(result) }()
	f, err := t.r.store.read(use, what)
	result = observe.Result{Outcome: observe.OutcomeOf(err), Err: err, Amount: int64(len(f.messages))}
	return f, err
}

// adapt sets how many rows the next look reads of one bucket: few where many buckets
// have many, as then aggregates are more in number and wait less for each other.
func (t *term) adapt(what scan, f found) {
	counts := make(map[int]int)
	for _, m := range f.messages {
		counts[m.bucket]++
	}
	full := 0
	for _, n := range counts {
		if n >= what.each {
			full++
		}
	}
	t.backlog = len(f.messages) >= what.most || full > 0 // though some may be held up
	if len(f.messages) >= what.most {
		full += len(what.buckets) - len(counts) // they were not reached
	}
	if t.backlog {
		t.each = max(1, t.r.cfg.Batch/max(1, full))
	} else {
		t.each = t.r.cfg.Batch/8 + 1
	}
}

// take picks from rows what is published together: none that is held up, none of a
// bucket that was given away meanwhile, and only few beside one that failed before. A
// row that ends its relay would otherwise take the same others with it each time.
func (t *term) take(read []Message) []Message {
	limit := t.r.cfg.Batch
	taken := make([]Message, 0, len(read))
	for _, m := range read {
		if t.holds[m.aggregate] != nil || t.buckets[m.bucket] == nil {
			continue
		}
		own := max(1, t.r.cfg.Batch>>min(3*m.Attempts, 30))
		if m.Attempts >= t.r.cfg.MaxAttempts {
			own = t.r.cfg.Batch // it is not published any more
		}
		if limit = min(limit, own); len(taken) >= limit {
			break
		}
		taken = append(taken, m)
	}
	return taken
}

// start begins a batch.
func (t *term) start(messages []Message) {
	t.number++
	b := &batch{number: t.number, messages: messages, outcomes: make([]outcome, len(messages))}
	for _, m := range messages {
		own := t.buckets[m.bucket]
		own.high = max(own.high, m.seq)
		if !slices.Contains(b.buckets, m.bucket) {
			b.buckets = append(b.buckets, m.bucket)
			own.busy = true
		}
	}
	t.turn = b.buckets[len(b.buckets)-1] + 1
	t.active++
	go t.work(b)
}
