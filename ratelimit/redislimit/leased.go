package redislimit

import (
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

//go:embed lease.lua
var leaseLua string

var leaseScript = newScript(leaseLua)

// defaultLeases is some 1 MB: leases are for few and hot keys.
const defaultLeases = 4096

// WithCapacity sets for how many keys a [Leased] holds tokens at the same time.
// Requests for others go to Redis one by one. Without it the limit is 4096.
func WithCapacity(keys int) Option {
	return optionFunc(func(o *options) { o.leases = keys })
}

// Leased is a token bucket in Redis for hot keys: an instance takes a chunk of
// tokens in one round trip and spends them by itself. What it does not spend in
// time it forgets, so leasing never makes an instance exceed the limit:
//
// In any window of length t all instances together admit at most burst + t × rate,
// as with [NewTokenBucket]. To that end one half of the burst stays in Redis, and
// a lease lives for as long as the other half takes to refill.
//
// Tokens that are forgotten are lost: up to chunk - 1 for each instance and life
// of a lease. Choose the chunk so that an instance spends it in that time.
//
// A Decision's Remaining counts the tokens that are here, and ResetAfter tells of
// Redis's half as of the last round trip. A denial is remembered until the time
// when it may be retried.
type Leased struct {
	rdb    redis.UniversalClient
	keys   keyspace
	script *script
	terms  atomic.Pointer[terms]
	now    func() time.Duration // never back; called under mu
	limit  int

	mu    sync.Mutex
	held  map[string]*holding // by id
	sweep time.Duration       // when sweeping may be worth it again
}

var (
	_ ratelimit.Retuner      = (*Leased)(nil)
	_ ratelimit.Bounded      = (*Leased)(nil)
	_ ratelimit.QuotaLimiter = (*Leased)(nil)
)

// terms are a quota and what follows from it.
type terms struct {
	*bucket
	chunk int64 // tokens in a lease
	half  int64 // of the burst, in Redis; the largest cost
	// room is half in µs of refilling, and life how long a lease lives.
	room int64
	life time.Duration
}

func newTerms(q ratelimit.Quota, chunk int64) (*terms, error) {
	b, err := newBucket(q)
	if err != nil {
		return nil, err
	}
	half := b.q.Burst - b.q.Burst/2
	if chunk < 1 || chunk > b.q.Burst/2 {
		return nil, &ratelimit.FieldError{
			Field: "chunk", Value: chunk, Reason: fmt.Sprintf("must be from 1 to half of the burst, %d", b.q.Burst/2),
		}
	}
	return &terms{bucket: b, chunk: chunk, half: half, room: half * b.spacing, life: micros(b.q.Burst / 2 * b.spacing)}, nil
}

// NewLeased returns a Leased that takes chunk tokens at once, which must be at
// most half of the burst. It knows [WithBurst] and [WithCapacity]. Its keys are no
// other limiter's. A bad rate, chunk or option is refused with
// [*ratelimit.FieldError]s.
func NewLeased(rdb redis.UniversalClient, rate ratelimit.Rate, chunk int64, opts ...Option) (*Leased, error) {
	o := newOptions("leased", opts)
	t, err := newTerms(ratelimit.Quota{Rate: rate, Burst: o.burst}, chunk)
	if err := errors.Join(err, o.validate(rdb)); err != nil {
		return nil, err
	}
	l := &Leased{
		rdb: rdb, keys: o.keys, script: leaseScript, limit: o.leases, held: make(map[string]*holding),
		now: newAwake(time.Now).read,
	}
	l.terms.Store(t)
	return l, nil
}
