package console

import (
	"context"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/dryrun"
)

// DryRun tells what edited rules would have done to the calls of the last minutes,
// next to those in force; *dryrun.Recorder is one. A [Set] without one shows only
// what would change in its rules.
type DryRun interface {
	Replay(ctx context.Context, candidate, current []rules.Rule) (dryrun.Report, error)
}

// rehearsal is what a [DryRun] found, as the page shows it.
type rehearsal struct {
	dryrun.Report
	// Rules are the parts of those rules that limit, or would limit.
	Rules []rehearsed
	// Young names the rules whose budgets go back further than the recording.
	Young []string
}

// rehearsed is a rule under the candidate, with what it does now.
type rehearsed struct {
	dryrun.RuleOutcome
	Now int64
}

func rehearse(ctx context.Context, d DryRun, candidate, current []rules.Rule) (*rehearsal, error) {
	report, err := d.Replay(ctx, candidate, current)
	if err != nil {
		return nil, err
	}
	now := map[string]int64{}
	for _, o := range report.Current.Rules {
		now[o.Rule] = o.Rejected
	}
	r := &rehearsal{Report: report}
	for _, o := range report.Candidate.Rules {
		if o.Rejected > 0 || now[o.Rule] > 0 {
			r.Rules = append(r.Rules, rehearsed{o, now[o.Rule]})
		}
		if !o.Settled && o.Calls > 0 {
			r.Young = append(r.Young, o.Rule)
		}
	}
	return r, nil
}
