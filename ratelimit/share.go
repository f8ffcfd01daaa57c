package ratelimit

import (
	"errors"
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

// Share returns a Limiter that gives each of the instances its share of next's
// limit while next fails: a local token bucket with the rate and the burst divided
// by their number, and a burst of at least 1. It knows [WithInstances],
// [WithCapacity] and the options of [FailOpen].
//
// All instances together admit at most rate × t + burst in any window of length t,
// as without a failure, if they were asking often enough to know what remained:
//
//   - A key's share begins with what next had told within the last tenth of a
//     second to remain, divided by the instances, and empty when it told nothing.
//   - When next is back, an instance first charges it with what is missing from its
//     share, so that next does not hand out the same tokens again.
//
// What remained can change within that tenth of a second; while it does, as much
// as the burst can be admitted once more.
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
		return &shares{quota: next.Quota, fixed: int64(instances), counted: o.instances, clock: c, table: table}
	})
}

// fresh is how long a store's answer is worth remembering.
const fresh = int64(100 * time.Millisecond)

// shares decides by the local share of each key while the store is away.
type shares struct {
	quota   func() Quota
	fixed   int64
	counted func() int
	clock   *clock
	table   *keyed.Table[share]
}

// share is what an instance knows of one key.
type share struct {
	// away tells that tat is in force: the key is decided about here.
	away bool
	tat  int64
	// The store said at seen that remained was left.
	seen, remained int64
}

func idleShare(_ int, s *share) int64 {
	if s.away {
		return s.tat
	}
	return s.seen + fresh
}

// part returns this instance's limit, and by what it divides the whole.
func (s *shares) part() (gcra, int64) {
	n := s.fixed
	if s.counted != nil {
		if c := int64(s.counted()); c > 0 {
			n = c
		}
	}
	q := s.quota().bucket()
	q.Burst = max(q.Burst/n, 1)
	spacing := q.Rate.spacing() * n
	return gcra{spacing: spacing, tolerance: q.Burst * spacing, q: q}, n
}

func (s *shares) instead(key string, cost int64) (Decision, error) {
	if most := s.quota().bucket().Burst; cost > most {
		return Decision{}, &CostError{Cost: cost, Most: most}
	}
	g, n := s.part()
	now, hash := s.clock.read(), s.table.Hash(key)
	shard := s.table.Shard(hash)
	shard.Lock()
	defer shard.Unlock()
	state := shard.Find(hash)
	if state == nil {
		if state = shard.Insert(hash, now); state == nil {
			return Decision{Limit: g.q.Burst, RetryAfter: g.q.Rate.Per}, nil
		}
	}
	if !state.away {
		level := int64(0)
		if state.remained > 0 && now-state.seen <= fresh {
			level = min(state.remained/n, g.q.Burst)
		}
		*state = share{away: true, tat: now + (g.q.Burst-level)*g.spacing}
	}
	return g.take(&state.tat, now, cost), nil
}

// charge adds what is missing from the share, if the key was decided about here:
// those tokens are spent, and the store does not know.
func (s *shares) charge(key string, cost int64) (charge int64, settles bool) {
	hash := s.table.Hash(key)
	shard := s.table.Shard(hash)
	shard.Lock()
	state := shard.Find(hash)
	if state == nil || !state.away || cost <= 0 {
		shard.Unlock()
		return cost, false
	}
	tat := state.tat
	shard.Unlock()
	g, _ := s.part()
	missing := max(tat-s.clock.read(), 0) / g.spacing
	return max(min(cost+missing, s.quota().bucket().Burst), cost), true
}

func (s *shares) answered(key string, charge int64, settles bool, d Decision) {
	if charge <= 0 {
		return
	}
	now, hash := s.clock.read(), s.table.Hash(key)
	shard := s.table.Shard(hash)
	shard.Lock()
	defer shard.Unlock()
	state := shard.Find(hash)
	if state == nil {
		if state = shard.Insert(hash, now); state == nil {
			return // it will begin empty
		}
	}
	if state.away && (!settles || !d.Allowed && state.tat > now) {
		return // the debt is not paid yet; it fades as the share refills
	}
	*state = share{seen: now, remained: d.Remaining}
}
