package ratelimit

// NewTokenBucket returns a limiter with a token bucket for each key: it holds up
// to burst tokens (see [WithBurst]), starts full, and refills at the rate. It is
// implemented as GCRA, in integer nanoseconds.
//
// In any window of length t it admits at most burst + t × rate; with the default
// burst that is 1.1 times the rate's count in any period. A bad rate or option is
// refused with [*FieldError]s.
func NewTokenBucket(rate Rate, opts ...Option) (*Local, error) {
	o := newOptions(opts)
	s, err := newStates[int64](Quota{Rate: rate, Burst: o.burst}, o, newGCRA)
	if err != nil {
		return nil, err
	}
	return &Local{store: &buckets{s}}, nil
}

// buckets are states with a take of their own: the same as for all algorithms, but
// written out, as calls through type parameters would cost it a third of its time.
type buckets struct{ *states[int64, gcra] }

func (b *buckets) take(key string, cost int64) (Decision, error) {
	hash := b.table.Hash(key)
	now := b.clock.read()
	shard := b.table.Shard(hash)
	shard.Lock()
	g := &b.shards[shard.Index]
	if key == "" || cost < 0 || cost > g.q.Burst {
		err := CheckRequest(key, cost, g.q.Burst)
		shard.Unlock()
		return Decision{}, err
	}
	tat := shard.Find(hash)
	if tat == nil {
		if cost == 0 {
			tat = new(int64)
		} else if tat = shard.Insert(hash, now); tat == nil {
			d := Decision{Limit: g.q.Burst, RetryAfter: g.q.Rate.Per}
			shard.Unlock()
			return d, nil
		}
	}
	d := g.charge(tat, now, cost)
	shard.Unlock()
	return d, nil
}
