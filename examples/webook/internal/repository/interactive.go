package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/observe"
)

// Interactives stores what readers do with things in SQL, and the counters also in the
// cache. It is safe for concurrent use.
//
// SQL decides. A change is done when it is committed: that the cache can't be told
// fails nobody's click, and the copy is wrong until the next change or its end.
type Interactives struct {
	table    *dao.Interactives
	cache    *cache.Interactives
	settings func() Settings
	observer observe.Observer
	passing  gate
}

// NewInteractives returns a repository over table and cache. It asks settings at each
// call, and tells observer how each use of the cache went; nil watches nothing.
func NewInteractives(table *dao.Interactives, cache *cache.Interactives, settings func() Settings, observer observe.Observer) *Interactives {
	return &Interactives{table: table, cache: cache, settings: settings, observer: observe.OrNop(observer)}
}

// Like makes sure that uid likes the thing.
func (r *Interactives) Like(ctx context.Context, biz string, bizID, uid int64) error {
	return r.changed(ctx)(r.table.Like(ctx, biz, bizID, uid))
}

// CancelLike makes sure that uid does not like the thing.
func (r *Interactives) CancelLike(ctx context.Context, biz string, bizID, uid int64) error {
	return r.changed(ctx)(r.table.CancelLike(ctx, biz, bizID, uid))
}

// Collect makes sure that the thing is in uid's collection cid, and in no other.
func (r *Interactives) Collect(ctx context.Context, biz string, bizID, cid, uid int64) error {
	return r.changed(ctx)(r.table.Collect(ctx, biz, bizID, cid, uid))
}

// CancelCollect makes sure that the thing is in none of uid's collections.
func (r *Interactives) CancelCollect(ctx context.Context, biz string, bizID, uid int64) error {
	return r.changed(ctx)(r.table.CancelCollect(ctx, biz, bizID, uid))
}

// Liked tells whether uid likes the thing.
func (r *Interactives) Liked(ctx context.Context, biz string, bizID, uid int64) (bool, error) {
	return r.table.Liked(ctx, biz, bizID, uid)
}

// Collected tells whether the thing is in a collection of uid's.
func (r *Interactives) Collected(ctx context.Context, biz string, bizID, uid int64) (bool, error) {
	return r.table.Collected(ctx, biz, bizID, uid)
}

// Counts returns the thing's counters from the cache; only a miss reads SQL. When the
// cache fails, Settings.PassMax decides.
func (r *Interactives) Counts(ctx context.Context, biz string, bizID int64) (domain.Interactive, error) {
	s := r.settings()
	cached, lease, err := r.cached(ctx, biz, bizID)
	switch {
	case err == nil:
		r.report(ctx, observe.OK, "hit", nil)
		return cached, nil
	case errors.Is(err, cache.ErrMiss):
		r.report(ctx, observe.OK, "miss", nil)
	case ctx.Err() != nil:
		return domain.Interactive{}, err // the caller left or is out of time: not the cache's failure
	default:
		return r.pass(ctx, biz, bizID, s.PassMax, err)
	}
	found, err := r.load(ctx, biz, bizID)
	if err != nil {
		return domain.Interactive{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	// A copy that could not be stored costs one more query, no more.
	_ = r.cache.Store(ctx, lease, found, s.TTL)
	return found, nil
}

// CountsOf returns the counters of those things that have any, by id. It asks SQL: who
// asks for many looks for what is hot, and copies of it all would crowd out others.
func (r *Interactives) CountsOf(ctx context.Context, biz string, ids []int64) (map[int64]domain.Interactive, error) {
	rows, err := r.table.ByIDs(ctx, biz, distinct(ids))
	if err != nil {
		return nil, err
	}
	found := make(map[int64]domain.Interactive, len(rows))
	for _, row := range rows {
		found[row.BizID] = fromRow(row)
	}
	return found, nil
}

// changed returns what is done after a change: the copy follows.
func (r *Interactives) changed(ctx context.Context) func(dao.Interactive, bool, error) error {
	return func(after dao.Interactive, changed bool, err error) error {
		if err == nil && changed {
			r.renew(ctx, fromRow(after))
		}
		return err
	}
}

// renew brings the copies up to what is committed, also for a caller who has left.
func (r *Interactives) renew(ctx context.Context, after ...domain.Interactive) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.settings().Timeout)
	defer cancel()
	if err := r.cache.Renew(ctx, after...); err != nil {
		r.report(ctx, observe.Failed, "stale", err)
	}
}

func (r *Interactives) cached(ctx context.Context, biz string, bizID int64) (domain.Interactive, cache.Turn, error) {
	ctx, cancel := context.WithTimeout(ctx, r.settings().Timeout)
	defer cancel()
	return r.cache.Get(ctx, biz, bizID)
}

// pass reads SQL in the failing cache's stead, with at most limit others.
func (r *Interactives) pass(ctx context.Context, biz string, bizID int64, limit int, cause error) (domain.Interactive, error) {
	if limit == 0 {
		err := fmt.Errorf("%w: %w", ErrUnavailable, cause)
		r.report(ctx, observe.Failed, "fail", err)
		return domain.Interactive{}, err
	}
	if !r.passing.enter(limit) {
		err := fmt.Errorf("%w: %w", ErrBusy, cause)
		r.report(ctx, observe.Rejected, "busy", err)
		return domain.Interactive{}, err
	}
	defer r.passing.leave()
	r.report(ctx, observe.Degraded, "pass", cause)
	return r.load(ctx, biz, bizID)
}

func (r *Interactives) load(ctx context.Context, biz string, bizID int64) (domain.Interactive, error) {
	row, err := r.table.ByID(ctx, biz, bizID)
	return fromRow(row), err
}

func fromRow(row dao.Interactive) domain.Interactive {
	return domain.Interactive{
		Biz: row.Biz, BizID: row.BizID, Version: row.Version,
		ReadCnt: row.ReadCnt, LikeCnt: row.LikeCnt, CollectCnt: row.CollectCnt,
	}
}

func distinct(ids []int64) []int64 {
	return slices.Compact(slices.Sorted(slices.Values(ids)))
}

// countsCache counts what the cache of counters gave: hit, miss, and in a failure of
// Redis pass (SQL answered), busy (too many passed already) or fail; and stale for a
// change that the cache could not be told.
var countsCache = observe.Kind{
	Component: "interactive_cache", Action: "use", Help: "Uses of the cache of counters by what it gave.",
	Form: observe.Instant, EndLabels: []string{"result"},
}

func (r *Interactives) report(ctx context.Context, outcome observe.Outcome, result string, err error) {
	observe.Emit(ctx, r.observer, observe.Operation{Kind: &countsCache},
		observe.Result{Outcome: outcome, Values: observe.Values{result}, Err: err})
}
