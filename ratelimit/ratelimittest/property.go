package ratelimittest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// againstModel drives the limiter through random histories, seeking out the edges
// that its own answers name, and compares each decision with the model's and each
// window with the bound.
func againstModel(t *testing.T, create func() Harness) {
	rapid.Check(t, func(t *rapid.T) {
		h := create()
		now, edge := time.Duration(0), time.Duration(0)
		var history []admission
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			step := h.step(t, edge)
			h.Advance(step)
			now += step
			cost := rapid.Int64Range(0, h.Quota.Burst).Draw(t, "cost")
			d := h.take(t, "k", cost)
			if h.Model != nil {
				require.Equalf(t, h.Model.Take(now, cost), stripped(d), "cost %d at %v", cost, now)
			}
			if d.Allowed && cost > 0 {
				history = append(history, admission{now, cost})
			}
			edge = d.RetryAfter
			if d.Allowed {
				edge = d.ResetAfter
			}
		}
		if b, ok := h.Limiter.(ratelimit.Bounded); ok && h.Drains == 0 {
			requireBound(t, b, history, h.Quota.Rate.Per)
		}
	})
}

// step draws how far to advance: not at all, to an edge that the limiter named or
// just before or behind it, or anywhere.
func (h Harness) step(t *rapid.T, edge time.Duration) time.Duration {
	tick := h.tick()
	step := rapid.OneOf(
		rapid.Just(time.Duration(0)),
		rapid.Just(edge), rapid.Just(edge-tick), rapid.Just(edge+tick),
		rapid.Map(rapid.Int64Range(0, int64(h.Quota.Rate.Per)*5/2), func(n int64) time.Duration { return time.Duration(n) }),
	).Draw(t, "step")
	return max(step, 0) / tick * tick
}

// stripped leaves out what decorators add to a decision.
func stripped(d ratelimit.Decision) ratelimit.Decision {
	d.Rule = ""
	return d
}

// requireBound checks every window that begins with an admission: any other holds
// no more than one of these.
func requireBound(t require.TestingT, b ratelimit.Bounded, history []admission, per time.Duration) {
	for _, window := range []time.Duration{1, per / 10, per - 1, per, per + 1, 3 * per} {
		most := b.Most(window)
		for i, first := range history {
			sum := int64(0)
			for _, a := range history[i:] {
				if a.at < first.at+window {
					sum += a.cost
				}
			}
			require.LessOrEqualf(t, sum, most, "window of %v from %v", window, first.at)
		}
	}
}
