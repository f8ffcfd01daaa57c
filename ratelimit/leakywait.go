package ratelimit

import (
	"context"
	"time"

	"github.com/bulwark-go/bulwark/internal/keyed"
)

// Wait implements [Waiter]. It admits a key's requests in the order of their
// arrival. It denies at once, without queueing, when too many wait already or the
// wait would exceed [WithMaxWait] or the deadline of ctx.
func (b *LeakyBucket) Wait(ctx context.Context, key string, cost int64) (Decision, error) {
	if ctx.Err() != nil {
		return Decision{}, errWait(ctx)
	}
	hash := b.table.Hash(key)
	shard := b.table.Shard(hash)
	w, d, err := b.enqueue(ctx, shard, hash, key, cost)
	if w == nil {
		return d, err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		pause, d := b.advance(shard, hash, w)
		if d.Allowed {
			return d, nil
		}
		var due <-chan time.Time // only the first has a time to wait for
		if pause > 0 {
			timer.Reset(pause)
			due = timer.C
		}
		select {
		case <-due:
		case <-w.wake:
		case <-ctx.Done():
			b.leave(shard, hash, w)
			return Decision{}, errWait(ctx)
		}
	}
}

// enqueue decides at once, or returns the request's place in the queue.
func (b *LeakyBucket) enqueue(
	ctx context.Context, shard *keyed.Shard[leak], hash uint64, key string, cost int64,
) (*waiting, Decision, error) {
	shard.Lock()
	defer shard.Unlock()
	g := b.shards[shard.Index]
	if err := CheckRequest(key, cost, g.q.Rate.Count); err != nil {
		return nil, Decision{}, err
	}
	now := b.clock.read()
	l := shard.FindOrInsert(hash, now)
	if l == nil {
		return nil, Decision{Limit: g.q.Rate.Count, RetryAfter: g.q.Rate.Per}, nil
	}
	d := g.admit(l, now, cost)
	if d.Allowed || int(l.count) >= b.queue || int64(d.RetryAfter) > b.maxWait {
		return nil, d, nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d.RetryAfter {
		return nil, d, nil
	}
	w := &waiting{cost: cost, arrived: now, wake: make(chan struct{}, 1)}
	l.push(w)
	return w, d, nil
}

// advance admits w when it is the first and its time has come. Otherwise it
// returns how long the first has to wait, and 0 for all others.
func (b *LeakyBucket) advance(shard *keyed.Shard[leak], hash uint64, w *waiting) (time.Duration, Decision) {
	shard.Lock()
	defer shard.Unlock()
	l := shard.Find(hash) // always there: the table does not evict keys with waiters
	if l.first != w {
		return 0, Decision{}
	}
	g, now := b.shards[shard.Index], b.clock.read()
	if l.tat > now {
		return time.Duration(l.tat - now), Decision{}
	}
	l.remove(w)
	l.tat = max(l.tat, w.arrived, now-slack) + min(w.cost, g.q.Rate.Count)*g.spacing // the rate may have been lowered
	return 0, Decision{
		Allowed: true, Limit: g.q.Rate.Count,
		ResetAfter: time.Duration(max(l.tat+g.lasting(l.cost)-now, 0)),
	}
}

// leave takes w out of the queue, whoever it is.
func (b *LeakyBucket) leave(shard *keyed.Shard[leak], hash uint64, w *waiting) {
	shard.Lock()
	defer shard.Unlock()
	shard.Find(hash).remove(w)
}

func (l *leak) push(w *waiting) {
	if w.prev = l.last; w.prev == nil {
		l.first = w
	} else {
		w.prev.next = w
	}
	l.last = w
	l.count++
	l.cost += w.cost
}

// remove takes w out, and wakes who has become the first thereby.
func (l *leak) remove(w *waiting) {
	if w.prev == nil {
		l.first = w.next
		l.first.signal()
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	l.count--
	l.cost -= w.cost
}

// signal wakes w, if there is one.
func (w *waiting) signal() {
	if w == nil {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default: // it has been told already
	}
}
