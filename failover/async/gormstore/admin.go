package gormstore

import (
	"context"
	"strings"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/failover/async"
)

// Stats implements [async.Store].
func (s *Store) Stats(ctx context.Context, queue string, most int64) (stats async.Stats, err error) {
	var counts []string
	var args []any
	for _, state := range async.States() {
		counts = append(counts, "SELECT ? AS state, COUNT(*) AS n FROM (SELECT 1 FROM {table} WHERE queue = ? AND state = ?"+s.theirs()+" LIMIT ?) AS bounded")
		args = append(args, int(state), queue, state, most)
	}
	var depth []struct {
		State int
		N     int64
	}
	err = s.retry(ctx, "stats", func(db *gorm.DB) error {
		if err := s.query(db, &depth, strings.ReplaceAll(strings.Join(counts, " UNION ALL "), "? AS state", "CAST(? AS "+s.dialect.integer()+") AS state"), args...); err != nil {
			return err
		}
		for _, d := range depth {
			stats.Depth[d.State] = d.N
		}
		for _, p := range async.Priorities() {
			var overdue []int64
			if err := s.query(db, &overdue, "SELECT {now} - due FROM {table} WHERE queue = ? AND state = ? AND priority = ? ORDER BY due LIMIT 1", queue, async.Queued, p); err != nil {
				return err
			}
			if len(overdue) > 0 {
				stats.Oldest = max(stats.Oldest, micros(overdue[0]))
			}
		}
		var paused int64
		err := s.query(db, &paused, "SELECT COUNT(*) FROM {pauses} WHERE queue = ?", queue)
		stats.Paused = paused > 0
		return err
	})
	return stats, err
}

// integer is what to cast to.
func (d dialect) integer() string {
	if d.readCommitted {
		return "SIGNED"
	}
	return "INTEGER"
}

// where is the condition of a filter.
func (s *Store) where(f async.Filter) (string, []any, int) {
	text, args := "queue = ? AND id > ?"+s.theirs(), []any{f.Queue, f.After}
	if len(f.States) > 0 {
		text, args = text+" AND state IN ?", append(args, f.States)
	}
	if len(f.Keys) > 0 {
		text, args = text+" AND req_key IN ?", append(args, f.Keys)
	}
	most := f.Most
	if most == 0 {
		most = async.DefaultMost
	}
	return text, args, most
}

// List implements [async.Store].
func (s *Store) List(ctx context.Context, f async.Filter) ([]async.Row, error) {
	text, args, most := s.where(f)
	var records []record
	err := s.retry(ctx, "list", func(db *gorm.DB) error {
		records = records[:0]
		return s.query(db, &records, "SELECT "+fields+" FROM {table} WHERE "+text+" ORDER BY id LIMIT ?", append(args[:len(args):len(args)], most)...)
	})
	if err != nil {
		return nil, err
	}
	return rows(records)
}

// Requeue implements [async.Store].
func (s *Store) Requeue(ctx context.Context, f async.Filter) (int64, error) {
	text, args, most := s.where(f)
	// MySQL assigns from left to right: state last.
	return s.some(ctx, "requeue", `UPDATE {table} SET not_after = CASE WHEN state = 7 THEN 4611686018427387904 ELSE not_after END,
		ends = CASE WHEN state = 7 THEN 4611686018427387904 ELSE not_after END,
		due = {now}, attempts = 0, checks = 0, token = token + 1, state = 0`,
		text+" AND state NOT IN ?", most, append(args, leased)...)
}

// Purge implements [async.Store].
func (s *Store) Purge(ctx context.Context, f async.Filter) (int64, error) {
	text, args, most := s.where(f)
	return s.some(ctx, "purge", "DELETE FROM {table}", text+" AND state NOT IN ?", most, append(args, leased)...)
}
