package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/idempotency"
)

// readScope holds the ids of the readings that are counted.
const readScope idempotency.Scope = "interactive.read"

// Reads counts readings. It is safe for concurrent use.
type Reads struct {
	once     idempotency.Store[*gorm.DB]
	counters *Interactives
}

// NewReads returns a Reads that adds to counters what it sees for the first time. once
// must keep its keys in the database of the counters: an event's id and its count are
// committed together, or neither is.
func NewReads(once idempotency.Store[*gorm.DB], counters *Interactives) *Reads {
	return &Reads{once: once, counters: counters}
}

// CountReads counts those readings that it was not told of before: one transaction
// with one row for each thing, however many read it, and then the copies in the cache.
// refused[i] is not nil where another reading had the id of reads[i]; it is not
// counted.
func (r *Reads) CountReads(ctx context.Context, reads []domain.Read) (refused []error, err error) {
	var after []domain.Interactive
	decisions, err := idempotency.DoEach(ctx, r.once, reads, delivery, func(tx *gorm.DB, first []domain.Read) (err error) {
		after, err = addUp(ctx, dao.NewInteractives(tx), first)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("repository: count %d reads: %w", len(reads), err)
	}
	r.counters.renew(ctx, after...)
	refused = make([]error, len(reads))
	for i, d := range decisions {
		switch why := d.Err(delivery(reads[i]).Key); {
		case errors.Is(why, idempotency.ErrConflict):
			refused[i] = why
		case why != nil: // not decided yet: the others are repeats when it is tried again
			err = fmt.Errorf("repository: count a read: %w", why)
		}
	}
	return refused, err
}

func delivery(r domain.Read) idempotency.Delivery {
	return idempotency.Delivery{
		Key: readScope.Key(r.EventID), Payload: idempotency.Fields(r.Biz, r.BizID, r.UserID),
	}
}

// addUp adds the readings to the counters of table and returns those after it.
func addUp(ctx context.Context, table *dao.Interactives, reads []domain.Read) (after []domain.Interactive, err error) {
	sums := map[string]map[int64]int64{}
	for _, read := range reads {
		if sums[read.Biz] == nil {
			sums[read.Biz] = map[int64]int64{}
		}
		sums[read.Biz][read.BizID]++
	}
	for _, biz := range slices.Sorted(maps.Keys(sums)) { // in one order everywhere: batches wait, and do not deadlock
		rows, err := table.BatchIncrRead(ctx, biz, sums[biz])
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			after = append(after, fromRow(row))
		}
	}
	return after, nil
}
