package redislimit

import (
	_ "embed"
	"math"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

//go:embed fixedwindow.lua
var fixedWindowLua string

var fixedWindowScript = newScript(fixedWindowLua)

// tooMany is why a window refuses a count.
const tooMany = "must not exceed 4294967295 for a window"

// NewFixedWindow returns a limiter that grants each key the rate's count in a
// period, which begins with the first request that is admitted; then the next
// period begins in the same way.
//
// In any window as long as the period all instances together may admit twice the
// count, even within a moment: all of one period at its end, and all of the next
// at its begin. A bad rate or option is refused with [*ratelimit.FieldError]s.
func NewFixedWindow(rdb redis.UniversalClient, rate ratelimit.Rate, opts ...Option) (*Limiter, error) {
	o := newOptions("fixed", opts)
	return newLimiter(rdb, rate, o, fixedWindowScript, func(q ratelimit.Quota) (algorithm, error) {
		w, err := newWindow(q, math.MaxUint32, tooMany)
		return &fixed{w}, err
	})
}

type fixed struct{ window }

func (f *fixed) most(t time.Duration) int64 { return f.twoWindows(t) }

func (f *fixed) answers() int { return 2 }

func (f *fixed) decide(reply []int64, cost int64) ratelimit.Decision {
	count := min(max(reply[0], 0), f.q.Rate.Count) // more after the limit was lowered
	left := micros(f.length - min(max(reply[1], 0), f.length-1))
	d := ratelimit.Decision{Allowed: count+cost <= f.q.Rate.Count, Limit: f.q.Rate.Count}
	if d.Allowed {
		count += cost
	} else {
		d.RetryAfter = left
	}
	d.Remaining = max(d.Limit-count, 0)
	if count > 0 {
		d.ResetAfter = left
	}
	return d
}
