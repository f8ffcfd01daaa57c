package ratelimit

import "time"

// maxLog bounds what one key can take in memory: some 2 MB.
const maxLog = 1 << 16

// NewSlidingLog returns a limiter that remembers each admission of a key for one
// period. It admits at most the rate's count in any window as long as the period,
// and refuses none that would fit: it is exact. It needs some 32 bytes for each
// admission that it remembers, so the count is at most 65536, and [WithCapacity]
// should be such that as many keys, each with its count, fit into memory. A bad
// rate or option is refused with [*FieldError]s.
func NewSlidingLog(rate Rate, opts ...Option) (*Local, error) {
	o := newOptions(opts)
	return newLocal(Quota{Rate: rate, Burst: o.burst}, o, newSlidingLog)
}

// slidingLog is the exact window. What was admitted at t counts until t + window.
type slidingLog struct {
	limit, window int64
	q             Quota
}

// logState holds admissions in the order of their times, oldest first, from head.
type logState struct {
	entries []logEntry
	head    int
	sum     int64
}

type logEntry struct{ at, cost int64 }

func newSlidingLog(q Quota) (slidingLog, error) {
	if err := q.Validate(); err != nil {
		return slidingLog{}, err
	}
	if q.Rate.Count > maxLog {
		return slidingLog{}, &FieldError{"rate.count", q.Rate.Count, "must not exceed 65536 for a log: use NewStrictWindow"}
	}
	q, err := q.window()
	return slidingLog{limit: q.Rate.Count, window: int64(q.Rate.Per), q: q}, err
}

func (l slidingLog) quota() Quota   { return l.q }
func (l slidingLog) largest() int64 { return l.limit }
func (l slidingLog) fresh() Decision {
	return Decision{Allowed: true, Limit: l.limit, Remaining: l.limit}
}

func (l slidingLog) until(s *logState) int64 {
	if len(s.entries) == 0 {
		return 0
	}
	return s.entries[len(s.entries)-1].at + l.window
}

func (l slidingLog) most(t time.Duration) int64 {
	if t <= 0 {
		return 0
	}
	return times(l.limit, (int64(t)-1)/l.window+1)
}

// expire forgets what no longer counts, and makes room when the memory is used up
// and half of it is of that sort.
func (l slidingLog) expire(s *logState, now int64) {
	for s.head < len(s.entries) && s.entries[s.head].at+l.window <= now {
		s.sum -= s.entries[s.head].cost
		s.head++
	}
	if len(s.entries) == cap(s.entries) && s.head > len(s.entries)/2 {
		s.entries = s.entries[:copy(s.entries, s.entries[s.head:])]
		s.head = 0
	}
}

func (s *logState) add(now, cost int64) {
	s.sum += cost
	if last := len(s.entries) - 1; last >= s.head && s.entries[last].at >= now {
		s.entries[last].cost += cost // the same moment, or a clock read just before it
		return
	}
	s.entries = append(s.entries, logEntry{now, cost})
}

func (l slidingLog) take(s *logState, now, cost int64) Decision {
	l.expire(s, now)
	d := Decision{Limit: l.limit}
	if d.Allowed = fits(s.sum, cost, l.limit); !d.Allowed {
		d.RetryAfter = time.Duration(l.freed(s, s.sum+cost-l.limit) - now)
	} else if cost > 0 {
		s.add(now, cost)
	}
	d.Remaining = max(l.limit-s.sum, 0)
	if s.sum > 0 {
		d.ResetAfter = time.Duration(l.until(s) - now)
	}
	return d
}

// freed is when at least n of what is counted will have left.
func (l slidingLog) freed(s *logState, n int64) int64 {
	for _, e := range s.entries[s.head:] {
		if n -= e.cost; n <= 0 {
			return e.at + l.window
		}
	}
	return l.until(s)
}

// convert keeps the log: it is judged by the new limit.
func (l slidingLog) convert(slidingLog, *logState, int64) {}
