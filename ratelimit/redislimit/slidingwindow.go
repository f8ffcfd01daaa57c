package redislimit

import (
	_ "embed"
	"math"
	"math/bits"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit"
)

//go:embed slidingwindow.lua
var slidingWindowLua string

var slidingWindowScript = newScript(slidingWindowLua)

// NewSlidingWindow returns a limiter that estimates what a key took in the last
// period from two counters: that of the current period, and that of the one before
// in proportion to how much of it the sliding period still covers. Periods begin
// with a key's first request.
//
// The estimate is right for traffic that comes evenly, and releases no burst at
// the turn of a period. Traffic that does its worst gets up to twice the rate's
// count into a window as long as the period; [NewStrictWindow] does not allow
// that. A bad rate or option is refused with [*ratelimit.FieldError]s.
func NewSlidingWindow(rdb redis.UniversalClient, rate ratelimit.Rate, opts ...Option) (*Limiter, error) {
	o := newOptions("sliding", opts)
	return newLimiter(rdb, rate, o, slidingWindowScript, func(q ratelimit.Quota) (algorithm, error) {
		w, err := newWindow(q, math.MaxUint32, tooMany)
		return &sliding{w}, err
	})
}

// sliding is the interpolated two-bucket window.
type sliding struct{ window }

func (w *sliding) most(t time.Duration) int64 { return w.twoWindows(t) }

func (w *sliding) answers() int { return 3 }

func (w *sliding) decide(reply []int64, cost int64) ratelimit.Decision {
	limit := w.q.Rate.Count
	elapsed := min(max(reply[0], 0), w.length-1)
	prev, cur := min(max(reply[1], 0), limit), min(max(reply[2], 0), limit)
	carried := w.carried(prev, elapsed)
	d := ratelimit.Decision{Allowed: cost == 0 || cur+cost+carried <= limit, Limit: limit}
	if d.Allowed {
		cur += cost
	} else {
		d.RetryAfter = micros(w.wait(elapsed, prev, cur, cost))
	}
	d.Remaining = max(limit-cur-carried, 0)
	switch {
	case cur > 0:
		d.ResetAfter = micros(2*w.length - elapsed)
	case prev > 0:
		d.ResetAfter = micros(w.length - elapsed)
	}
	return d
}

// carried is the share of prev that counts when elapsed of the period is over,
// rounded up.
func (w *sliding) carried(prev, elapsed int64) int64 {
	share, rest := scale(prev, w.length-elapsed, w.length)
	if rest {
		share++
	}
	return share
}

// wait is how long a refused cost has to wait.
func (w *sliding) wait(elapsed, prev, cur, cost int64) int64 {
	if room := w.q.Rate.Count - cur - cost; room >= 0 {
		// Enough of prev fades within this period, or just when it ends.
		return w.lull(prev, room) - elapsed
	}
	next := w.length - elapsed
	if room := w.q.Rate.Count - cost; room < cur {
		next += w.lull(cur, room)
	}
	return next
}

// lull is the least part of a period that must be over until no more than room of
// count, which is more than room, still counts.
func (w *sliding) lull(count, room int64) int64 {
	share, _ := scale(room, w.length, count)
	return w.length - share
}

// scale returns n × part / whole, and whether something is left over.
func scale(n, part, whole int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(n), uint64(part))
	quotient, rest := bits.Div64(hi, lo, uint64(whole))
	return int64(quotient), rest > 0
}
