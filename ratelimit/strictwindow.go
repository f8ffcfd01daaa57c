package ratelimit

import "time"

// NewStrictWindow returns a limiter that counts in tenths of the period and takes
// the oldest, of which only a part lies within the last period, as a whole.
//
// It so admits at most the rate's count in any window as long as the period, and
// in turn may refuse up to a tenth of the period too early. A bad rate or option
// is refused with [*FieldError]s.
func NewStrictWindow(rate Rate, opts ...Option) (*Local, error) {
	o := newOptions(opts)
	return newLocal(Quota{Rate: rate, Burst: o.burst}, o, newStrict)
}

// parts is how many sub-windows cover a period. More refuse less early, and cost
// four bytes a key each.
const parts = 10

// strict is the conservative window.
//
// Bound: a window of at most parts × part touches at most parts+1 sub-windows,
// that of its last admission and the parts before it, and no admission leaves
// their sum above the limit.
type strict struct {
	limit, part int64
	q           Quota
}

type strictState struct {
	index  int64 // of the newest sub-window
	counts [parts + 1]uint32
}

func newStrict(q Quota) (strict, error) {
	if err := q.Validate(); err != nil {
		return strict{}, err
	}
	q, err := q.window()
	return strict{limit: q.Rate.Count, part: (int64(q.Rate.Per)-1)/parts + 1, q: q}, err
}

func (w strict) quota() Quota               { return w.q }
func (w strict) largest() int64             { return w.limit }
func (w strict) until(s *strictState) int64 { return (s.index + parts + 1) * w.part }
func (w strict) fresh() Decision {
	return Decision{Allowed: true, Limit: w.limit, Remaining: w.limit}
}

func (w strict) most(t time.Duration) int64 {
	if t <= 0 {
		return 0
	}
	return times(w.limit, (int64(t)-1)/int64(w.q.Rate.Per)+1)
}

// count is that of the sub-window index.
func (s *strictState) count(index int64) *uint32 { return &s.counts[index%(parts+1)] }

// moveOn makes index the newest sub-window; earlier ones than the newest are not
// gone back to.
func (s *strictState) moveOn(index int64) {
	if index-s.index > parts {
		*s = strictState{index: index}
		return
	}
	for s.index < index {
		s.index++
		*s.count(s.index) = 0
	}
}

func (s *strictState) sum() (n int64) {
	for _, c := range s.counts {
		n += int64(c)
	}
	return n
}

func (w strict) take(s *strictState, now, cost int64) Decision {
	s.moveOn(now / w.part) // forgets only what no longer counts
	sum := s.sum()
	d := Decision{Limit: w.limit}
	if d.Allowed = fits(sum, cost, w.limit); d.Allowed {
		*s.count(s.index) += uint32(cost)
		sum += cost
	} else {
		d.RetryAfter = time.Duration(w.freed(s, sum+cost-w.limit) - now)
	}
	d.Remaining = max(w.limit-sum, 0)
	if sum > 0 {
		d.ResetAfter = time.Duration(w.freed(s, sum) - now)
	}
	return d
}

// freed is when at least n of what is counted will have left.
func (w strict) freed(s *strictState, n int64) int64 {
	index := s.index - parts
	for ; index < s.index; index++ {
		if index >= 0 {
			n -= int64(*s.count(index))
		}
		if n <= 0 {
			break
		}
	}
	return (index + parts + 1) * w.part
}

// convert counts all that is used as used now when the period changes.
func (w strict) convert(old strict, s *strictState, now int64) {
	if w.part == old.part {
		return
	}
	s.moveOn(now / old.part)
	used := min(s.sum(), w.limit)
	*s = strictState{index: now / w.part}
	*s.count(s.index) = uint32(used)
}
