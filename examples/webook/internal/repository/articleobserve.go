package repository

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/observe"
)

var (
	// articleZeroRows counts changes that met no row of their author's: a front end
	// that is out of step, somebody who tries other people's ids, or a bug of ours.
	// docs/articles.md has the alert, which needs a count that was 0 before.
	articleZeroRows = observe.Gauge{
		Component: "article", Name: "zero_rows_total", Cumulative: true, Help: "Changes of articles that affected no row.",
		Labels: []string{"operation"},
	}
	// articleCacheRead counts what the caches gave: hit, miss, and in a failure of
	// Redis pass (the store answered) or busy (too many passed already).
	articleCacheRead = observe.Kind{
		Component: "article_cache", Action: "read", Help: "Reads of articles by what the cache gave.",
		Form: observe.Instant, EndLabels: []string{"copy", "result"},
	}
	// articleCacheWrite counts what was written to the caches: begin, finish, store.
	articleCacheWrite = observe.Kind{
		Component: "article_cache", Action: "write", Help: "Writes to the caches of articles.",
		Form: observe.Instant, EndLabels: []string{"step"},
	}
)

// zeroRows counts by operation.
type zeroRows struct{ save, publish, withdraw atomic.Int64 }

func (z *zeroRows) of(operation string) *atomic.Int64 {
	switch operation {
	case "save":
		return &z.save
	case "publish":
		return &z.publish
	default:
		return &z.withdraw
	}
}

func (r *Articles) reportZeroRows(operation string, err error) {
	if errors.Is(err, domain.ErrArticleNotFound) {
		r.zeroRows.of(operation).Add(1)
	}
}

// Readings yields how many changes met no row. It implements [observe.Source].
func (r *Articles) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		for _, operation := range []string{"save", "publish", "withdraw"} {
			n := float64(r.zeroRows.of(operation).Load())
			if !yield(observe.Reading{Gauge: &articleZeroRows, Values: observe.Values{operation}, Value: n}) {
				return
			}
		}
	}
}

func (r *Articles) reportRead(ctx context.Context, outcome observe.Outcome, copied, result string, err error) {
	observe.Emit(ctx, r.observer, observe.Operation{Kind: &articleCacheRead},
		observe.Result{Outcome: outcome, Values: observe.Values{copied, result}, Err: err})
}

func (r *Articles) reportWrite(ctx context.Context, step string, err error) {
	outcome := observe.OK
	if err != nil {
		outcome = observe.Failed
	}
	observe.Emit(ctx, r.observer, observe.Operation{Kind: &articleCacheWrite},
		observe.Result{Outcome: outcome, Values: observe.Values{step}, Err: err})
}
