package ratelimit

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/internal/keyed"
)

// QuotaLimiter is a Limiter that tells its limit.
type QuotaLimiter interface {
	Limiter
	Quota() Quota
}

// WithInstances sets a function that tells how many instances share a limit now,
// from a registry for example. What it returns below 1 is ignored.
func WithInstances(count func() int) Option {
	return optionFunc(func(o *options) { o.instances = count })
}

// defaultGrace is twice the time in which every instance's own guard notices.
const defaultGrace = 2 * pause

// WithGrace sets for how long after its store is back an instance keeps to its
// share, as others may not have noticed yet. It must not be shorter than what the
// guards of all instances need to notice; without it that is 2 s, for the guards
// that [Share] comes with.
func WithGrace(d time.Duration) Option {
	return optionFunc(func(o *options) { o.grace = d })
}

// Share returns a Limiter that gives each of the instances its share of next's
// limit while next fails: a local token bucket with the rate and the burst divided
// by their number, and a burst of at least 1. It knows [WithInstances],
// [WithGrace], [WithCapacity] and the options of [FailOpen].
//
// All instances together admit at most rate × t + burst in any window of length t,
// as without a failure, if they were asking often enough to know what remained:
//
//   - A key's share begins with what next had told within the last tenth of a
//     second to remain, divided by the instances, and empty when it told nothing.
//   - When next is back, an instance charges it with what is missing from its
//     share, so that next does not hand out the same tokens again; and for the
//     grace, see [WithGrace], both next and the share have to admit a request.
//
// What remains can change within that tenth of a second; while it does, as much as
// the burst can be admitted once more. An instance that alone cannot reach next
// adds its share to what the others admit.
//
// The Limiter is a [Retuner] if next is one. What a key has used of its share counts
// on when the limit changes, or the number of instances.
func Share(next QuotaLimiter, instances int, opts ...Option) (Limiter, error) {
	o := newOptions(opts)
	var errs []error
	if next == nil {
		return nil, &FieldError{"next", "nil", "must be given"}
	}
	if instances < 1 {
		errs = append(errs, &FieldError{"instances", instances, "must be at least 1"})
	}
	errs = append(errs, o.validate())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	table, err := keyed.NewTable(o.capacity, keyed.Refuse, idleShare)
	if err != nil {
		return nil, err
	}
	return newPolicy(next, o, func(c *clock) fallback {
		return &shares{quota: next.Quota, fixed: int64(instances), counted: o.instances, grace: int64(o.grace), clock: c, table: table}
	})
}

// fresh is how long a store's answer is worth remembering.
const fresh = int64(100 * time.Millisecond)

// shares decides by the local share of each key while the store is away.
type shares struct {
	quota   func() Quota
	fixed   int64
	counted func() int
	grace   int64
	clock   *clock
	table   *keyed.Table[share]

	away  atomic.Bool  // the guard kept calls from the store, and no answer came since
	until atomic.Int64 // when the grace ends
}

// share is what an instance knows of one key.
type share struct {
	// away tells that the key was decided about here, and the store does not know.
	away bool
	// tat is that of the share, while the store is away and in the grace, at the
	// spacing that was in force when it was used last.
	tat, spacing int64
	// The store said at seen that remained was left.
	seen, remained int64
}

// adapt converts the share to the part that is in force now, as the limit or the number
// of instances may have changed. What was used of it counts on.
func (s *share) adapt(g *part, now int64) {
	if s.spacing != 0 && s.spacing != g.spacing {
		g.convert(gcra{spacing: s.spacing}, &s.tat, now)
	}
	s.spacing = g.spacing
}

func idleShare(_ int, s *share) int64 { return max(s.tat, s.seen+fresh) }

// part is an instance's limit: the n-th part of a whole.
type part struct {
	gcra
	n     int64
	whole int64 // its burst
}

// part returns this instance's. It calls functions of the caller's, so no lock may
// be held.
func (s *shares) part() part {
	n := s.fixed
	if s.counted != nil {
		if c := int64(s.counted()); c > 0 {
			n = c
		}
	}
	q := s.quota().bucket()
	whole, spacing := q.Burst, q.Rate.spacing()
	q.Burst = max(whole/n, 1)
	return part{tokens(q, spacing*min(n, longest/spacing)), n, whole}
}

func (s *shares) cutOff() {
	if !s.away.Load() {
		s.away.Store(true)
	}
}

func (s *shares) instead(key string, cost int64) (Decision, error) {
	g := s.part()
	if cost > g.whole {
		return Decision{}, &CostError{Cost: cost, Most: g.whole}
	}
	now, hash := s.clock.read(), s.table.Hash(key)
	shard := s.table.Shard(hash)
	shard.Lock()
	defer shard.Unlock()
	state := shard.FindOrInsert(hash, now)
	if state == nil {
		return Decision{Limit: g.q.Burst, RetryAfter: g.q.Rate.Per}, nil
	}
	state.adapt(&g, now)
	if !state.away {
		level := int64(0)
		if state.remained > 0 && now-state.seen <= fresh {
			level = min(state.remained/g.n, g.q.Burst)
		}
		// A share that is still in force from the last time is not filled up.
		tat := max(state.tat, now+(g.q.Burst-level)*g.spacing)
		*state = share{away: true, tat: min(tat, now+g.tolerance), spacing: g.spacing}
	}
	return g.take(&state.tat, now, cost), nil
}

// before takes the cost from the share in the grace, and adds to the charge what
// was spent here.
func (s *shares) before(key string, cost int64) (question, *Decision) {
	q := question{cost: cost, charge: cost}
	now := s.clock.read()
	if cost <= 0 || s.away.Load() || now >= s.until.Load() || cost > s.quota().bucket().Burst {
		return s.settle(q, key, now)
	}
	g := s.part()
	hash := s.table.Hash(key)
	shard := s.table.Shard(hash)
	shard.Lock()
	defer shard.Unlock()
	state := shard.FindOrInsert(hash, now)
	if state == nil {
		return q, &Decision{Limit: g.q.Burst, RetryAfter: g.q.Rate.Per, Degraded: true}
	}
	state.adapt(&g, now)
	q, denial := g.settled(q, state, now)
	if denial != nil {
		return q, denial
	}
	if d := g.take(&state.tat, now, cost); !d.Allowed {
		d.Degraded = true
		return q, &d
	}
	q.reserved = true
	return q, nil
}

// settle adds to q's charge what was spent here.
func (s *shares) settle(q question, key string, now int64) (question, *Decision) {
	hash := s.table.Hash(key)
	if q.cost <= 0 || !s.indebted(hash) {
		return q, nil
	}
	g := s.part()
	shard := s.table.Shard(hash)
	shard.Lock()
	defer shard.Unlock()
	if state := shard.Find(hash); state != nil {
		state.adapt(&g, now)
		return g.settled(q, state, now)
	}
	return q, nil
}

// indebted tells whether the key was decided about here.
func (s *shares) indebted(hash uint64) bool {
	shard := s.table.Shard(hash)
	shard.Lock()
	defer shard.Unlock()
	state := shard.Find(hash)
	return state != nil && state.away
}

// settled adds to q's charge what is missing from a share, a part of a token as a
// whole one. It denies when both are more than the limit: then the share has not
// enough for q either, and what is owed fades as it refills.
func (g *part) settled(q question, state *share, now int64) (question, *Decision) {
	if !state.away || q.cost > g.whole {
		return q, nil
	}
	debt := max(state.tat-now, 0)
	q.charge, q.settles = q.cost+(debt+g.spacing-1)/g.spacing, true
	if q.charge > g.whole {
		return q, &Decision{
			Limit: g.q.Burst, RetryAfter: time.Duration(debt - (g.whole-q.cost)*g.spacing), ResetAfter: time.Duration(debt), Degraded: true,
		}
	}
	return q, nil
}

func (s *shares) answered(key string, asked question, d Decision) {
	now := s.clock.read()
	if s.away.Load() && s.away.CompareAndSwap(true, false) {
		s.until.Store(now + s.grace)
	}
	if asked.cost <= 0 {
		return
	}
	var g part
	if asked.reserved && !d.Allowed {
		g = s.part()
	}
	hash := s.table.Hash(key)
	shard := s.table.Shard(hash)
	shard.Lock()
	defer shard.Unlock()
	state := shard.FindOrInsert(hash, now)
	if state == nil {
		return // it will begin empty
	}
	if asked.reserved && !d.Allowed {
		state.adapt(&g, now)
		state.tat -= min(asked.cost*g.spacing, max(state.tat-now, 0))
	}
	if state.away && (!asked.settles || !d.Allowed && state.tat > now) {
		return // the debt is not paid yet; it fades as the share refills
	}
	state.away, state.seen, state.remained = false, now, d.Remaining
}
