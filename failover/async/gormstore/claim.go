package gormstore

import (
	"context"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/failover/async"
)

// Claim implements [async.Store].
func (s *Store) Claim(ctx context.Context, c async.Claim) ([]async.Row, error) {
	var claimed []record
	if err := s.endRanges(ctx, c.Queue); err != nil {
		return nil, err
	}
	from := s.marks.begin(c)
	how := s.claimPlain
	switch {
	case s.plain.Load():
	case s.dialect.returning:
		how = s.claimReturning
	case s.dialect.skipLocked:
		how = s.claimLocking
	}
	err := s.retry(ctx, "claim", func(db *gorm.DB) (err error) {
		claimed, err = how(db, c, from)
		return err
	})
	if err != nil && strings.Contains(err.Error(), "SKIP LOCKED") && s.plain.CompareAndSwap(false, true) {
		return s.Claim(ctx, c) // too old for it
	}
	if err != nil {
		return nil, err
	}
	s.marks.end(c, from, claimed)
	return rows(claimed)
}

// due is which rows a claim may have, at one priority; first the arguments in order.
func due(c async.Claim, priority async.Priority, from int64) (string, []any) {
	where := `queue = ? AND state = ? AND priority = ? AND due >= ? AND due <= {now}
		AND NOT EXISTS (SELECT 1 FROM {pauses} p WHERE p.queue = ?)`
	if c.From == async.Queued {
		where += " AND not_after > {now}"
	}
	if c.Newest {
		where += " ORDER BY due DESC, id DESC"
	} else {
		where += " ORDER BY due, id"
	}
	return where + " LIMIT ?", []any{c.Queue, c.From, priority, from, c.Queue}
}

// take is what an UPDATE sets to claim.
func take(c async.Claim) (string, []any) {
	to, counted := async.Leased, "attempts = attempts + 1"
	if c.From == async.Unknown {
		to, counted = async.Reconciling, "checks = checks + 1"
	}
	return "state = ?, token = token + 1, " + counted + ", owner = ?, lease_until = {now} + ?",
		[]any{to, c.Owner, c.Lease.Microseconds()}
}

// each goes through the priorities until enough rows are claimed.
func each(c async.Claim, from map[async.Priority]int64, f func(where string, args []any) ([]record, error)) (all []record, err error) {
	order := async.Priorities()
	if c.LowFirst {
		slices.Reverse(order)
	}
	for _, p := range order {
		if len(all) >= c.Most {
			break
		}
		where, args := due(c, p, from[p])
		got, err := f(where, append(args, c.Most-len(all)))
		if err != nil {
			return nil, err
		}
		all = append(all, got...)
	}
	return all, nil
}

// claimReturning claims with one statement per priority.
func (s *Store) claimReturning(db *gorm.DB, c async.Claim, from map[async.Priority]int64) ([]record, error) {
	set, setArgs := take(c)
	lock, in := "", "IN (SELECT id FROM {table} WHERE "
	if s.dialect.skipLocked {
		lock = " FOR UPDATE SKIP LOCKED"
		in = "= ANY(ARRAY(SELECT id FROM {table} WHERE " // evaluated once, whatever the plan
	}
	return each(c, from, func(where string, args []any) (got []record, err error) {
		end := ")"
		if s.dialect.skipLocked {
			end = "))"
		}
		err = s.query(db, &got, "UPDATE {table} SET "+set+" WHERE id "+in+where+lock+end+" RETURNING "+fields,
			append(slices.Clone(setArgs), args...)...)
		slices.SortFunc(got, func(a, b record) int {
			if c.Newest {
				a, b = b, a
			}
			if a.DueIn != b.DueIn {
				return int(max(min(a.DueIn-b.DueIn, 1), -1))
			}
			return int(max(min(a.ID-b.ID, 1), -1))
		})
		return got, err
	})
}

// claimLocking claims with locks, and skips what others have locked.
func (s *Store) claimLocking(db *gorm.DB, c async.Claim, from map[async.Priority]int64) (got []record, err error) {
	set, setArgs := take(c)
	err = s.inTx(db.Statement.Context, "claim", func(tx *gorm.DB) error {
		got, err = each(c, from, func(where string, args []any) (got []record, err error) {
			err = s.query(tx, &got, "SELECT "+fields+" FROM {table}"+s.dialect.byDue+" WHERE "+where+" FOR UPDATE SKIP LOCKED", args...)
			return got, err
		})
		if err != nil || len(got) == 0 {
			return err
		}
		ids := make([]int64, len(got))
		for i := range got {
			ids[i] = got[i].ID
			got[i].claimed(c)
		}
		_, err = s.exec(tx, "UPDATE {table} SET "+set+" WHERE id IN ?", append(setArgs, ids)...)
		return err
	})
	return got, err
}

// claimed is what the UPDATE makes of a row that was read before it.
func (r *record) claimed(c async.Claim) {
	r.Token++
	r.Owner = c.Owner
	if c.From == async.Unknown {
		r.State = int(async.Reconciling)
		r.Checks++
		return
	}
	r.State = int(async.Leased)
	r.Attempts++
}

// claimPlain claims row by row: what another has claimed in between has another
// token.
func (s *Store) claimPlain(db *gorm.DB, c async.Claim, from map[async.Priority]int64) ([]record, error) {
	set, setArgs := take(c)
	seen, err := each(c, from, func(where string, args []any) (got []record, err error) {
		err = s.query(db, &got, "SELECT "+fields+" FROM {table}"+s.dialect.byDue+" WHERE "+where, args...)
		return got, err
	})
	var got []record
	for _, r := range seen {
		var n int64
		n, err = s.exec(db, "UPDATE {table} SET "+set+" WHERE id = ? AND token = ? AND state = ?",
			append(slices.Clone(setArgs), r.ID, r.Token, c.From)...)
		if err != nil {
			break // the others' leases stand: hand out what there is
		}
		if n == 1 {
			r.claimed(c)
			got = append(got, r)
		}
	}
	if len(got) > 0 {
		return got, nil
	}
	return nil, err
}
