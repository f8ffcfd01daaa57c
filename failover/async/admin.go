package async

import (
	"context"
	"sync"
	"time"
)

// Stats reads the figures of the queue from the store. Each state is counted up to
// [Config.MaxBacklog].
func (r *Rescued[Req]) Stats(ctx context.Context) (Stats, error) {
	cfg := r.config.Load()
	ctx, cancel := context.WithTimeout(ctx, cfg.StoreTimeout)
	defer cancel()
	s, err := r.store.Stats(ctx, cfg.Name, cfg.MaxBacklog)
	if err == nil {
		r.state.set(s)
	}
	return s, err
}

// List returns stored requests of the queue by ascending ID; the Queue of f is
// ignored. Payload and Carried may hold personal data.
func (r *Rescued[Req]) List(ctx context.Context, f Filter) ([]Row, error) {
	f.Queue = r.Config().Name
	return r.store.List(ctx, f)
}

// Requeue makes requests due now, with no attempts made, and returns how many: dead
// ones after a repair, unknown ones that an operator found undone. An expired one
// is then worth delivering for ever. The Queue of f is ignored; States are required.
func (r *Rescued[Req]) Requeue(ctx context.Context, f Filter) (int64, error) {
	f.Queue = r.Config().Name
	if len(f.States) == 0 {
		return 0, violation("Filter.States", f.States, "given")
	}
	return r.store.Requeue(ctx, f)
}

// Purge deletes requests, and with them the memory of their keys; it returns how
// many. Those that a worker holds are left alone. The Queue of f is ignored; States
// are required.
func (r *Rescued[Req]) Purge(ctx context.Context, f Filter) (int64, error) {
	f.Queue = r.Config().Name
	if len(f.States) == 0 {
		return 0, violation("Filter.States", f.States, "given")
	}
	return r.store.Purge(ctx, f)
}

// Pause stops deliveries of the queue on all instances until Resume; those under way
// end. Requests are still accepted, and made at once where they can be.
func (r *Rescued[Req]) Pause(ctx context.Context) error { return r.store.Pause(ctx, r.Config().Name) }

// Resume ends a pause.
func (r *Rescued[Req]) Resume(ctx context.Context) error {
	return r.store.Resume(ctx, r.Config().Name)
}

// watch keeps the figures read last, and what was accepted since.
type watch struct {
	mu      sync.Mutex
	reading sync.Mutex // held by the one that reads
	stats   Stats
	at      time.Time // zero: never read
	grown   int64
}

func (w *watch) grew() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grown++
}

func (w *watch) set(s Stats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats, w.at, w.grown = s, time.Now(), 0
}

func (w *watch) last() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// age is how old the figures are; known is false before the first.
func (w *watch) age() (age time.Duration, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.at), !w.at.IsZero()
}

// backlog is the present backlog, as far as this instance knows, and the age of its
// oldest request.
func (w *watch) backlog() (int64, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	oldest := w.stats.Oldest
	if oldest > 0 {
		oldest += time.Since(w.at)
	}
	return w.stats.Backlog() + w.grown, oldest
}

// room returns ErrFull when the backlog is at its bound. Where nobody else reads the
// figures in time it does so itself; when that fails, so will the Put after it.
func (r *Rescued[Req]) room(ctx context.Context, cfg *Config) error {
	if age, known := r.state.age(); !known {
		r.state.reading.Lock() // the first ones wait for the figures
		if _, known = r.state.age(); !known {
			_, _ = r.Stats(context.WithoutCancel(ctx))
		}
		r.state.reading.Unlock()
	} else if age > 2*cfg.StatsEvery && r.state.reading.TryLock() {
		_, _ = r.Stats(context.WithoutCancel(ctx))
		r.state.reading.Unlock()
	}
	backlog, oldest := r.state.backlog()
	if backlog >= cfg.MaxBacklog || cfg.MaxAge > 0 && oldest > cfg.MaxAge {
		return ErrFull
	}
	return nil
}
