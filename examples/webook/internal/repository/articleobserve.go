package repository

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/observe"
)

var (
	// articleZeroRows counts changes that met no row of their author's: a front end
	// that is out of step, somebody who tries other people's ids, or a bug of ours.
	// docs/articles.md has the alert.
	articleZeroRows = observe.Kind{
		Component: "article", Action: "zero_rows", Help: "Changes of articles that affected no row.",
		Form: observe.Instant, EndLabels: []string{"operation"},
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

func (r *Articles) reportZeroRows(ctx context.Context, operation string, err error) {
	if errors.Is(err, domain.ErrArticleNotFound) {
		observe.Emit(ctx, r.observer, observe.Operation{Kind: &articleZeroRows},
			observe.Result{Outcome: observe.OK, Values: observe.Values{operation}})
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
