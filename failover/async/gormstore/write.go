package gormstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/failover/async"
)

// errSome tells that not all of a group could be changed together.
var errSome = errors.New("gormstore: some rows are not held")

// Write implements [async.Store]. Changes that are alike go in one statement; when
// one of these is refused, all go one by one.
func (s *Store) Write(ctx context.Context, changes []async.Change) ([]error, error) {
	answers := make([]error, len(changes))
	err := s.inTx(ctx, "write", func(tx *gorm.DB) error { return s.writeAlike(tx, changes) })
	if errors.Is(err, errSome) {
		err = s.inTx(ctx, "write", func(tx *gorm.DB) (err error) {
			for i, c := range changes {
				if answers[i], err = s.writeOne(tx, c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	return answers, nil
}

// writeAlike changes rows group by group.
func (s *Store) writeAlike(tx *gorm.DB, changes []async.Change) error {
	groups := make(map[async.Change][]async.Change)
	var order []async.Change
	for _, c := range changes {
		kind := c
		kind.ID, kind.Token = 0, 0
		if groups[kind] == nil {
			order = append(order, kind)
		}
		groups[kind] = append(groups[kind], c)
	}
	for _, kind := range order {
		group := groups[kind]
		ids, pairs, pairArgs := make([]int64, len(group)), make([]string, len(group)), []any{}
		for i, c := range group {
			ids[i], pairs[i] = c.ID, "(?, ?)"
			pairArgs = append(pairArgs, c.ID, c.Token)
		}
		list := strings.Join(pairs, ", ")
		if s.dialect.returning && !s.dialect.skipLocked {
			list = "VALUES " + list // SQLite's spelling
		}
		set, args := assign(kind)
		args = append(args, ids)
		args = append(args, pairArgs...)
		n, err := s.exec(tx, "UPDATE {table} SET "+set+" WHERE id IN ? AND (id, token) IN ("+list+") AND "+held(kind), append(args, kind.From)...)
		if err == nil && n != int64(len(group)) {
			err = errSome
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// held is the condition for a change, with From as its argument.
func held(c async.Change) string {
	if c.To == async.Submitted {
		return "state = ? AND lease_until >= {now} AND not_after > {now}"
	}
	return "state = ?"
}

// assign is what a change sets.
func assign(c async.Change) (string, []any) {
	set, args := "state = ?", []any{c.To}
	switch {
	case c.To.Final():
		set += ", ends = {now}"
	case (c.To == async.Queued || c.To == async.Unknown) && c.Delay < 0:
		set, args = set+", due = ?", append(args, never)
	case c.To == async.Queued || c.To == async.Unknown:
		set, args = set+", due = {now} + ?", append(args, c.Delay.Microseconds())
	}
	if c.GiveBack && c.From == async.Reconciling {
		set += ", checks = checks - 1"
	} else if c.GiveBack {
		set += ", attempts = attempts - 1"
	}
	if c.Note != "" {
		set, args = set+", last_error = ?", append(args, c.Note)
	}
	return set, args
}

func (s *Store) writeOne(tx *gorm.DB, c async.Change) (refused, err error) {
	set, args := assign(c)
	n, err := s.exec(tx, "UPDATE {table} SET "+set+" WHERE id = ? AND token = ? AND "+held(c), append(args, c.ID, c.Token, c.From)...)
	if err != nil || n == 1 {
		return nil, err
	}
	if c.To != async.Submitted {
		return async.ErrLost, nil
	}
	n, err = s.exec(tx, `UPDATE {table} SET state = ?, ends = {now}
		WHERE id = ? AND token = ? AND state = ? AND lease_until >= {now} AND not_after <= {now}`,
		async.Expired, c.ID, c.Token, c.From)
	if n == 1 {
		return async.ErrExpired, err
	}
	return async.ErrLost, err
}

// Renew implements [async.Store].
func (s *Store) Renew(ctx context.Context, lease time.Duration, list []async.Held) ([]bool, error) {
	ids := make([]int64, len(list))
	tokens := make(map[int64]int64, len(list))
	for i, h := range list {
		ids[i], tokens[h.ID] = h.ID, h.Token
	}
	kept := make([]bool, len(list))
	err := s.inTx(ctx, "renew", func(tx *gorm.DB) error {
		// Read and lock first: a lease of another's token must not be made longer.
		var there []struct{ ID, Token int64 }
		lock := " FOR UPDATE"
		if !s.dialect.skipLocked {
			lock = "" // SQLite's transactions are alone
		}
		if err := s.query(tx, &there, "SELECT id, token FROM {table} WHERE id IN ? AND state IN ? ORDER BY id"+lock, ids, leased); err != nil {
			return err
		}
		mine := make(map[int64]bool, len(there))
		var still []int64
		for _, r := range there {
			if tokens[r.ID] == r.Token {
				mine[r.ID] = true
				still = append(still, r.ID)
			}
		}
		for i, h := range list {
			kept[i] = mine[h.ID]
		}
		if len(still) == 0 {
			return nil
		}
		_, err := s.exec(tx, "UPDATE {table} SET lease_until = {now} + ? WHERE id IN ?", lease.Microseconds(), still)
		return err
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// leased are the states under lease.
var leased = []async.State{async.Leased, async.Submitted, async.Reconciling}

// abandoned is the note of a row whose worker was given up.
const abandoned = "lease ended without a result"

// Sweep implements [async.Store].
func (s *Store) Sweep(ctx context.Context, w async.Sweep) (swept async.Swept, err error) {
	err = errors.Join(s.release(ctx, w, &swept), s.expire(ctx, w, &swept), s.forget(ctx, w, &swept))
	return swept, err
}

// release takes rows from workers whose lease is over. Each gets another token.
func (s *Store) release(ctx context.Context, w async.Sweep, swept *async.Swept) error {
	var over []struct {
		ID, Token       int64
		State, Attempts int
	}
	return s.retry(ctx, "release", func(db *gorm.DB) error {
		over = over[:0]
		err := s.query(db, &over, "SELECT id, token, state, attempts FROM {table} WHERE queue = ? AND state IN ? AND lease_until < {now} LIMIT ?", w.Queue, leased, w.Most)
		if err != nil {
			return err
		}
		for _, r := range over {
			c, count := released(async.State(r.State), r.Attempts, w, swept)
			set, args := assign(c)
			n, err := s.exec(db, "UPDATE {table} SET token = token + 1, "+set+" WHERE id = ? AND token = ? AND state = ? AND lease_until < {now}",
				append(args, r.ID, r.Token, r.State)...)
			if err != nil {
				return err
			}
			*count += n
		}
		return nil
	})
}

// released is what becomes of a row whose lease is over, and what counts it.
func released(state async.State, attempts int, w async.Sweep, swept *async.Swept) (async.Change, *int64) {
	c := async.Change{From: state, To: async.Queued, Note: abandoned}
	again := state == async.Leased || state == async.Submitted && w.Resend
	switch {
	case again && attempts >= w.Tries:
		c.To = async.Dead
		return c, &swept.Dead
	case state == async.Leased:
		return c, &swept.Released
	case again:
		return c, &swept.Resent
	}
	c.To, c.Delay = async.Unknown, w.CheckAfter
	if state == async.Reconciling {
		return c, &swept.Released
	}
	return c, &swept.Unknown
}

// some runs a statement on up to most of the rows that a condition selects, by their
// IDs: long ranges are not locked, and databases agree on the spelling.
func (s *Store) some(ctx context.Context, what, statement, where string, most int, args ...any) (n int64, err error) {
	err = s.retry(ctx, what, func(db *gorm.DB) error {
		var ids []int64
		if err := s.query(db, &ids, "SELECT id FROM {table} WHERE "+where+" ORDER BY id LIMIT ?", append(args[:len(args):len(args)], most)...); err != nil || len(ids) == 0 {
			return err
		}
		n, err = s.exec(db, statement+" WHERE id IN ? AND "+where, append([]any{ids}, args...)...)
		return err
	})
	return n, err
}

func (s *Store) expire(ctx context.Context, w async.Sweep, swept *async.Swept) (err error) {
	swept.Expired, err = s.some(ctx, "expire", fmt.Sprintf("UPDATE {table} SET state = %d, ends = {now}", async.Expired),
		"queue = ? AND state = ? AND ends <= {now} AND "+ending, w.Most, w.Queue, async.Queued)
	return err
}

func (s *Store) forget(ctx context.Context, w async.Sweep, swept *async.Swept) (err error) {
	if w.Retain <= 0 {
		return nil
	}
	swept.Deleted, err = s.some(ctx, "forget", "DELETE FROM {table}",
		"queue = ? AND state IN ? AND ends < {now} - ? AND "+ending, w.Most,
		w.Queue, []async.State{async.Delivered, async.Expired}, w.Retain.Microseconds())
	return err
}
