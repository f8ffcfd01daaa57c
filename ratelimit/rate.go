package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Rate is how much may pass in which time. The zero Rate is invalid: there is no
// rate that would be safe to guess.
type Rate struct {
	// Count is at least 1.
	Count int64
	// Per is from 1 ns to a year, and not less than a nanosecond for each of Count.
	Per time.Duration
}

// PerSecond returns a rate of n in each second.
func PerSecond(n int64) Rate { return Rate{Count: n, Per: time.Second} }

// PerMinute returns a rate of n in each minute.
func PerMinute(n int64) Rate { return Rate{Count: n, Per: time.Minute} }

// PerHour returns a rate of n in each hour.
func PerHour(n int64) Rate { return Rate{Count: n, Per: time.Hour} }

// String formats the rate as "100/1s".
func (r Rate) String() string { return fmt.Sprintf("%d/%v", r.Count, r.Per) }

// Quota is the limit of one key: a rate, and how much of it may come at once.
type Quota struct {
	Rate Rate
	// Burst is the most that can be taken at once. Where it is 0, token buckets
	// take a tenth of Rate.Count, rounded up: with it no window exceeds the rate
	// by more than that tenth. The windows always grant up to Rate.Count at once,
	// and take 0 or just that.
	Burst int64
}

// maxPer bounds periods, and longest what they are multiplied to, so that no sum of
// times overflows.
const (
	maxPer  = 366 * 24 * time.Hour
	longest = int64(10 * maxPer)
)

// Validate returns nil, or one [*FieldError] for each violation, joined.
func (q Quota) Validate() error {
	var errs []error
	if q.Rate.Count < 1 {
		errs = append(errs, &FieldError{"rate.count", q.Rate.Count, "must be at least 1"})
	}
	if q.Rate.Per < 1 || q.Rate.Per > maxPer {
		errs = append(errs, &FieldError{"rate.per", q.Rate.Per, "must be from 1ns to 8784h (a year)"})
	} else if q.Rate.Count > int64(q.Rate.Per) {
		errs = append(errs, &FieldError{"rate.count", q.Rate.Count, "must not exceed one a nanosecond"})
	}
	if q.Burst < 0 || q.Burst > math.MaxUint32 {
		errs = append(errs, &FieldError{"burst", q.Burst, "must be from 0 (the default) to 4294967295"})
	}
	if len(errs) == 0 && q.Burst > 0 && q.Burst > longest/q.Rate.spacing() {
		errs = append(errs, &FieldError{"burst", q.Burst, "must not take more than ten years to refill"})
	}
	return errors.Join(errs...)
}

// spacing is the time that one of Count takes, in nanoseconds, rounded up: at a
// million a second and a spacing that is no whole number, it admits less than the
// rate by at most one in a thousand, and never more.
func (r Rate) spacing() int64 { return (int64(r.Per)-1)/r.Count + 1 }

// times is count × n, and plus a + b, of what is not negative; [Unlimited] where that
// is more.
func times(count, n int64) int64 {
	if n > Unlimited/count {
		return Unlimited
	}
	return count * n
}

func plus(a, b int64) int64 {
	if b > Unlimited-a {
		return Unlimited
	}
	return a + b
}

// bucket returns q with the burst of a token bucket.
func (q Quota) bucket() Quota {
	if q.Burst == 0 {
		q.Burst = min((q.Rate.Count-1)/10+1, math.MaxUint32)
	}
	return q
}

// window returns q with the burst of a window, or an error when it has another.
func (q Quota) window() (Quota, error) {
	if q.Burst != 0 && q.Burst != q.Rate.Count {
		return q, &FieldError{"burst", q.Burst, "must be 0 or the rate's count: a window grants all of it at once"}
	}
	if q.Rate.Count > math.MaxUint32 {
		return q, &FieldError{"rate.count", q.Rate.Count, "must not exceed 4294967295 for a window"}
	}
	q.Burst = q.Rate.Count
	return q, nil
}
