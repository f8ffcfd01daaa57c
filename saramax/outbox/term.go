package outbox

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/logger"
)

// term is one session of a relay, from its beginning until its lease is lost or nothing
// more is wanted of it. One goroutine, that of run, has all of its state; batches report
// to it.
type term struct {
	r         *Relay
	id        int64
	running   context.Context // Run's
	publish   context.Context // ends with ErrLeaseLost when the lease is at risk
	lose      context.CancelCauseFunc
	guard     *time.Timer // loses the lease at 0.7 of it
	committed <-chan struct{}
	done      chan *batch

	buckets  map[int]*bucket
	holds    map[int64]*hold // aggregates that are held up
	sessions int             // of how many this is one
	others   time.Time       // when the first of the others is over, unless it renews
	shared   time.Time       // when buckets were last shared
	active   int             // batches under way
	number   int64           // of claims
	turn     int             // the bucket to begin with
	each     int             // how many rows to read of one bucket
	backlog  bool            // the last look found more than it could take
	paused   time.Time       // until then everything is unavailable
	failures int             // batches in a row of which all was unavailable
	poll     time.Duration
	next     time.Time // when to look
	sweep    time.Duration
	panicked any
}

// leaseShare is how much of a lease is used for publishing.
const leaseShare = 7 // tenths

// begin begins a session. Its lease is reckoned from before the database was asked.
func (r *Relay) begin(ctx context.Context, committed <-chan struct{}) (*term, error) {
	began := time.Now()
	use, end := r.use(ctx)
	defer end()
	id, err := r.store.begin(use, r.set.instance, r.cfg.Lease)
	if err != nil {
		return nil, err
	}
	t := &term{
		r: r, id: id, running: ctx, committed: committed, done: make(chan *batch, r.cfg.Workers),
		buckets: make(map[int]*bucket), holds: make(map[int64]*hold), sessions: 1,
		each: r.cfg.Batch/8 + 1, poll: r.cfg.MinPoll, sweep: r.cfg.SweepEvery,
	}
	t.publish, t.lose = context.WithCancelCause(context.WithoutCancel(ctx))
	t.guard = time.AfterFunc(time.Until(t.safe(began)), func() { t.lose(ErrLeaseLost) })
	return t, nil
}

// safe is until when a lease that was asked for at a time may be used.
func (t *term) safe(asked time.Time) time.Time { return asked.Add(t.r.cfg.Lease * leaseShare / 10) }

// run works until ctx ends or the lease is lost.
func (t *term) run() {
	var beat sync.WaitGroup
	ended, end := context.WithCancel(context.Background())
	beat.Go(func() { t.beat(ended) })
	t.share()
	for !t.leaving() {
		t.look()
		t.wait()
	}
	for t.active > 0 {
		t.finish(<-t.done)
	}
	t.guard.Stop()
	end()
	beat.Wait()
	if errors.Is(context.Cause(t.publish), ErrLeaseLost) {
		t.r.lost()
	}
	t.lose(context.Canceled)
	t.r.counters.owned.Store(0)
	// Also after the lease is lost: nothing is under way any more, so whoever waits for
	// it to run out need not.
	use, cancel := t.r.use(context.WithoutCancel(t.running))
	defer cancel()
	if err := t.r.store.end(use, t.id); err != nil {
		t.r.failed("end session", err)
	}
}

// leaving tells that no new batch is to begin.
func (t *term) leaving() bool {
	return t.running.Err() != nil || t.publish.Err() != nil || t.panicked != nil || t.r.asleep.Load()
}

// beat renews the lease until ended, or until it is lost. One that could not be renewed
// is tried again often: the guard ends it in time.
func (t *term) beat(ended context.Context) {
	lease := t.r.cfg.Lease
	pause := lease / 3
	for {
		wait(ended, pause, t.publish.Done())
		if ended.Err() != nil || t.publish.Err() != nil {
			return
		}
		asked := time.Now()
		use, cancel := t.r.use(ended)
		err := t.r.store.renew(use, t.id, lease)
		cancel()
		switch {
		case err == nil:
			t.guard.Reset(time.Until(t.safe(asked)))
			t.r.set.hook("renewed")
			pause = lease / 3
		case errors.Is(err, ErrLeaseLost):
			t.lose(ErrLeaseLost)
			return
		default:
			t.r.failed("renew", err)
			pause = lease / 30
		}
	}
}

// wait waits for whatever comes first: an end, a batch, a commit, or the time to look.
func (t *term) wait() {
	until := t.next
	if t.active >= t.r.cfg.Workers {
		until = time.Now().Add(t.r.cfg.MaxPoll) // no look before a batch is done
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-t.running.Done():
	case <-t.publish.Done():
	case b := <-t.done:
		t.finish(b)
		t.soon()
	case <-t.committed:
		t.soon()
	case <-t.r.poke:
		t.soon()
	case <-timer.C:
	}
}

// soon looks at once, and then often.
func (t *term) soon() { t.next, t.poll = time.Now(), t.r.cfg.MinPoll }

// share sees to the other sessions, and to its own buckets.
func (t *term) share() {
	t.shared = time.Now()
	use, cancel := t.r.use(t.publish)
	defer cancel()
	m, err := t.r.store.share(use, t.id, func(b int) bool { return t.buckets[b] != nil && t.buckets[b].busy })
	switch {
	case errors.Is(err, ErrLeaseLost):
		t.lose(ErrLeaseLost)
		return
	case err != nil:
		t.r.failed("share buckets", err)
		return
	}
	t.sessions, t.others = m.sessions, time.Time{}
	if m.next > 0 {
		t.others = time.Now().Add(m.next)
	}
	owned := make(map[int]*bucket, len(m.owned))
	for _, b := range m.owned {
		if owned[b] = t.buckets[b]; owned[b] == nil {
			owned[b] = &bucket{number: b}
		}
	}
	t.buckets = owned
	t.r.counters.owned.Store(int64(len(owned)))
	maps.DeleteFunc(t.holds, func(_ int64, h *hold) bool { return owned[h.bucket] == nil })
	t.mourn(m.dead)
}

// mourn takes over which aggregates have dead events. Where one has none any more, its
// events may be back: below all marks.
func (t *term) mourn(dead []heldUp) {
	if t.r.cfg.OnDead == FollowersFlow {
		return
	}
	still := make(map[int64]bool, len(dead))
	for _, d := range dead {
		still[d.Aggregate] = true
		t.holds[d.Aggregate] = &hold{bucket: d.Bucket, dead: true}
	}
	for aggregate, h := range t.holds {
		if h.dead && !still[aggregate] && !t.buckets[h.bucket].busy {
			delete(t.holds, aggregate)
			t.buckets[h.bucket].reset(0)
		}
	}
}

// deadEvery is how often a relay looks whether dead events, which hold others up, were
// requeued or purged.
const deadEvery = 5 * time.Second

// mustShare tells whether something is to be shared, by what a look found.
func (t *term) mustShare(f found) bool {
	since := time.Since(t.shared)
	if since < t.r.cfg.MinPoll {
		return false
	}
	live := f.sessions - f.over
	wanting := len(t.buckets) < (t.r.store.settings.Buckets+max(live, 1)-1)/max(live, 1)
	return f.over > 0 || live != t.sessions || wanting && f.free > 0 || since > deadEvery && t.mourning()
}

func (t *term) mourning() bool {
	for _, h := range t.holds {
		if h.dead {
			return true
		}
	}
	return false
}

// finish takes over what became of a batch.
func (t *term) finish(b *batch) {
	t.active--
	for _, n := range b.buckets {
		if owned := t.buckets[n]; owned != nil {
			owned.busy = false
		}
	}
	if b.panicked != nil {
		t.panicked = b.panicked
	}
	if errors.Is(b.err, ErrLeaseLost) {
		t.lose(ErrLeaseLost)
		return
	}
	if b.err != nil {
		t.r.failed("settle", b.err)
		t.paused = time.Now().Add(backoff(t.r.cfg.MinPoll, t.r.cfg.MaxPoll, 3))
	}
	if b.missing > 0 {
		t.r.counters.missing.Add(b.missing)
		t.r.set.log.Warn("outbox: published rows were gone already", logger.String("outbox", t.r.cfg.Name), logger.Int64("rows", b.missing))
	}
	t.holdUp(b)
}

// holdUp holds up aggregates whose events failed.
func (t *term) holdUp(b *batch) {
	now, cfg := time.Now(), &t.r.cfg
	all := len(b.messages) > 0
	for i, m := range b.messages {
		o := b.outcomes[i]
		if o.verdict != unavailable && o.verdict != untried {
			all = false
		}
		own := t.buckets[m.bucket]
		if own == nil || o.verdict == sent && b.err == nil {
			continue
		}
		own.reset(m.seq - 1)
		switch {
		case o.verdict == dead && cfg.OnDead == FollowersWait:
			t.holds[m.aggregate] = &hold{bucket: m.bucket, dead: true}
		case o.verdict == failed:
			t.hold(m, now.Add(backoff(cfg.Backoff, cfg.MaxBackoff, m.Attempts+1)))
		case o.verdict == unavailable:
			t.hold(m, now.Add(backoff(cfg.Backoff, cfg.MaxBackoff, 1)))
		}
	}
	if !all || !b.attempted {
		if b.attempted {
			t.failures = 0
		}
		return
	}
	t.failures++
	t.paused = now.Add(backoff(cfg.Backoff, cfg.MaxBackoff, t.failures))
}

func (t *term) hold(m Message, until time.Time) {
	if h := t.holds[m.aggregate]; h == nil || !h.dead {
		t.holds[m.aggregate] = &hold{bucket: m.bucket, seq: m.seq, until: until}
	}
}

// hold is an aggregate that is held up: until a time, or by a dead event.
type hold struct {
	bucket int
	seq    int64 // of the event that failed
	until  time.Time
	dead   bool
}

// bucket is one of ours. Its marks are where looks begin: what was published has left
// the table only for those who do not look back, and while somebody holds an old
// snapshot the database steps over all of it again.
//
// Marks lag by one to two sweeps, as rows of smaller numbers are often committed a
// little later than those of larger ones. What comes later still is below the mark, and
// found by the next sweep.
type bucket struct {
	number          int
	busy            bool
	low, next, high int64
	swept           time.Time
}

// begin is the row after which a look begins, and whether that is the beginning.
func (b *bucket) begin(now time.Time, every time.Duration) (int64, bool) {
	if now.Sub(b.swept) < every {
		return b.low, false
	}
	b.swept, b.low, b.next = now, b.next, b.high
	return 0, true
}

// reset makes sure that rows after seq are looked at.
func (b *bucket) reset(seq int64) {
	b.low, b.next, b.high = min(b.low, seq), min(b.next, seq), min(b.high, seq)
}

// free are the buckets that may be looked at, beginning with that whose turn it is.
func (t *term) free() []int {
	var free []int
	for n, b := range t.buckets {
		if !b.busy {
			free = append(free, n)
		}
	}
	slices.Sort(free)
	at, _ := slices.BinarySearch(free, t.turn)
	return slices.Concat(free[at:], free[:at])
}
