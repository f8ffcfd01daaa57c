package ratelimittest

import (
	"math/big"
	"sort"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Model is a limiter for one key that is too simple to be wrong: it remembers
// every admission, and asks what its algorithm says about that history. What
// remains, when to retry and when all is back, it finds by search.
type Model struct {
	quota    ratelimit.Quota
	admitted []admission
	// fits tells whether cost can be admitted at now after the admissions.
	fits func(history []admission, now time.Duration, cost int64) bool
}

type admission struct {
	at   time.Duration
	cost int64
}

// Take decides about cost at the time now, which never goes back.
func (m *Model) Take(now time.Duration, cost int64) ratelimit.Decision {
	d := ratelimit.Decision{Limit: m.quota.Burst, Allowed: m.fits(m.admitted, now, cost)}
	switch {
	case !d.Allowed:
		d.RetryAfter = m.wait(now, cost)
	case cost > 0:
		m.admitted = append(m.admitted, admission{now, cost})
	}
	d.Remaining = int64(sort.Search(int(d.Limit), func(n int) bool {
		return !m.fits(m.admitted, now, int64(n)+1)
	}))
	d.ResetAfter = m.wait(now, d.Limit)
	return d
}

// wait is the least time until cost fits: waiting never makes things worse.
func (m *Model) wait(now time.Duration, cost int64) time.Duration {
	longest := 3*m.quota.Rate.Per + time.Duration(m.quota.Burst)*m.spacing()
	return time.Duration(sort.Search(int(longest), func(w int) bool {
		return m.fits(m.admitted, now+time.Duration(w), cost)
	}))
}

func (m *Model) spacing() time.Duration {
	n := time.Duration(m.quota.Rate.Count)
	return (m.quota.Rate.Per + n - 1) / n
}

// TokenBucket is the textbook's: a level that rises by one token in each spacing,
// up to the burst.
func TokenBucket(q ratelimit.Quota) *Model {
	m := &Model{quota: q}
	m.fits = func(history []admission, now time.Duration, cost int64) bool {
		full := time.Duration(q.Burst) * m.spacing() // levels in time: no fractions
		level, last := full, time.Duration(0)
		for _, a := range history {
			level = min(level+a.at-last, full) - time.Duration(a.cost)*m.spacing()
			last = a.at
		}
		return min(level+now-last, full) >= time.Duration(cost)*m.spacing()
	}
	return m
}

// LeakyBucket lets requests go one by one, each as many spacings after the one
// before as that one cost; q.Burst is the largest cost.
func LeakyBucket(q ratelimit.Quota) *Model {
	m := &Model{quota: q}
	m.fits = func(history []admission, now time.Duration, cost int64) bool {
		if len(history) == 0 || cost == 0 {
			return true
		}
		last := history[len(history)-1]
		return now >= last.at+time.Duration(last.cost)*m.spacing()
	}
	return m
}

// FixedWindow counts in windows that open with the first admission outside of one.
func FixedWindow(q ratelimit.Quota) *Model {
	return &Model{quota: q, fits: func(history []admission, now time.Duration, cost int64) bool {
		start, count := -q.Rate.Per, int64(0)
		for _, a := range history {
			if a.at >= start+q.Rate.Per {
				start, count = a.at, 0
			}
			count += a.cost
		}
		if now >= start+q.Rate.Per {
			count = 0
		}
		return count+cost <= q.Rate.Count
	}}
}

// SlidingLog counts what was admitted within the last period.
func SlidingLog(q ratelimit.Quota) *Model {
	return &Model{quota: q, fits: func(history []admission, now time.Duration, cost int64) bool {
		for _, a := range history {
			if a.at > now-q.Rate.Per {
				cost += a.cost
			}
		}
		return cost <= q.Rate.Count
	}}
}

// StrictWindow counts in tenths of the period, the current one and ten before it.
func StrictWindow(q ratelimit.Quota) *Model {
	part := (q.Rate.Per + 9) / 10
	return &Model{quota: q, fits: func(history []admission, now time.Duration, cost int64) bool {
		for _, a := range history {
			if a.at/part >= now/part-10 {
				cost += a.cost
			}
		}
		return cost <= q.Rate.Count
	}}
}

// SlidingWindow weighs the count of the period before by how much of it the last
// period still covers.
func SlidingWindow(q ratelimit.Quota) *Model {
	per := q.Rate.Per
	return &Model{quota: q, fits: func(history []admission, now time.Duration, cost int64) bool {
		start, prev, cur := time.Duration(0), int64(0), int64(0)
		move := func(to time.Duration) {
			switch periods := (to - start) / per; {
			case prev == 0 && cur == 0 || periods > 1:
				start, prev, cur = to, 0, 0
			case periods == 1:
				start, prev, cur = start+per, cur, 0
			}
		}
		for _, a := range history {
			move(a.at)
			cur += a.cost
		}
		move(now)
		weighed := new(big.Int).Mul(big.NewInt(prev), big.NewInt(int64(start+per-now)))
		whole := new(big.Int).Mul(big.NewInt(cur+cost), big.NewInt(int64(per)))
		limit := new(big.Int).Mul(big.NewInt(q.Rate.Count), big.NewInt(int64(per)))
		return weighed.Add(weighed, whole).Cmp(limit) <= 0
	}}
}
