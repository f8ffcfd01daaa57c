package async

import (
	"context"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/logger"
)

// Run is a worker: it claims requests that are due and delivers them, up to
// [Config.Workers] at a time, until ctx ends. Then it claims no more, gives back what
// it has not submitted, waits for the calls under way, at most [Config.SendTimeout],
// writes their results and returns nil. Any number of instances may run at once, in
// one process and in many.
//
// A store that fails is tried again; [Snapshot.Failures] counts, and the logger tells.
// A panic of send or of the reconciler makes the request's result unknown; Run then
// stops as if ctx had ended and panics with it.
func (r *Rescued[Req]) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := &worker[Req]{r: r, stop: stop, held: make(map[int64]*holding), wake: make(chan struct{}, 1)}
	var background, beat sync.WaitGroup
	background.Go(func() {
		w.every(ctx, func(c *Config) time.Duration { return c.SweepEvery }, func(c *Config) { w.sweep(ctx, c) })
	})
	background.Go(func() { w.every(ctx, func(c *Config) time.Duration { return c.StatsEvery }, w.readStats) })
	alive, ended := context.WithCancel(context.WithoutCancel(ctx))
	defer ended()
	beat.Go(func() { w.beat(alive) }) // leases are kept until the last call has ended
	w.claim(ctx)
	w.drain()
	w.calls.Wait()
	ended()
	beat.Wait()
	background.Wait()
	if w.panicked != nil {
		panic(w.panicked)
	}
	return nil
}

// worker is one Run.
type worker[Req any] struct {
	r     *Rescued[Req]
	stop  context.CancelFunc
	wake  chan struct{} // something ended: there may be room
	turns turns

	mu       sync.Mutex
	held     map[int64]*holding
	ready    []*holding // claimed, waiting for a free worker
	active   int
	draining bool
	holdOff  time.Time // no claims before it: the judge refused
	most     int       // how many rows to hold since then; 0: as many as there is room for
	rounds   int
	panicked any
	calls    sync.WaitGroup
}

// holding is a row under lease.
type holding struct {
	row    Row
	ctx    context.Context // ends with ErrLost as its cause when the lease is lost
	cancel context.CancelCauseFunc
	until  time.Time // the lease lasts at least until then, by this process's own clock; guarded by worker.mu
}

// poke lets the claiming loop look again.
func (w *worker[Req]) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// wait returns after d, or when something ended if early is set, or when ctx ends.
func (w *worker[Req]) wait(ctx context.Context, d time.Duration, early bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	var wake <-chan struct{}
	if early {
		wake = w.wake
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}

// every runs f at once, and again after each pause, until ctx ends.
func (w *worker[Req]) every(ctx context.Context, pause func(*Config) time.Duration, f func(*Config)) {
	for ctx.Err() == nil {
		cfg := w.r.config.Load()
		f(cfg)
		w.wait(ctx, w.spread(pause(cfg)), false)
	}
}

// spread adds up to half to d, so that instances do not act in step.
func (w *worker[Req]) spread(d time.Duration) time.Duration {
	return d + time.Duration(w.r.set.rand()*float64(d)/2)
}

// bookkeeping is a context for using the store in, independent of everything else.
func (w *worker[Req]) bookkeeping(cfg *Config) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), cfg.StoreTimeout)
}

// failed counts and tells that the store could not be used.
func (w *worker[Req]) failed(what string, err error) {
	w.r.counters.failures.Add(1)
	w.r.set.log.Warn("async: store failed", logger.String("queue", w.r.Config().Name), logger.String("use", what), logger.Err(err))
}

// claim claims until ctx ends. It keeps up to Batch rows ready beside those that are
// being delivered, so that one claim serves many deliveries.
func (w *worker[Req]) claim(ctx context.Context) {
	checked := time.Time{}
	for ctx.Err() == nil {
		cfg := w.r.config.Load()
		room, off := w.room(cfg)
		switch {
		case off > 0:
			w.wait(ctx, off, false)
			continue
		case room == 0:
			w.wait(ctx, cfg.Poll, true)
			continue
		}
		n := w.take(cfg, Queued, min(room, cfg.Batch))
		if w.r.set.reconcile != nil && (n == 0 || time.Since(checked) > cfg.Poll) {
			checked = time.Now()
			n += w.take(cfg, Unknown, max(1, min(room, cfg.Batch)/2))
		}
		if n == 0 {
			w.wait(ctx, w.spread(cfg.Poll), false)
		}
	}
}

// room is how many rows may be claimed, and for how long none. Less than half a batch
// is not worth a claim.
func (w *worker[Req]) room(cfg *Config) (int, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	most := cfg.Workers + cfg.Batch
	if w.most > 0 {
		most = min(most, w.most)
	}
	room := most - len(w.held)
	if room < (min(cfg.Batch, most)+1)/2 {
		room = 0
	}
	return room, time.Until(w.holdOff)
}

// off stops claims for d. Afterwards they begin with a single row: of a whole batch the
// judge would take a few for its probes, and the others would lose their turn.
func (w *worker[Req]) off(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most = 1
	if until := time.Now().Add(d); until.After(w.holdOff) {
		w.holdOff = until
	}
}

// on lets claims grow again, after a call that was successful.
func (w *worker[Req]) on(cfg *Config) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.most *= 2; w.most >= cfg.Workers+cfg.Batch {
		w.most = 0
	}
}

// take claims up to n rows and returns how many it got.
func (w *worker[Req]) take(cfg *Config, from State, n int) int {
	if n < 1 {
		return 0
	}
	w.rounds++
	_, oldest := w.r.state.backlog()
	ctx, cancel := w.bookkeeping(cfg)
	defer cancel()
	until := time.Now().Add(cfg.Lease) // before the claim: never later than the store's
	rows, err := w.r.store.Claim(ctx, Claim{
		Queue: cfg.Name, Owner: w.r.set.owner, From: from, Most: min(n, maxBatch), Lease: cfg.Lease,
		Newest:   cfg.NewestAfter > 0 && oldest > cfg.NewestAfter,
		LowFirst: w.rounds%8 == 0,
	})
	if err != nil {
		w.failed("claim", err)
		return 0
	}
	if len(rows) > 0 {
		w.r.set.hook("claimed")
	}
	w.mu.Lock()
	for _, row := range rows {
		h := &holding{row: row, until: until}
		h.ctx, h.cancel = context.WithCancelCause(context.Background())
		w.held[row.ID] = h
		w.ready = append(w.ready, h)
	}
	w.mu.Unlock()
	w.dispatch()
	return len(rows)
}

// dispatch starts what is ready on free workers.
func (w *worker[Req]) dispatch() {
	limit := w.r.config.Load().Workers
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.active < limit && len(w.ready) > 0 {
		h := w.ready[0]
		w.ready = w.ready[1:]
		w.active++
		w.calls.Go(func() { w.work(h) })
	}
}

// work handles one row, whatever user code does.
func (w *worker[Req]) work(h *holding) {
	returned := false
	defer func() {
		if !returned {
			if why := recover(); why != nil {
				w.mu.Lock()
				w.panicked = why
				w.mu.Unlock()
				w.stop()
			}
		}
		h.cancel(nil)
		w.mu.Lock()
		delete(w.held, h.row.ID)
		w.active--
		w.mu.Unlock()
		w.dispatch()
		w.poke()
	}()
	if h.row.State == Reconciling {
		w.check(h)
	} else {
		w.deliver(h)
	}
	returned = true
}

// drain lets the rows that are still ready go back.
func (w *worker[Req]) drain() {
	w.mu.Lock()
	w.draining = true
	w.mu.Unlock()
}

func (w *worker[Req]) leaving() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.draining
}

// beat renews the leases of everything held, until ctx ends.
func (w *worker[Req]) beat(ctx context.Context) {
	for {
		cfg := w.r.config.Load()
		w.wait(ctx, cfg.Heartbeat, false)
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		rows := make([]Held, 0, len(w.held))
		for _, h := range w.held {
			rows = append(rows, Held{ID: h.row.ID, Token: h.row.Token})
		}
		w.mu.Unlock()
		for len(rows) > 0 {
			n := min(len(rows), maxBatch)
			w.renew(cfg, rows[:n])
			rows = rows[n:]
		}
	}
}

func (w *worker[Req]) renew(cfg *Config, rows []Held) {
	ctx, cancel := w.bookkeeping(cfg)
	defer cancel()
	until := time.Now().Add(cfg.Lease)
	kept, err := w.r.store.Renew(ctx, cfg.Lease, rows)
	if err != nil {
		w.failed("renew", err) // the lease may last; the token decides in the end
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, row := range rows {
		h := w.held[row.ID]
		switch {
		case h == nil || h.row.Token != row.Token: // ended meanwhile
		case kept[i]:
			h.until = until
		default:
			h.cancel(ErrLost)
		}
	}
}

// overdue tells that a lease may be over: this process was slow, or the store is.
func (w *worker[Req]) overdue(h *holding) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().After(h.until)
}

// sweepMost bounds what one statement of a sweep touches.
const sweepMost = 1000

// sweep goes on while there is more than one statement's worth: what is delivered
// between two sweeps may be many times that.
func (w *worker[Req]) sweep(ctx context.Context, cfg *Config) {
	s := Sweep{
		Queue: cfg.Name, Resend: cfg.Class == AtLeastOnce && w.r.set.reconcile == nil,
		CheckAfter: forever, Tries: cfg.tries(), Retain: cfg.retain(), Most: sweepMost,
	}
	if w.r.set.reconcile != nil {
		s.CheckAfter = cfg.CheckAfter
	}
	for more := true; more && ctx.Err() == nil; {
		more = w.sweepOnce(cfg, s)
	}
}

// sweepOnce tells whether there may be more.
func (w *worker[Req]) sweepOnce(cfg *Config, s Sweep) bool {
	ctx, cancel := w.bookkeeping(cfg)
	defer cancel()
	swept, err := w.r.store.Sweep(ctx, s)
	if err != nil {
		w.failed("sweep", err)
		return false
	}
	over := swept.Released + swept.Unknown + swept.Resent + swept.Dead
	return max(over, swept.Expired, swept.Deleted) >= int64(s.Most)
}

func (w *worker[Req]) readStats(*Config) {
	if _, err := w.r.Stats(context.Background()); err != nil {
		w.failed("stats", err)
	}
}
