package ratelimit

import (
	"math/bits"
	"time"
)

// NewSlidingWindow returns a limiter that estimates what a key took in the last
// period from two counters: that of the current period, and that of the one before
// in proportion to how much of it the sliding period still covers. Periods begin
// with a key's first request.
//
// The estimate is right for traffic that comes evenly, and releases no burst at
// the turn of a period. Traffic that does its worst gets up to twice the rate's
// count into a window as long as the period; [NewStrictWindow] does not allow
// that. A bad rate or option is refused with [*FieldError]s.
func NewSlidingWindow(rate Rate, opts ...Option) (*Local, error) {
	o := newOptions(opts)
	return newLocal(Quota{Rate: rate, Burst: o.burst}, o, newSliding)
}

// sliding is the interpolated two-bucket window.
type sliding struct {
	limit, window int64
	q             Quota
}

type slidingState struct {
	start     int64 // of the current period
	prev, cur uint32
}

func newSliding(q Quota) (sliding, error) {
	if err := q.Validate(); err != nil {
		return sliding{}, err
	}
	q, err := q.window()
	return sliding{limit: q.Rate.Count, window: int64(q.Rate.Per), q: q}, err
}

func (w sliding) quota() Quota                { return w.q }
func (w sliding) largest() int64              { return w.limit }
func (w sliding) until(s *slidingState) int64 { return s.start + 2*w.window }
func (w sliding) most(t time.Duration) int64  { return twoWindows(w.limit, w.window, int64(t)) }
func (w sliding) fresh() Decision {
	return Decision{Allowed: true, Limit: w.limit, Remaining: w.limit}
}

// at returns s moved on to now; a now before the current period counts as its start.
func (w sliding) at(s slidingState, now int64) slidingState {
	switch periods := (now - s.start) / w.window; {
	case s.cur == 0 && s.prev == 0, periods >= 2:
		return slidingState{start: now}
	case periods == 1:
		return slidingState{start: s.start + w.window, prev: s.cur}
	default:
		return s
	}
}

// carried is the share of prev that counts when elapsed of the period is over,
// rounded up.
func (w sliding) carried(prev uint32, elapsed int64) int64 {
	hi, lo := bits.Mul64(uint64(prev), uint64(w.window-elapsed))
	quotient, rest := bits.Div64(hi, lo, uint64(w.window))
	if rest > 0 {
		quotient++
	}
	return int64(quotient)
}

// lull is the least part of a period that must be over until no more than room of
// prev, which is more than room, still counts.
func (w sliding) lull(prev uint32, room int64) int64 {
	hi, lo := bits.Mul64(uint64(room), uint64(w.window))
	quotient, _ := bits.Div64(hi, lo, uint64(prev))
	return w.window - int64(quotient)
}

func (w sliding) take(s *slidingState, now, cost int64) Decision {
	at := w.at(*s, now)
	elapsed := max(now-at.start, 0)
	left := w.limit - int64(at.cur) - w.carried(at.prev, elapsed)
	d := Decision{Limit: w.limit}
	if d.Allowed = cost <= left; !d.Allowed {
		d.RetryAfter = time.Duration(w.wait(at, elapsed, cost))
	} else if cost > 0 {
		left -= cost
		at.cur += uint32(cost)
		*s = at
	}
	d.Remaining = max(left, 0)
	switch {
	case at.cur > 0:
		d.ResetAfter = time.Duration(2*w.window - elapsed)
	case at.prev > 0:
		d.ResetAfter = time.Duration(w.window - elapsed)
	}
	return d
}

// wait is how long a refused cost has to wait.
func (w sliding) wait(s slidingState, elapsed, cost int64) int64 {
	if room := w.limit - int64(s.cur) - cost; room >= 0 {
		// Enough of prev fades within this period, or just when it ends.
		return w.lull(s.prev, room) - elapsed
	}
	next := w.window - elapsed
	if room := w.limit - cost; room < int64(s.cur) {
		next += w.lull(s.cur, room)
	}
	return next
}

// convert cuts the counters down to the limit, and counts all that is used as used
// now when the period changes.
func (w sliding) convert(old sliding, s *slidingState, now int64) {
	if w.window == old.window {
		s.prev, s.cur = min(s.prev, uint32(w.limit)), min(s.cur, uint32(w.limit))
		return
	}
	at := old.at(*s, now)
	used := int64(at.cur) + old.carried(at.prev, max(now-at.start, 0))
	*s = slidingState{start: now, cur: uint32(min(used, w.limit))}
}
