package ratelimit

import (
	"math"
	"math/bits"
	"time"
)

// gcra is the generic cell rate algorithm (ITU-T I.371), a token bucket that
// needs but one number: the theoretical arrival time, tat, when the bucket will be
// full again. Taking moves it on by a spacing for each token; a request conforms
// when that leaves it within burst spacings from now.
//
// Bound: of the admissions in a closed interval of length t, the first leaves
// tat ≥ its own time + spacing, and each further one adds a spacing; the last
// leaves tat ≤ its time + burst × spacing. So there are at most burst + t/spacing.
type gcra struct {
	spacing   int64  // nanoseconds for a token
	tolerance int64  // nanoseconds for a full bucket
	inverse   uint64 // 2⁶⁴ / spacing, rounded up; 0 when that is too much
	q         Quota
}

func newGCRA(q Quota) (gcra, error) {
	if err := q.Validate(); err != nil {
		return gcra{}, err
	}
	q = q.bucket()
	if err := q.Validate(); err != nil { // the default burst may be too slow to refill
		return gcra{}, err
	}
	return tokens(q, q.Rate.spacing()), nil
}

// tokens is the algorithm for a valid quota at a spacing.
func tokens(q Quota, spacing int64) gcra {
	return gcra{
		spacing: spacing, tolerance: q.Burst * spacing, q: q,
		inverse: math.MaxUint64/uint64(spacing) + 1,
	}
}

func (g gcra) quota() Quota           { return g.q }
func (g gcra) largest() int64         { return g.q.Burst }
func (g gcra) until(tat *int64) int64 { return *tat }
func (g gcra) fresh() Decision        { return g.allowed(0, 0) }

func (g gcra) most(window time.Duration) int64 {
	if window <= 0 {
		return 0
	}
	return plus(g.q.Burst, (int64(window)-1)/g.spacing)
}

// take charges cost when it conforms.
func (g gcra) take(tat *int64, now, cost int64) Decision { return g.charge(tat, now, cost) }

// charge is take without copying g, for where that counts.
func (g *gcra) charge(tat *int64, now, cost int64) Decision {
	next := max(*tat, now) + cost*g.spacing
	if next-g.tolerance > now {
		return g.denied(*tat, next, now)
	}
	if cost > 0 {
		*tat = next
	}
	return g.allowed(next, now)
}

func (g *gcra) allowed(next, now int64) Decision {
	return Decision{
		Allowed: true, Limit: g.q.Burst, Remaining: g.whole(now + g.tolerance - next),
		ResetAfter: time.Duration(next - now),
	}
}

func (g *gcra) denied(tat, next, now int64) Decision {
	tat = max(tat, now)
	return Decision{
		Limit: g.q.Burst, Remaining: g.whole(max(now+g.tolerance-tat, 0)),
		RetryAfter: time.Duration(next - g.tolerance - now), ResetAfter: time.Duration(tat - now),
	}
}

// lasting is how long cost takes to refill, at most longest.
func (g *gcra) lasting(cost int64) int64 { return min(cost, longest/g.spacing) * g.spacing }

// whole returns how many tokens a time is worth: t / spacing. Multiplying by the
// inverse is several times as fast as dividing, and at most one too high.
func (g *gcra) whole(t int64) int64 {
	if g.inverse == 0 {
		return t // the spacing is 1
	}
	hi, _ := bits.Mul64(uint64(t), g.inverse)
	if n := int64(hi); n*g.spacing <= t {
		return n
	}
	return int64(hi) - 1
}

// convert keeps the number of tokens used, rounded up, when g replaces old.
func (g gcra) convert(old gcra, tat *int64, now int64) {
	if *tat <= now {
		return
	}
	used := (*tat-now-1)/old.spacing + 1
	*tat = now + min(used, g.q.Burst)*g.spacing
}
