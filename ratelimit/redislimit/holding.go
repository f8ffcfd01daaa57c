package redislimit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// holding is what an instance has of one key. It is guarded by Leased.mu.
type holding struct {
	tokens  int64
	expires time.Duration // when they are forgotten
	reset   time.Duration // when Redis's half is full
	// Costs of denied and more are denied until then.
	denied int64
	until  time.Duration
	trip   *trip // under way to Redis, for all who ask meanwhile
}

// trip is one round trip. err is set before done is closed.
type trip struct {
	done chan struct{}
	err  error
}

// id is what names a key here: never long, and never another key's.
func (l *Leased) id(key string) string {
	if len(key) > longest || key[0] == 0 {
		return "\x00" + l.keys.hash(key)
	}
	return key
}

// Take implements [ratelimit.Limiter]. A cost may be up to half of the burst,
// rounded up. Requests that need a new lease wait for one round trip together. A
// cost of 0 asks nobody.
func (l *Leased) Take(ctx context.Context, key string, cost int64) (ratelimit.Decision, error) {
	t := l.terms.Load()
	if err := ratelimit.CheckRequest(key, cost, t.half); err != nil {
		return ratelimit.Decision{}, err
	}
	id := l.id(key)
	for {
		d, decided, h, others := l.look(t, id, cost)
		switch {
		case decided:
			return d, nil
		case others == nil:
			return l.fetch(ctx, t, key, cost, h)
		}
		select {
		case <-others.done:
			if others.err != nil {
				return ratelimit.Decision{}, others.err
			}
		case <-ctx.Done():
			return ratelimit.Decision{}, fmt.Errorf("redislimit: wait for a lease: %w", context.Cause(ctx))
		}
	}
}

// look decides by what is here, or returns the trip of others to wait for, or else
// starts one, which fetch has to end. Without room for the key there is no holding.
func (l *Leased) look(t *terms, id string, cost int64) (d ratelimit.Decision, decided bool, h *holding, others *trip) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	h = l.held[id]
	if h == nil {
		if cost == 0 {
			return ratelimit.Decision{Allowed: true, Limit: t.half}, true, nil, nil
		}
		if h = l.insert(id, now); h == nil {
			return d, false, nil, nil
		}
	}
	if now >= h.expires {
		h.tokens = 0
	}
	switch {
	case cost <= h.tokens:
		h.tokens -= cost
		return t.admitted(h, now), true, h, nil
	case now < h.until && cost >= h.denied:
		retry := h.until - now + micros((cost-h.denied)*t.spacing)
		return t.refused(h, now, retry), true, h, nil
	case h.trip != nil:
		return d, false, h, h.trip
	}
	h.trip = &trip{done: make(chan struct{})}
	return d, false, h, nil
}

func (t *terms) admitted(h *holding, now time.Duration) ratelimit.Decision {
	return ratelimit.Decision{
		Allowed: true, Limit: t.half, Remaining: min(h.tokens, t.half), ResetAfter: max(h.reset-now, 0),
	}
}

func (t *terms) refused(h *holding, now, retry time.Duration) ratelimit.Decision {
	return ratelimit.Decision{
		Limit: t.half, Remaining: min(h.tokens, t.half), RetryAfter: retry, ResetAfter: max(h.reset-now, 0),
	}
}

// insert makes room for a key, if only by forgetting some that hold nothing.
func (l *Leased) insert(id string, now time.Duration) *holding {
	if len(l.held) >= l.limit && now >= l.sweep {
		for other, h := range l.held {
			if h.trip == nil && now >= h.until && (now >= h.expires || h.tokens == 0) {
				delete(l.held, other)
			}
		}
		l.sweep = now + sweepPause
	}
	if len(l.held) >= l.limit {
		return nil
	}
	h := new(holding)
	l.held[strings.Clone(id)] = h // the key may be a part of something large
	return h
}

// sweepPause keeps a full Leased from looking through all it holds at each request.
const sweepPause = 100 * time.Millisecond

// fetch takes a lease and the cost out of it, and ends the holding's trip. Without
// a holding it takes the cost only.
func (l *Leased) fetch(ctx context.Context, t *terms, key string, cost int64, h *holding) (ratelimit.Decision, error) {
	if h == nil {
		return l.ask(ctx, t, key, cost, cost, new(holding))
	}
	verdict := errAbrupt
	defer func() { l.arrive(h, verdict) }() // also when the client panics
	d, err := l.ask(ctx, t, key, cost, max(cost, t.chunk), h)
	if verdict = err; ctx.Err() != nil {
		verdict = nil // it was this request that gave up: others may try
	}
	return d, err
}

// ask is the round trip.
func (l *Leased) ask(
	ctx context.Context, t *terms, key string, cost, most int64, h *holding,
) (ratelimit.Decision, error) {
	l.mu.Lock()
	sent := l.now() // Redis takes the tokens later than that
	l.mu.Unlock()
	call := append(l.script.call(l.keys.key(key), 4), cost, most, t.spacing, t.room)
	reply, err := l.script.run(ctx, l.rdb, call, 2)
	if err != nil {
		return ratelimit.Decision{}, err
	}
	taken, missing := min(reply[0], most), reply[1]
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	h.reset = now + micros(missing)
	if taken < cost {
		retry := micros(missing + cost*t.spacing - t.room)
		h.denied, h.until = cost, now+retry
		return t.refused(h, now, retry), nil
	}
	h.tokens, h.expires = taken-cost, sent+t.life
	return t.admitted(h, now), nil
}

// arrive ends a trip and wakes those who wait for it.
func (l *Leased) arrive(h *holding, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.trip.err = err
	close(h.trip.done)
	h.trip = nil
}

// errAbrupt is the error of a trip during which the client panicked.
var errAbrupt = errors.New("redislimit: lease: the round trip ended abruptly")

// Quota implements [ratelimit.Retuner].
func (l *Leased) Quota() ratelimit.Quota { return l.terms.Load().q }

// Retune implements [ratelimit.Retuner] as [Limiter.Retune] does; tokens that are
// leased already are spent. The chunk stays, and must fit the new burst.
func (l *Leased) Retune(q ratelimit.Quota) error {
	t, err := newTerms(q, l.terms.Load().chunk)
	if err != nil {
		return err
	}
	l.terms.Store(t)
	return nil
}

// Most implements [ratelimit.Bounded], for all instances together.
func (l *Leased) Most(window time.Duration) int64 { return l.terms.Load().most(window) }
