package redislimit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

//go:embed multi.lua
var multiLua string

var multiScript = newScript(multiLua)

// maxLimits keeps the script short.
const maxLimits = 8

// Multi checks several limits of one subject, such as 10 a second and 1000 an
// hour, in one atomic decision: all of them are charged, or none is. Each limit is
// a token bucket for each key, with the bound that [NewTokenBucket] documents; a
// key's buckets live in one hash, so that a cluster will do.
type Multi struct {
	rdb    redis.UniversalClient
	keys   keyspace
	script *script
	limits atomic.Pointer[[]multiLimit]
}

var _ ratelimit.Limiter = (*Multi)(nil)

type multiLimit struct {
	*bucket
	name string
}

// NewMulti returns a Multi of one to eight limits with different names. Bad limits
// and options are refused with [*ratelimit.FieldError]s.
func NewMulti(rdb redis.UniversalClient, limits []ratelimit.Limit, opts ...Option) (*Multi, error) {
	o := newOptions("multi", opts)
	built, err := buildLimits(limits)
	if err := errors.Join(err, o.validate(rdb)); err != nil {
		return nil, err
	}
	m := &Multi{rdb: rdb, keys: o.keys, script: multiScript}
	m.limits.Store(&built)
	return m, nil
}

func buildLimits(limits []ratelimit.Limit) ([]multiLimit, error) {
	var errs []error
	if len(limits) < 1 || len(limits) > maxLimits {
		errs = append(errs, &ratelimit.FieldError{Field: "limits", Value: len(limits), Reason: "must be one to eight"})
	}
	built := make([]multiLimit, 0, len(limits))
	for i, l := range limits {
		path := fmt.Sprintf("limits[%d]", i)
		if l.Name == "" || slices.ContainsFunc(built, func(b multiLimit) bool { return b.name == l.Name }) {
			errs = append(errs, &ratelimit.FieldError{
				Field: path + ".name", Value: fmt.Sprintf("%q", l.Name), Reason: "must be given, and once only",
			})
		}
		b, err := newBucket(l.Quota)
		if err != nil {
			errs = append(errs, fmt.Errorf("redislimit: %s: %w", path, err))
		}
		built = append(built, multiLimit{bucket: b, name: l.Name})
	}
	return built, errors.Join(errs...)
}

// Take implements [ratelimit.Limiter]. The Decision's Rule is the limit that
// denies for the longest, or, of an admission, that with the least Remaining. A
// cost may be up to the smallest burst.
func (m *Multi) Take(ctx context.Context, key string, cost int64) (ratelimit.Decision, error) {
	limits := *m.limits.Load()
	for _, l := range limits {
		if err := ratelimit.CheckRequest(key, cost, l.q.Burst); err != nil {
			return ratelimit.Decision{}, err
		}
	}
	call := m.script.call(m.keys.key(key), 3*len(limits))
	for _, l := range limits {
		call = l.arguments(append(call, l.name), cost)
	}
	missing, err := m.script.run(ctx, m.rdb, call, len(limits))
	if err != nil {
		return ratelimit.Decision{}, err
	}
	var worst ratelimit.Decision
	for i, l := range limits {
		d := l.decide(missing[i:], cost)
		d.Rule = l.name
		if i == 0 || stricter(d, worst) {
			worst = d
		}
	}
	return worst, nil
}

func stricter(a, b ratelimit.Decision) bool {
	if a.Allowed != b.Allowed {
		return b.Allowed
	}
	if !a.Allowed {
		return a.RetryAfter > b.RetryAfter
	}
	return a.Remaining < b.Remaining
}

// Limits returns the limits in force.
func (m *Multi) Limits() []ratelimit.Limit {
	built := *m.limits.Load()
	limits := make([]ratelimit.Limit, len(built))
	for i, l := range built {
		limits[i] = ratelimit.Limit{Name: l.name, Quota: l.q}
	}
	return limits
}

// Retune replaces the quotas, for this instance; names and their order must stay.
// What keys have used counts on as [Limiter.Retune] says. Bad limits are refused
// and change nothing.
func (m *Multi) Retune(limits []ratelimit.Limit) error {
	built, err := buildLimits(limits)
	if err != nil {
		return err
	}
	same := func(a, b multiLimit) bool { return a.name == b.name }
	if !slices.EqualFunc(built, *m.limits.Load(), same) {
		return &ratelimit.FieldError{Field: "limits", Value: len(limits), Reason: "must have the same names in the same order"}
	}
	m.limits.Store(&built)
	return nil
}

// Most returns the most that the limit called name ever admits in any window for
// one key, as [ratelimit.Bounded] has it; 0 for an unknown name.
func (m *Multi) Most(name string, window time.Duration) int64 {
	for _, l := range *m.limits.Load() {
		if l.name == name {
			return l.most(window)
		}
	}
	return 0
}
