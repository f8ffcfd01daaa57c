package async

import (
	"context"
	"slices"
	"sync"
	"time"
)

// askAgain is the pause after a denial that names none.
const askAgain = time.Millisecond

// admitted waits for the limiter. It gives up when the worker leaves or the lease is
// lost.
func (w *worker[Req]) admitted(cfg *Config, h *holding, value Req) bool {
	if w.r.set.limiter == nil {
		return !w.leaving() && h.ctx.Err() == nil
	}
	key := limitKey(cfg, w.r.set.terms(value))
	if !w.turns.enter(h.ctx, key) {
		return false
	}
	allowed := false
	defer func() { w.turns.leave(key, allowed) }()
	for !w.leaving() && h.ctx.Err() == nil {
		switch d, err := w.r.set.limiter.Take(h.ctx, key, 1); {
		case err == nil && d.Allowed, err != nil && cfg.LimiterFailure == SendIt:
			allowed = true
			return true
		case err == nil && 0 < d.RetryAfter && d.RetryAfter < cfg.Poll:
			w.turns.denied(key)
			w.wait(h.ctx, d.RetryAfter, false) // to the point: whoever is late loses some of the limit
		case err == nil && d.RetryAfter <= 0:
			w.turns.denied(key)
			w.wait(h.ctx, askAgain, false)
		default:
			w.turns.denied(key)
			w.wait(h.ctx, w.spread(cfg.Poll), false) // the limit may be raised meanwhile
		}
	}
	return false
}

// turns decide how many deliveries ask the limiter about a key at the same time; the
// others wait in turn. If each of them asked, a backlog would cost as many questions
// for every request as there are workers; if only one did, a limiter that takes its
// time to answer would be the limit. So while requests are admitted one after the other,
// one more may ask with each, and a denial makes it a single one again.
type turns struct {
	mu sync.Mutex
	of map[string]*turn
}

type turn struct {
	width, asking int
	calm          bool            // the last answer was no denial
	waiting       []chan struct{} // closed when it is its turn
}

// turnsKept is how many turns are kept while nobody wants them, for their width.
const turnsKept = 1000

// enter waits for a turn; false means that ctx ended first. Whoever got one leaves.
func (t *turns) enter(ctx context.Context, key string) bool {
	t.mu.Lock()
	u := t.of[key]
	if u == nil {
		u = &turn{width: 1}
		if t.of == nil {
			t.of = make(map[string]*turn)
		}
		t.of[key] = u
	}
	if u.asking < u.width {
		u.asking++
		t.mu.Unlock()
		return true
	}
	mine := make(chan struct{})
	u.waiting = append(u.waiting, mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return true
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(u.waiting, mine); i >= 0 {
		u.waiting = slices.Delete(u.waiting, i, i+1)
		return false
	}
	t.pass(key, u) // it came in the same moment
	return false
}

// denied leaves one turn at a time.
func (t *turns) denied(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of[key].width, t.of[key].calm = 1, false
}

// leave ends a turn.
func (t *turns) leave(key string, allowed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.of[key]
	if allowed {
		if u.calm {
			u.width = min(u.width+1, maxWorkers)
		}
		u.calm = true
	}
	t.pass(key, u)
}

// pass gives a turn that ended to those who wait.
func (t *turns) pass(key string, u *turn) {
	u.asking--
	for u.asking < u.width && len(u.waiting) > 0 {
		close(u.waiting[0])
		u.waiting = slices.Delete(u.waiting, 0, 1)
		u.asking++
	}
	if u.asking == 0 && len(t.of) > turnsKept {
		delete(t.of, key) // nobody waits either
	}
}
