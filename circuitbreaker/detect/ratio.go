package detect

import (
	"fmt"
	"math"
	"time"
)

// ErrorRate finds the target ill when at least the share of calls (over 0, up to
// 1) failed within the window, of at least minCalls calls. Take 20 calls or more:
// with a base error of 20 % and a share of one half, a window of 5 calls is wrong
// 6 % of the time, one of 20 calls 0.3 % and one of 50 calls 0.0002 %.
func ErrorRate(share float64, minCalls int, opts ...Option) Spec {
	r := newRatio("error rate", share, minCalls, opts)
	return specFunc(func() (Detector, error) {
		if err := r.check().err(); err != nil {
			return nil, err
		}
		return &errorRate{ratio: r, window: newWindow(r.span)}, nil
	})
}

type errorRate struct {
	*ratio
	window window
}

func (d *errorRate) Record(c Call) bool {
	if c.Failed {
		d.window.add(c.At, 0, 1)
		return true
	}
	d.window.add(c.At, max(c.Successes, 1), 0)
	return false
}

func (d *errorRate) Ill(now time.Duration) (string, bool) {
	good, bad := d.window.totals(now)
	return d.verdict(good, bad)
}

// SlowRatio finds the target ill when at least the share of calls (over 0, up to
// 1) took slow or longer within the window, of at least minCalls calls that were
// timed. Whether a call failed makes no difference.
func SlowRatio(slow time.Duration, share float64, minCalls int, opts ...Option) Spec {
	r := newRatio("slow ratio", share, minCalls, opts)
	return specFunc(func() (Detector, error) {
		c := r.check()
		c.require(slow > 0, r.name, "slow", slow, "above 0")
		c.require(slow < r.span, r.name, "slow", slow, fmt.Sprintf("below the window of %v", r.span))
		if err := c.err(); err != nil {
			return nil, err
		}
		return &slowRatio{ratio: r, slow: slow, window: newWindow(r.span)}, nil
	})
}

type slowRatio struct {
	*ratio
	slow   time.Duration
	window window
}

func (d *slowRatio) Timed() {}

func (d *slowRatio) Bad(c Call) bool { return c.Latency >= d.slow }

func (d *slowRatio) Record(c Call) bool {
	switch {
	case c.Latency < 0:
		return false
	case d.Bad(c):
		d.window.add(c.At, 0, 1)
		return true
	default:
		d.window.add(c.At, 1, 0)
		return false
	}
}

func (d *slowRatio) Ill(now time.Duration) (string, bool) {
	good, bad := d.window.totals(now)
	return d.verdict(good, bad)
}

// ratio is what the two detectors share: settings, and the rule on totals. It
// never changes, so all detectors of one Spec have the same one.
type ratio struct {
	name  string
	share float64
	min   int
	span  time.Duration
	z     float64
}

func newRatio(name string, share float64, minCalls int, opts []Option) *ratio {
	r := &ratio{name: name, share: share, min: minCalls, span: DefaultWindow}
	for _, o := range opts {
		o.apply(r)
	}
	return r
}

func (r *ratio) check() (c checks) {
	c.require(r.share > 0 && r.share <= 1, r.name, "share", r.share, "above 0 and at most 1")
	c.require(r.min >= 1, r.name, "minimum calls", r.min, "at least 1")
	c.require(r.span >= 100*time.Millisecond && r.span <= maxWindow, r.name, "window", r.span, "between 100ms and 1h")
	c.require(r.z >= 0 && r.z <= 10, r.name, "confidence", r.z, "between 0 and 10")
	return c
}

// Window implements [Windowed].
func (r *ratio) Window() time.Duration { return r.span }

func (r *ratio) verdict(good, bad uint64) (string, bool) {
	n := good + bad
	if n == 0 || n < uint64(r.min) || r.lower(float64(bad), float64(n)) < r.share {
		return "", false
	}
	return fmt.Sprintf("%s %.1f%% of %d calls in %v", r.name, 100*float64(bad)/float64(n), n, r.span), true
}

// lower is the low end of the Wilson score interval for bad of n; with z = 0, the
// plain share.
func (r *ratio) lower(bad, n float64) float64 {
	p, zz := bad/n, r.z*r.z
	return (p + zz/(2*n) - r.z*math.Sqrt(p*(1-p)/n+zz/(4*n*n))) / (1 + zz/n)
}
