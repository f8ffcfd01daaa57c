package console

import (
	"context"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Tally counts the decisions of a [rules.Set] in the last minute, by rule and never
// by key. It is safe for concurrent use. Make it with [NewTally].
type Tally struct {
	mu    sync.Mutex
	rules map[string]*window[Counts]
}

// NewTally returns a Tally that has counted nothing.
func NewTally() *Tally { return &Tally{rules: map[string]*window[Counts]{}} }

// Counts are decisions.
type Counts struct {
	// Allowed and Limited are those that were made, Degraded those of them that
	// were made without the store, and Failed the calls without a decision.
	Allowed, Limited, Degraded, Failed int64
	// ShadowLimited are those that a shadow rule would have denied.
	ShadowLimited int64
}

func (c Counts) plus(d Counts) Counts {
	return Counts{
		Allowed: c.Allowed + d.Allowed, Limited: c.Limited + d.Limited, Degraded: c.Degraded + d.Degraded,
		Failed: c.Failed + d.Failed, ShadowLimited: c.ShadowLimited + d.ShadowLimited,
	}
}

// Decisions is how many there were.
func (c Counts) Decisions() int64 { return c.Allowed + c.Limited }

// Decided counts a decision; it is made for [rules.WithOnDecision].
func (t *Tally) Decided(_ context.Context, _ rules.Subject, _ int64, d ratelimit.Decision, err error) {
	var one Counts
	switch {
	case err != nil:
		one.Failed = 1
	case d.Allowed:
		one.Allowed = 1
	default:
		one.Limited = 1
	}
	if d.Degraded {
		one.Degraded = 1
	}
	t.add(d.Rule, one)
}

// Shadowed counts what a shadow rule would have decided; it is made for
// [rules.WithOnShadow].
func (t *Tally) Shadowed(_ context.Context, d ratelimit.Decision, err error) {
	switch {
	case err != nil:
		t.add(d.Rule, Counts{Failed: 1})
	case d.Allowed:
		t.add(d.Rule, Counts{Allowed: 1})
	default:
		t.add(d.Rule, Counts{ShadowLimited: 1})
	}
}

func (t *Tally) add(rule string, one Counts) {
	now := time.Now().Unix()
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.rules[rule]
	if w == nil {
		if len(t.rules) >= routesMax {
			t.forget(now)
		}
		if len(t.rules) >= routesMax {
			return // more rules than a page can show
		}
		w = &window[Counts]{}
		t.rules[rule] = w
	}
	w.add(now, one)
}

// forget drops rules that decide nothing any more. It needs mu.
func (t *Tally) forget(now int64) {
	for rule, w := range t.rules {
		if w.sum(now) == (Counts{}) {
			delete(t.rules, rule)
		}
	}
}

// Minute returns the counts of the last minute by rule; "" is for what no rule
// decided.
func (t *Tally) Minute(now time.Time) map[string]Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	sums := make(map[string]Counts, len(t.rules))
	for rule, w := range t.rules {
		if c := w.sum(now.Unix()); c != (Counts{}) {
			sums[rule] = c
		}
	}
	return sums
}
