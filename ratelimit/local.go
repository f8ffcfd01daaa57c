package ratelimit

import (
	"context"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/internal/keyed"
)

// Local is a limiter that keeps the budget of each key in this process. Which
// algorithm it follows, its constructor says: [NewTokenBucket],
// [NewSlidingLog], [NewStrictWindow], [NewSlidingWindow] or [NewFixedWindow].
//
// It never tracks more keys than its capacity, see [WithCapacity] and
// [WithEviction], and stores fingerprints instead of keys: a key of a megabyte
// takes no more room than another.
type Local struct {
	store store
}

var (
	_ Limiter      = (*Local)(nil)
	_ Retuner      = (*Local)(nil)
	_ Bounded      = (*Local)(nil)
	_ QuotaLimiter = (*Local)(nil)
)

// store is a Local without its algorithm's types.
type store interface {
	take(key string, cost int64) (Decision, error)
	retune(Quota) error
	quota() Quota
	keys() int
	most(time.Duration) int64
}

// Take implements [Limiter]. It neither waits nor looks at ctx. When the limiter is
// full of busy keys, a new key is denied with no Remaining.
func (l *Local) Take(_ context.Context, key string, cost int64) (Decision, error) {
	return l.store.take(key, cost)
}

// Quota implements [Retuner].
func (l *Local) Quota() Quota { return l.store.quota() }

// Retune implements [Retuner]. Each key sees either the old limit or the new one.
func (l *Local) Retune(q Quota) error { return l.store.retune(q) }

// Most implements [Bounded].
func (l *Local) Most(window time.Duration) int64 { return l.store.most(window) }

// Snapshot is the state of a limiter for tests and dashboards.
type Snapshot struct {
	Quota Quota
	// Keys is how many keys are tracked, those with a full budget included that
	// were not swept out yet.
	Keys int
	// Waiting is how many requests wait now, in a limiter where they can.
	Waiting int
}

// Snapshot returns the limiter's state.
func (l *Local) Snapshot() Snapshot {
	return Snapshot{Quota: l.store.quota(), Keys: l.store.keys()}
}

// algorithm is one limit over state S. A zero S is a full budget.
type algorithm[S, A any] interface {
	quota() Quota
	largest() int64
	most(time.Duration) int64
	// take charges cost when the limit admits it; a denial, or a cost of 0,
	// leaves the state's meaning as it was.
	take(s *S, now, cost int64) Decision
	// until is when s is a full budget again.
	until(s *S) int64
	// fresh is the decision for a full budget that nothing was taken of.
	fresh() Decision
	// convert adapts s, made under old, to this limit.
	convert(old A, s *S, now int64)
}

// fits tells whether a limit has room for cost beside what is counted. A look has
// room always, also where a lowered limit left more counted than it admits.
func fits(counted, cost, limit int64) bool { return cost == 0 || counted+cost <= limit }

// states is a store of states S under algorithm A.
type states[S any, A algorithm[S, A]] struct {
	clock clock
	build func(Quota) (A, error)
	table *keyed.Table[S]
	// shards holds the algorithm in force for each shard of the table, guarded by
	// that shard's lock: retuning converts a shard's states in the same step.
	shards []A

	retuning sync.Mutex
}

func newLocal[S any, A algorithm[S, A]](q Quota, o options, build func(Quota) (A, error)) (*Local, error) {
	s, err := newStates[S](q, o, build)
	if err != nil {
		return nil, err
	}
	return &Local{store: s}, nil
}

func newStates[S any, A algorithm[S, A]](q Quota, o options, build func(Quota) (A, error)) (*states[S, A], error) {
	algo, err := build(q)
	if err != nil {
		return nil, err
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &states[S, A]{clock: o.newClock(), build: build}
	s.table, err = keyed.NewTable(o.capacity, o.full, s.until)
	if err != nil {
		return nil, err
	}
	s.shards = make([]A, s.table.ShardCount())
	for i := range s.shards {
		s.shards[i] = algo
	}
	return s, nil
}

// until is asked by the table with the shard locked.
func (s *states[S, A]) until(shard int, state *S) int64 { return s.shards[shard].until(state) }

func (s *states[S, A]) take(key string, cost int64) (Decision, error) {
	hash := s.table.Hash(key)
	now := s.clock.read()
	shard := s.table.Shard(hash)
	shard.Lock()
	algo := s.shards[shard.Index]
	if key == "" || cost < 0 || cost > algo.largest() {
		err := CheckRequest(key, cost, algo.largest())
		shard.Unlock()
		return Decision{}, err
	}
	state := shard.Find(hash)
	if state == nil {
		if cost == 0 {
			d := algo.fresh()
			shard.Unlock()
			return d, nil
		}
		if state = shard.Insert(hash, now); state == nil {
			d := Decision{Limit: algo.largest(), RetryAfter: algo.quota().Rate.Per}
			shard.Unlock()
			return d, nil
		}
	}
	d := algo.take(state, now, cost)
	shard.Unlock()
	return d, nil
}

func (s *states[S, A]) retune(q Quota) error {
	algo, err := s.build(q)
	if err != nil {
		return err
	}
	s.retuning.Lock()
	defer s.retuning.Unlock()
	for shard := range s.table.Shards() {
		shard.Lock()
		now := s.clock.read()
		old := s.shards[shard.Index]
		for state := range shard.Values() {
			algo.convert(old, state, now)
		}
		s.shards[shard.Index] = algo
		shard.Rescan()
		shard.Unlock()
	}
	return nil
}

func (s *states[S, A]) quota() Quota { return s.algorithm().quota() }

func (s *states[S, A]) keys() int { return s.table.Len() }

func (s *states[S, A]) most(window time.Duration) int64 { return s.algorithm().most(window) }

func (s *states[S, A]) algorithm() A {
	first := s.table.Shard(0)
	first.Lock()
	defer first.Unlock()
	return s.shards[first.Index]
}
