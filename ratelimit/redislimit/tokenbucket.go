package redislimit

import (
	_ "embed"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

//go:embed tokenbucket.lua
var tokenBucketLua string

var tokenBucketScript = newScript(tokenBucketLua)

// NewTokenBucket returns a limiter with a token bucket for each key: it holds up
// to burst tokens (see [WithBurst]), starts full, and refills at the rate. It is
// the generic cell rate algorithm (GCRA, ITU-T I.371), and takes some 72 bytes of
// Redis's memory for a key.
//
// In any window of length t all instances together admit at most burst + t × rate;
// with the default burst that is 1.1 times the rate's count in any period. Redis
// keeps time in microseconds, and the time for a token is rounded up to whole ones:
// the rate is at most one in a microsecond, at 30000 a second a limiter admits 2 %
// less, and at 600000 no more than 500000.
// A bad rate or option is refused with [*ratelimit.FieldError]s.
func NewTokenBucket(rdb redis.UniversalClient, rate ratelimit.Rate, opts ...Option) (*Limiter, error) {
	o := newOptions("bucket", opts)
	return newLimiter(rdb, rate, o, tokenBucketScript, func(q ratelimit.Quota) (algorithm, error) {
		b, err := newBucket(q)
		return b, err
	})
}

// bucket is GCRA in microseconds.
type bucket struct {
	q       ratelimit.Quota
	spacing int64 // µs for a token
	full    int64 // µs for a full bucket
	// single and whole are spacing and full, boxed once.
	single, whole any
}

func newBucket(q ratelimit.Quota) (*bucket, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if q.Burst == 0 {
		q.Burst = (q.Rate.Count-1)/10 + 1
		if err := q.Validate(); err != nil {
			return nil, err
		}
	}
	b := &bucket{q: q, spacing: (wholeMicros(q.Rate.Per)-1)/q.Rate.Count + 1}
	if q.Rate.Count > wholeMicros(q.Rate.Per) {
		return nil, &ratelimit.FieldError{Field: "rate.count", Value: q.Rate.Count, Reason: "must not exceed one a microsecond"}
	}
	b.full = q.Burst * b.spacing // at most twenty years: exact in the 53 bits of Lua's numbers, with the time added
	b.single, b.whole = b.spacing, b.full
	return b, nil
}

func (b *bucket) quota() ratelimit.Quota { return b.q }

func (b *bucket) most(t time.Duration) int64 {
	if t <= 0 {
		return 0
	}
	return plus(b.q.Burst, (int64(t)-1)/int64(micros(b.spacing)))
}

func (b *bucket) arguments(call []any, cost int64) []any {
	if cost == 1 {
		return append(call, b.single, b.whole)
	}
	return append(call, cost*b.spacing, b.whole)
}

func (b *bucket) answers() int { return 1 }

func (b *bucket) decide(reply []int64, cost int64) ratelimit.Decision {
	missing := min(max(reply[0], 0), b.full)
	next := missing + cost*b.spacing
	d := ratelimit.Decision{Allowed: next <= b.full, Limit: b.q.Burst}
	if d.Allowed {
		missing = next
	} else {
		d.RetryAfter = micros(next - b.full)
	}
	d.Remaining = (b.full - missing) / b.spacing
	d.ResetAfter = micros(missing)
	return d
}
