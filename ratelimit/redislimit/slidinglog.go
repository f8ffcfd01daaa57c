package redislimit

import (
	_ "embed"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

//go:embed slidinglog.lua
var slidingLogLua string

var slidingLogScript = newScript(slidingLogLua)

// maxLog bounds what one call can find to forget: some 1 ms of Redis's time.
const maxLog = 10_000

// NewSlidingLog returns a limiter that remembers each admission of a key for one
// period, in a sorted set. All instances together admit at most the rate's count
// in any window as long as the period, and none is refused that would fit: it is
// exact. It needs some 50 to 150 bytes for each admission that it remembers, so
// the count is at most 10000. A bad rate or option is refused with
// [*ratelimit.FieldError]s.
func NewSlidingLog(rdb redis.UniversalClient, rate ratelimit.Rate, opts ...Option) (*Limiter, error) {
	o := newOptions("log", opts)
	return newLimiter(rdb, rate, o, slidingLogScript, func(q ratelimit.Quota) (algorithm, error) {
		w, err := newWindow(q, maxLog, "must not exceed 10000 for a log: use NewStrictWindow")
		return &slidingLog{w}, err
	})
}

type slidingLog struct{ window }

func (l *slidingLog) most(t time.Duration) int64 { return l.oneWindow(t) }

func (l *slidingLog) answers() int { return 3 }

func (l *slidingLog) decide(reply []int64, cost int64) ratelimit.Decision {
	d := decideSum(&l.window, reply, cost)
	if d.Allowed && cost > 0 {
		d.ResetAfter = micros(l.length)
	}
	return d
}

// decideSum reads {sum before, time until a refused cost fits, time until all is
// back}.
func decideSum(w *window, reply []int64, cost int64) ratelimit.Decision {
	sum := min(max(reply[0], 0), w.q.Rate.Count) // more after the limit was lowered
	d := ratelimit.Decision{Allowed: sum+cost <= w.q.Rate.Count, Limit: w.q.Rate.Count, ResetAfter: micros(reply[2])}
	if d.Allowed {
		sum += cost
	} else {
		d.RetryAfter = micros(reply[1])
	}
	d.Remaining = max(d.Limit-sum, 0)
	return d
}
