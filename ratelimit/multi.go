package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/internal/keyed"
)

// Limit is a quota with a name.
type Limit struct {
	// Name is the Rule of the decisions that this limit decides; a label, so from
	// a closed set.
	Name  string
	Quota Quota
}

// maxLimits keeps a Multi's decision quick: it holds a lock for each limit.
const maxLimits = 8

// Multi checks several limits in one atomic decision: all of them are charged, or
// none is. Two sorts of use:
//
//   - Take: several limits of one subject, such as 10 a second and 1000 an hour.
//   - TakeKeys: one limit each of several subjects, such as a user, an address and
//     a tenant.
//
// Each limit is a token bucket for each key, with the bound that [NewTokenBucket]
// documents.
type Multi struct {
	clock clock
	table *keyed.Table[multiState]

	// limits is read under any shard's lock and written under all of them.
	limits   []multiLimit
	retuning sync.Mutex
}

type multiLimit struct {
	gcra
	name string
}

// salt keeps the same key's budgets under different limits apart: fingerprints are
// random, so that any constants that differ will do.
func salt(limit int) uint64 { return uint64(limit) * 0x9E3779B97F4A7C15 }

type multiState struct {
	tat   int64
	limit int8 // index of its limit, for retuning
}

// NewMulti returns a Multi of one to eight limits with different names. It knows
// [WithClock], [WithCapacity] (each key counts once for each limit) and
// [WithEviction]. Bad limits and options are refused with [*FieldError]s.
func NewMulti(limits []Limit, opts ...Option) (*Multi, error) {
	o := newOptions(opts)
	built, err := buildLimits(limits)
	if err := errors.Join(err, o.validate()); err != nil {
		return nil, err
	}
	m := &Multi{clock: o.newClock(), limits: built}
	m.table, err = keyed.NewTable(o.capacity, o.full, func(_ int, s *multiState) int64 { return s.tat })
	return m, err
}

func buildLimits(limits []Limit) ([]multiLimit, error) {
	var errs []error
	if len(limits) < 1 || len(limits) > maxLimits {
		errs = append(errs, &FieldError{"limits", len(limits), "must be one to eight"})
	}
	built := make([]multiLimit, 0, len(limits))
	for i, l := range limits {
		path := fmt.Sprintf("limits[%d]", i)
		named := func(other multiLimit) bool { return other.name == l.Name }
		if l.Name == "" || slices.ContainsFunc(built, named) {
			errs = append(errs, &FieldError{path + ".name", fmt.Sprintf("%q", l.Name), "must be given, and once only"})
		}
		g, err := newGCRA(l.Quota)
		if err != nil {
			errs = append(errs, fmt.Errorf("ratelimit: %s: %w", path, err))
		}
		built = append(built, multiLimit{gcra: g, name: l.Name})
	}
	return built, errors.Join(errs...)
}

// Take implements [Limiter]: all limits are charged under the same key. The
// Decision's Rule is the limit that denies for the longest, or, of an admission,
// that with the least Remaining.
func (m *Multi) Take(_ context.Context, key string, cost int64) (Decision, error) {
	var keys [maxLimits]string
	for i := range keys {
		keys[i] = key
	}
	return m.take(keys[:len(m.limits)], cost)
}

// TakeKeys charges each limit under its own key, in the order of the limits.
func (m *Multi) TakeKeys(_ context.Context, keys []string, cost int64) (Decision, error) {
	if len(keys) != len(m.limits) {
		return Decision{}, fmt.Errorf("%w: %d keys for %d limits", ErrRequest, len(keys), len(m.limits))
	}
	return m.take(keys, cost)
}

func (m *Multi) take(keys []string, cost int64) (Decision, error) {
	var hashes [maxLimits]uint64
	for i, key := range keys {
		if key == "" {
			return Decision{}, ErrKey
		}
		hashes[i] = max(m.table.Hash(key)^salt(i), 1)
	}
	locked := m.lock(hashes[:len(keys)])
	defer locked.unlock()
	for i := range m.limits {
		if err := CheckRequest(keys[i], cost, m.limits[i].q.Burst); err != nil {
			return Decision{}, err
		}
	}
	return m.decide(hashes[:len(keys)], cost), nil
}

// decide checks all limits, then charges all. The shards are locked.
func (m *Multi) decide(hashes []uint64, cost int64) Decision {
	now := m.clock.read()
	var tats [maxLimits]int64
	var worst Decision
	for i, hash := range hashes {
		if s := m.table.Shard(hash).Find(hash); s != nil {
			tats[i] = s.tat
		}
		d := m.limits[i].take(&tats[i], now, cost) // on a copy
		d.Rule = m.limits[i].name
		if i == 0 || stricter(d, worst) {
			worst = d
		}
	}
	if !worst.Allowed || cost == 0 {
		return worst
	}
	if full := m.charge(hashes, tats[:], now); full >= 0 {
		l := m.limits[full]
		return Decision{Limit: l.q.Burst, RetryAfter: l.q.Rate.Per, Rule: l.name}
	}
	return worst
}

// charge writes the new tats. It returns -1, or, with nothing written, the limit
// for whose key there was no room.
func (m *Multi) charge(hashes []uint64, tats []int64, now int64) (full int) {
	var before [maxLimits]int64
	for i, hash := range hashes {
		shard := m.table.Shard(hash)
		s := shard.FindOrInsert(hash, now)
		if s == nil {
			for j, hash := range hashes[:i] {
				m.table.Shard(hash).Find(hash).tat = before[j]
			}
			return i
		}
		before[i], s.tat, s.limit = s.tat, tats[i], int8(i)
	}
	return -1
}

func stricter(a, b Decision) bool {
	if a.Allowed != b.Allowed {
		return b.Allowed
	}
	if !a.Allowed {
		return a.RetryAfter > b.RetryAfter
	}
	return a.Remaining < b.Remaining
}

// locks are the shards that one decision holds.
type locks struct {
	shards [maxLimits]*keyed.Shard[multiState]
	n      int
}

// lock locks the shards of all hashes, each once, in the order of their index.
func (m *Multi) lock(hashes []uint64) (l locks) {
	for _, hash := range hashes {
		shard := m.table.Shard(hash)
		at := l.n
		for at > 0 && l.shards[at-1].Index > shard.Index {
			at--
		}
		if at > 0 && l.shards[at-1] == shard {
			continue
		}
		copy(l.shards[at+1:], l.shards[at:l.n])
		l.shards[at] = shard
		l.n++
	}
	for _, shard := range l.shards[:l.n] {
		shard.Lock()
	}
	return l
}

func (l *locks) unlock() {
	for _, shard := range l.shards[:l.n] {
		shard.Unlock()
	}
}

// Limits returns the limits in force.
func (m *Multi) Limits() []Limit {
	first := m.table.Shard(0)
	first.Lock()
	defer first.Unlock()
	limits := make([]Limit, len(m.limits))
	for i, l := range m.limits {
		limits[i] = Limit{Name: l.name, Quota: l.q}
	}
	return limits
}

// Retune replaces the quotas; names and their order must stay. What keys have used
// counts on, cut down to a lower burst. Bad limits are refused and change nothing.
func (m *Multi) Retune(limits []Limit) error {
	built, err := buildLimits(limits)
	if err != nil {
		return err
	}
	m.retuning.Lock()
	defer m.retuning.Unlock()
	for shard := range m.table.Shards() {
		shard.Lock()
		defer shard.Unlock()
	}
	same := func(a, b multiLimit) bool { return a.name == b.name }
	if !slices.EqualFunc(built, m.limits, same) {
		return &FieldError{"limits", len(limits), "must have the same names in the same order"}
	}
	now := m.clock.read()
	for shard := range m.table.Shards() {
		for s := range shard.Values() {
			built[s.limit].convert(m.limits[s.limit].gcra, &s.tat, now)
		}
		shard.Rescan()
	}
	copy(m.limits, built) // in place: its length never changes, and is read without a lock
	return nil
}

// Most returns the most that the limit called name ever admits in any window for
// one key, as [Bounded] has it; 0 for an unknown name.
func (m *Multi) Most(name string, window time.Duration) int64 {
	first := m.table.Shard(0)
	first.Lock()
	defer first.Unlock()
	for _, l := range m.limits {
		if l.name == name {
			return l.most(window)
		}
	}
	return 0
}
