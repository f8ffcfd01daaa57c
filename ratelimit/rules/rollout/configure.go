package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Configure takes over rules that a configuration asks for, a file for example that
// all instances have. They become a revision, for good, if they are others than the
// configuration asked for when it was heard last, by any instance; else whatever
// people have decided since stands. So it may be called at each start and each
// reload of the file, by every instance, and a restart undoes nobody's change. It
// returns the revision that is the latest then, and fails as Save does, but not for
// revisions that came in between.
//
// Rules that differ in nothing but their order are others. While instances have
// different configurations, as in the middle of a deployment, the last to call
// decides.
func (f *Follower) Configure(ctx context.Context, list []rules.Rule, author string) (Revision, error) {
	e := Edit{
		Rules: cloneRules(list), Author: author, Configured: digest(list),
		Note: "the configuration asks for these rules",
	}
	for range attempts {
		latest, err := f.Latest(ctx)
		if err != nil {
			return Revision{}, err
		}
		if latest.Configured == e.Configured {
			return latest, nil
		}
		rev, err := f.save(ctx, latest.Number, e)
		if !errors.Is(err, rules.ErrStale) {
			return rev, err
		}
	}
	return Revision{}, fmt.Errorf("%w, %d times in a row", rules.ErrStale, attempts)
}

// digest tells lists of rules apart. Rules that cannot be written as JSON, which are
// none that can be saved, have that of nothing.
func digest(list []rules.Rule) string {
	text, _ := json.Marshal(list)
	if len(list) == 0 {
		text = []byte("[]") // nil or not
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}
