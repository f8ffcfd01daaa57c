package rules

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Step is one rule's part in an explanation.
type Step struct {
	Rule string
	// Mismatch is the field because of which the rule does not apply; empty when
	// it does.
	Mismatch Field
	// Shadow tells that the rule applies but does not count.
	Shadow bool
	// Decides tells that the rule is the one that counts.
	Decides bool
	// Decision is what the rule would say to a cost of 1; the zero Decision where
	// it does not apply, or Err is set.
	Decision ratelimit.Decision
	// Err is the error of the rule's limiter.
	Err error
}

// Explanation tells how a subject would be decided about.
type Explanation struct {
	// Version is that of the rules.
	Version uint64
	// Steps are all rules, in the order in which they are looked at. Those behind
	// the one that decides would not be.
	Steps []Step
}

// Explain tells how a request of the subject would be decided about, and why. It
// charges nothing.
func (s *Set) Explain(ctx context.Context, subject Subject) Explanation {
	subject.IP = plain(subject.IP)
	c := s.rules.Load()
	e := Explanation{Version: c.version}
	decided := false
	for _, r := range c.inOrder() {
		step := Step{Rule: r.Name, Mismatch: r.mismatch(subject)}
		if step.Mismatch == "" {
			step.Shadow = r.Shadow
			step.Decides = !r.Shadow && !decided
			step.Decision, step.Err = r.decide(ctx, subject, 0)
			step.Decision.Allowed = step.Decision.Remaining > 0 && step.Err == nil
			decided = decided || step.Decides
		}
		e.Steps = append(e.Steps, step)
	}
	return e
}

// inOrder returns all rules, most specific first.
func (c *compiled) inOrder() []entry {
	var all []entry
	for _, r := range c.listed {
		if r.Match.User != "" {
			all = append(all, c.byName[r.Name])
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return moreSpecific(&a.Rule, &b.Rule) })
	return append(all, c.others...)
}

// String gives a line for each rule.
func (e Explanation) String() string {
	var b strings.Builder
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "%s: %s\n", s.Rule, s)
	}
	return b.String()
}

// String says what the rule does.
func (s Step) String() string {
	switch {
	case s.Mismatch != "":
		return fmt.Sprintf("does not apply, because of the %s", s.Mismatch)
	case s.Err != nil:
		return fmt.Sprintf("fails: %v", s.Err)
	}
	verb := map[bool]string{true: "admits", false: "denies"}[s.Decision.Allowed]
	switch {
	case s.Shadow:
		return "as a shadow, " + verb
	case s.Decides:
		return "decides, and " + verb
	default:
		return "applies, but another is more specific"
	}
}
