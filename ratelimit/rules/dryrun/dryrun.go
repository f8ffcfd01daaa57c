// Package dryrun tells what other rules would have done to the traffic of the last
// minutes, before they are put in force.
//
//	recorder, err := dryrun.New(dryrun.Config{})
//	set, err := rules.New(list, rules.WithOnDecision(recorder.Record))
//	…
//	report, err := recorder.DryRun(ctx, candidate)
//	fmt.Printf("%d of %d calls would be rejected; now it is %d\n",
//		report.Rejected, report.Calls, report.Before)
//
// A [Recorder] sees the calls of its own process, and a dry run applies the
// candidate to these alone: where limits are shared by a fleet, each instance has
// an answer for its part of the traffic.
package dryrun

import (
	"context"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Config holds the bounds of a [Recorder].
type Config struct {
	// Window is how long calls are remembered; 0 is 5 min.
	Window time.Duration
	// Memory is the most that it may take, in bytes; 0 is 16 MiB. A call takes 16
	// bytes, a subject some 200 and its texts. Where that is not enough, part of
	// the subjects are left out, each with all its calls, so that the budgets of
	// the others stay true; see [Report.Share].
	Memory int
}

// Recorder remembers what a [rules.Set] was asked. It is safe for concurrent use.
type Recorder struct{}

// Option configures [New].
type Option interface{ apply(*Recorder) }

type optionFunc func(*Recorder)

func (f optionFunc) apply(r *Recorder) { f(r) }

// WithFactory sets what makes the limiters of a dry run, for sets whose own are no
// token buckets. They must take the time from now, which begins at 0 and is driven by
// the replay, and start with full budgets.
func WithFactory(f func(r rules.Rule, now func() time.Duration) (ratelimit.Limiter, error)) Option {
	return optionFunc(func(*Recorder) {})
}

// New returns a Recorder. It starts nothing.
func New(c Config, opts ...Option) (*Recorder, error) { return &Recorder{}, nil }

// Record remembers a call. It is for [rules.WithOnDecision].
func (r *Recorder) Record(ctx context.Context, subject rules.Subject, cost int64, d ratelimit.Decision, err error) {
}

// Report is what a dry run found. All counts are of calls, whatever their cost.
type Report struct {
	// Window is the time between the first and the last call that was replayed.
	Window time.Duration
	// Calls counts what was replayed.
	Calls int64
	// Rejected counts those that the candidate rejects.
	Rejected int64
	// Before counts those that were rejected when they were made.
	Before int64
	// Share is the part of the calls in the window that was remembered, of 0 to 1;
	// below 1 the counts are those of a sample, and budgets that subjects share are
	// scaled by it.
	Share float64
	// Rules has the rules of the candidate in their order, and last, if any call
	// matched none, one without a name.
	Rules []Verdict
}

// Verdict is one rule's part in a [Report].
type Verdict struct {
	Rule string
	// Shadow tells that the rule's answers do not count.
	Shadow bool
	// Calls counts those that the rule decided, or would have, for a shadow.
	Calls int64
	// Rejected counts those of them that it rejects.
	Rejected int64
}

// DryRun replays the remembered calls, in their order and at their times, against
// fresh token buckets for the candidate rules. Bad rules are refused as by
// [rules.Validate]. Calls go on being decided and recorded meanwhile.
//
// Budgets start full, as after a restart: in its first moments the replay admits
// what an emptied bucket would have denied.
func (r *Recorder) DryRun(ctx context.Context, candidate []rules.Rule) (Report, error) {
	return Report{}, nil
}
