package ratelimit

import "time"

// NewFixedWindow returns a limiter that grants each key the rate's count in a
// period, which begins with the first request that is admitted; then the next
// period begins in the same way.
//
// In any window as long as the period it may admit twice the count, even within a
// moment: all of one period at its end, and all of the next at its begin. A bad
// rate or option is refused with [*FieldError]s.
func NewFixedWindow(rate Rate, opts ...Option) (*Local, error) {
	o := newOptions(opts)
	return newLocal(Quota{Rate: rate, Burst: o.burst}, o, newFixed)
}

// fixed counts in windows that each key opens for itself.
type fixed struct {
	limit, window int64
	q             Quota
}

type fixedState struct{ start, count int64 }

func newFixed(q Quota) (fixed, error) {
	if err := q.Validate(); err != nil {
		return fixed{}, err
	}
	q, err := q.window()
	return fixed{limit: q.Rate.Count, window: int64(q.Rate.Per), q: q}, err
}

func (f fixed) quota() Quota               { return f.q }
func (f fixed) largest() int64             { return f.limit }
func (f fixed) until(s *fixedState) int64  { return s.start + f.window }
func (f fixed) fresh() Decision            { return Decision{Allowed: true, Limit: f.limit, Remaining: f.limit} }
func (f fixed) most(t time.Duration) int64 { return twoWindows(f.limit, f.window, int64(t)) }

// twoWindows bounds what aligned windows of the limit admit in any t: it touches
// one window more than fit into it.
func twoWindows(limit, window, t int64) int64 {
	if t <= 0 {
		return 0
	}
	touched := (t-1)/window + 1
	if (t-1)%window > 0 {
		touched++
	}
	return times(limit, touched)
}

func (f fixed) take(s *fixedState, now, cost int64) Decision {
	start, count := s.start, s.count
	if now >= start+f.window || count == 0 {
		start, count = now, 0
	}
	d := Decision{Limit: f.limit}
	end := time.Duration(start + f.window - now)
	if d.Allowed = fits(count, cost, f.limit); !d.Allowed {
		d.RetryAfter = end
	} else if cost > 0 {
		count += cost
		s.start, s.count = start, count
	}
	d.Remaining = max(f.limit-count, 0)
	if count > 0 {
		d.ResetAfter = end
	}
	return d
}

// convert keeps the count; the window ends when its start and the new period say.
func (f fixed) convert(fixed, *fixedState, int64) {}
