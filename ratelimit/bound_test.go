package ratelimit_test

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// admissions is how many admissions each algorithm is driven to in the bound's
// test: a billion over all of them in the long form.
func admissions() int {
	if os.Getenv("BULWARK_TEST_LONG") != "" {
		return 200_000_000
	}
	return 300_000
}

// window checks the bound of one window length in constant time: with one more
// than most admissions, the first and the last are at least the window apart.
type window struct {
	length time.Duration
	most   int
	times  []time.Duration // a ring of the last most
	next   int
}

func newWindow(b ratelimit.Bounded, length time.Duration) *window {
	most := int(b.Most(length))
	w := &window{length: length, most: most, times: make([]time.Duration, most)}
	for i := range w.times {
		w.times[i] = -1 << 62
	}
	return w
}

// admit reports whether the bound holds with an admission at now.
func (w *window) admit(now time.Duration) bool {
	oldest := w.times[w.next]
	w.times[w.next] = now
	w.next = (w.next + 1) % w.most
	return oldest <= now-w.length
}

// TestNoWindowExceedsItsBound drives each algorithm with an adversary: bursts, and
// then calls at the very edge of what was refused, from random phases.
func TestNoWindowExceedsItsBound(t *testing.T) {
	for name, local := range locals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := new(manual)
			rate := ratelimit.PerSecond(100)
			l, err := local.make(rate, ratelimit.WithClock(c.read))
			require.NoError(t, err)
			var windows []*window
			for _, length := range []time.Duration{1, rate.Per / 10, rate.Per, rate.Per + 1, 7 * rate.Per} {
				windows = append(windows, newWindow(l, length))
			}
			random := rand.New(rand.NewPCG(1, uint64(len(name))))
			for n := 0; n < admissions(); {
				d, err := l.Take(context.Background(), "k", 1)
				if err != nil {
					require.NoError(t, err)
				}
				if !d.Allowed {
					c.advance(pause(random, d.RetryAfter, rate.Per))
					continue
				}
				n++
				for _, w := range windows {
					if !w.admit(c.read()) {
						require.FailNowf(t, "bound exceeded", "window %v, most %d, at %v", w.length, w.most, c.read())
					}
				}
				if random.IntN(200) == 0 {
					c.advance(pause(random, 0, rate.Per))
				}
			}
		})
	}
}

// pause is how long the adversary waits after a denial.
func pause(random *rand.Rand, retry, per time.Duration) time.Duration {
	switch random.IntN(8) {
	case 0:
		return time.Duration(random.Int64N(int64(3 * per))) // a new phase
	case 1:
		return max(retry-1, 0)
	case 2:
		return retry + time.Duration(random.Int64N(int64(per/50)))
	default:
		return retry
	}
}

// TestTheWorstCaseIsAsBadAsDocumented shows that the bounds are no fairy tales: an
// adversary gets that much, or nearly, out of each algorithm.
func TestTheWorstCaseIsAsBadAsDocumented(t *testing.T) {
	for name, share := range map[string]float64{
		"token bucket": 1.99, "fixed window": 2, "sliding window": 1.9, "strict window": 1, "sliding log": 1,
	} {
		t.Run(name, func(t *testing.T) {
			c := new(manual)
			rate := ratelimit.PerSecond(100)
			opts := []ratelimit.Option{ratelimit.WithClock(c.read), ratelimit.WithBurst(100)}
			l, err := locals[name].make(rate, opts...)
			require.NoError(t, err)
			best, hits := 0, []time.Duration{}
			take := func() {
				for d, _ := l.Take(context.Background(), "k", 1); d.Allowed; d, _ = l.Take(context.Background(), "k", 1) {
					hits = append(hits, c.read())
				}
			}
			c.advance(10 * rate.Per)
			_, _ = l.Take(context.Background(), "k", 1) // opens a window
			hits = append(hits, c.read())
			c.advance(rate.Per - 1)
			for range 2000 {
				take()
				c.advance(rate.Per / 1000)
			}
			for i, first := range hits {
				n := 0
				for _, at := range hits[i:] {
					if at < first+rate.Per {
						n++
					}
				}
				best = max(best, n)
			}
			require.GreaterOrEqual(t, float64(best), share*100-1)
			require.LessOrEqual(t, int64(best), l.Most(rate.Per))
		})
	}
}

func TestTheBoundOfTheLongestWindowIsNoNegativeNumber(t *testing.T) {
	for name, local := range locals {
		l, err := local.make(ratelimit.PerSecond(10))
		require.NoError(t, err)
		require.Greater(t, l.Most(math.MaxInt64), l.Most(24*time.Hour), name)
	}
	leaky := newLeaky(t, ratelimit.PerSecond(10))
	require.Greater(t, leaky.Most(math.MaxInt64), leaky.Most(24*time.Hour))
}
