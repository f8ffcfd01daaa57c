package dryrun

import (
	"math"
	"net/netip"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Report is the result of a replay.
type Report struct {
	// Window is how far back calls were counted: that of the [Config], or less if
	// the recorder is younger.
	Window time.Duration
	// Warmup is how much further back they were replayed without being counted.
	Warmup time.Duration
	// Share is that of the users, of the addresses, and of the calls on which
	// budgets of a user, of an address, and all others were replayed: 1 if nothing
	// had to be left out, else 0.5, 0.25, and so on.
	Share float64
	// Candidate is what the edited rules would have done, and Current what those in
	// force did, both by the same replay.
	Candidate, Current Outcome
}

// Outcome is what a set of rules did to the calls of the window.
type Outcome struct {
	// Calls are all calls, those that no rule applies to included.
	Calls int64
	// Rejected is how many of them were rejected.
	Rejected int64
	// Margin is two standard deviations of Rejected, and 0 where Share is 1. It is
	// as good as the sample: a few callers that make most of the calls and are not
	// in it, it does not know of.
	Margin int64
	// Rules are the parts of each rule, in the order in which they are listed. The
	// sums are theirs, but for shadows.
	Rules []RuleOutcome
}

// RuleOutcome is what one rule did.
type RuleOutcome struct {
	Rule   string
	Shadow bool
	// Calls are those that the rule decided; Rejected are the denials, and calls at a
	// cost above the burst. A shadow's are not rejected in earnest.
	Calls, Rejected int64
	// Margin is that of the Outcome, for the rule.
	Margin int64
	// Settled tells that the budgets of the rule refill within the warm-up, so that
	// what had been used before the recording began hardly matters.
	Settled bool
}

// unit is whose calls a rule's budgets are of: which sample it is replayed on.
type unit uint8

const (
	byCall unit = iota
	byUser
	byBlock
)

func unitOf(r rules.Rule) unit {
	found := byCall
	for _, f := range r.Per {
		switch {
		case f == rules.User && r.Match.User == "": // else there is one budget
			return byUser
		case f == rules.IP && !oneBlock(r.Match.IP):
			found = byBlock
		}
	}
	return found
}

// oneBlock tells whether all addresses of a network have one budget.
func oneBlock(p netip.Prefix) bool {
	return p.IsValid() && (p.IsSingleIP() || p.Addr().Is6() && p.Bits() >= 64)
}

// tally counts what a rule does to the calls of the window.
type tally struct {
	rule rules.Rule // with its real limit
	unit unit
	// drawn are the calls in the sample of calls, and tried those in the sample of
	// the rule's unit.
	drawn, tried, rejected int64
	// keys are the budgets, when not all are in the sample.
	keys map[string]*counts
}

type counts struct{ tried, rejected int64 }

func (t *tally) count(key string, rejected bool) {
	t.tried++
	n := int64(0)
	if rejected {
		n = 1
	}
	t.rejected += n
	if t.keys == nil {
		return
	}
	k := t.keys[key]
	if k == nil {
		k = new(counts)
		t.keys[key] = k
	}
	k.tried++
	k.rejected += n
}

// outcome scales the counts up to all calls, of which the sample holds a share.
func (t *tally) outcome(share float64, settled bool) (o RuleOutcome, variance float64) {
	o = RuleOutcome{Rule: t.rule.Name, Shadow: t.rule.Shadow, Settled: settled}
	calls := float64(t.drawn) / share
	o.Calls = int64(math.Round(calls))
	if t.tried == 0 {
		if share < 1 && t.limited() { // nobody knows
			variance = calls * calls / 4
		}
	} else {
		ratio := float64(t.rejected) / float64(t.tried)
		o.Rejected = int64(math.Round(calls * ratio))
		variance = t.variance(share, calls, ratio)
	}
	o.Margin = int64(math.Round(2 * math.Sqrt(variance)))
	return o, variance
}

// variance is that of calls * ratio.
func (t *tally) variance(share, calls, ratio float64) float64 {
	// Each call was drawn or not, by itself. What a budget admits does not depend on
	// how many there were, if it rejects at all.
	ofCalls := float64(t.drawn) * (1 - share) / (share * share)
	if t.unit == byCall {
		if t.rejected == 0 {
			return 0
		}
		return ofCalls
	}
	squares := 0.0
	for _, k := range t.keys {
		off := float64(k.rejected) - ratio*float64(k.tried)
		squares += off * off
	}
	ofRatio := (1 - share) * squares / (float64(t.tried) * float64(t.tried))
	return ratio*ratio*ofCalls + calls*calls*ofRatio
}

func (t *tally) limited() bool { return !t.rule.Unlimited && !t.rule.Blocked }

// refill is how long the rule's budgets take to be full again: those of a token bucket,
// or else at most the period.
func (t *tally) refill(bucket bool) time.Duration {
	r := t.rule
	if !bucket {
		r.Burst = max(r.Burst, r.Rate.Count)
	}
	return time.Duration(float64(r.Rate.Per) * float64(bucketBurst(r)) / float64(r.Rate.Count))
}

// bucketBurst is the burst of a token bucket for a rule.
func bucketBurst(r rules.Rule) int64 {
	if r.Burst == 0 {
		return min((r.Rate.Count-1)/10+1, math.MaxUint32)
	}
	return r.Burst
}
