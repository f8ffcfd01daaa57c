package console

import (
	"context"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// DryRun tells what rules would have done with the calls that have been made lately.
// A [Set] without one shows only what would change in its rules.
type DryRun interface {
	DryRun(ctx context.Context, list []rules.Rule) (Rehearsal, error)
}

// Rehearsal is what a [DryRun] found.
type Rehearsal struct {
	// Window is how far back the calls go.
	Window time.Duration
	// Calls is how many there were, Limited how many of them were refused, and
	// WouldLimit how many the rules would have refused.
	Calls, Limited, WouldLimit int64
	// Rules are the parts of WouldLimit, by the rule that would have refused.
	Rules []RehearsedRule
}

// RehearsedRule is a rule's part in a [Rehearsal].
type RehearsedRule struct {
	Rule              string
	Calls, WouldLimit int64
}
