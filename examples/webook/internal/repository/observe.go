package repository

import (
	"context"

	"github.com/bulwark-go/bulwark/observe"
)

// cacheRead counts what the profile cache gave: hit, miss, and in a failure of
// Redis pass (SQL answered), busy (too many passed already) or fail.
var cacheRead = observe.Kind{
	Component: "user_cache", Action: "read", Help: "Profile reads by what the cache gave.",
	Form: observe.Instant, EndLabels: []string{"result"},
}

func (r *Users) report(ctx context.Context, outcome observe.Outcome, result string, err error) {
	observe.Emit(ctx, r.observer, observe.Operation{Kind: &cacheRead},
		observe.Result{Outcome: outcome, Values: observe.Values{result}, Err: err})
}
