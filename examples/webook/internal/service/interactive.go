package service

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
)

// Interactives lets readers like and collect things, and counts it. Each of its
// changes says how things shall be, so that a second time changes nothing. It is safe
// for concurrent use.
type Interactives struct {
	repo *repository.Interactives
}

// NewInteractives returns the use cases over repo.
func NewInteractives(repo *repository.Interactives) *Interactives { return &Interactives{repo: repo} }

// Like makes uid like the thing.
func (s *Interactives) Like(ctx context.Context, biz string, bizID, uid int64) error {
	if err := checkThing(bizID); err != nil {
		return err
	}
	return s.repo.Like(ctx, biz, bizID, uid)
}

// CancelLike takes uid's like back.
func (s *Interactives) CancelLike(ctx context.Context, biz string, bizID, uid int64) error {
	if err := checkThing(bizID); err != nil {
		return err
	}
	return s.repo.CancelLike(ctx, biz, bizID, uid)
}

// Collect puts the thing into uid's collection cid, from any other one that it was in;
// collection 0 is there for everybody.
func (s *Interactives) Collect(ctx context.Context, biz string, bizID, cid, uid int64) error {
	if err := checkThing(bizID); err != nil {
		return err
	}
	if cid < 0 {
		return errs.InvalidInput("there is no such collection")
	}
	return s.repo.Collect(ctx, biz, bizID, cid, uid)
}

// CancelCollect takes the thing out of uid's collections.
func (s *Interactives) CancelCollect(ctx context.Context, biz string, bizID, uid int64) error {
	if err := checkThing(bizID); err != nil {
		return err
	}
	return s.repo.CancelCollect(ctx, biz, bizID, uid)
}

// Get returns the thing's counters, and what uid did with it; uid 0 is nobody in
// particular. The three questions are asked at once, as none needs another's answer.
func (s *Interactives) Get(ctx context.Context, biz string, bizID, uid int64) (domain.Interactive, error) {
	var (
		counts           domain.Interactive
		liked, collected bool
	)
	asked, ctx := errgroup.WithContext(ctx)
	asked.Go(func() (err error) { counts, err = s.repo.Counts(ctx, biz, bizID); return err })
	if uid != 0 {
		asked.Go(func() (err error) { liked, err = s.repo.Liked(ctx, biz, bizID, uid); return err })
		asked.Go(func() (err error) { collected, err = s.repo.Collected(ctx, biz, bizID, uid); return err })
	}
	if err := asked.Wait(); err != nil {
		return domain.Interactive{}, business(err)
	}
	counts.Liked, counts.Collected = liked, collected
	return counts, nil
}

// GetByIDs returns the counters of those things that have any, by id.
func (s *Interactives) GetByIDs(ctx context.Context, biz string, ids []int64) (map[int64]domain.Interactive, error) {
	return s.repo.CountsOf(ctx, biz, ids)
}

func checkThing(bizID int64) error {
	if bizID <= 0 {
		return errs.InvalidInput("there is no such thing")
	}
	return nil
}
