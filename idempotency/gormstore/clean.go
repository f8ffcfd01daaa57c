package gormstore

import (
	"context"
	"fmt"
	"time"
)

// Window returns for how long keys are remembered; 0 is for ever.
func (s *Store) Window() time.Duration { return s.cfg.Window }

// Covers tells whether a message that was first delivered at the given time is still
// remembered, going by this machine's clock: what is older than the window would be
// first again. Ask before you replay.
func (s *Store) Covers(at time.Time) bool {
	return s.cfg.Window == 0 || time.Since(at) < s.cfg.Window
}

// Run deletes keys that are older than the window, every [Config.CleanEvery], until ctx
// ends, and then returns nil. What fails is tried again next time; failed, if it is not
// nil, is told. Without a window there is nothing to do but wait.
func (s *Store) Run(ctx context.Context, failed func(error)) error {
	tick := time.NewTicker(s.cfg.CleanEvery)
	defer tick.Stop()
	for {
		if _, err := s.Clean(ctx); err != nil && ctx.Err() == nil && failed != nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Clean deletes the keys that are older than the window, and tells how many. Keys under
// a lease stay. It reads from the oldest key on, and stops where all are young enough.
func (s *Store) Clean(ctx context.Context) (int64, error) {
	if s.cfg.Window == 0 {
		return 0, nil
	}
	db, window := s.db.WithContext(ctx), s.cfg.Window.Microseconds()
	var deleted, after int64
	for {
		var oldest []struct {
			ID   int64 `gorm:"column:id"`
			Past bool  `gorm:"column:past"`
		}
		err := db.Raw(s.sql("SELECT id, stored_at < {now} - ? AS past FROM {table} WHERE id > ? ORDER BY id LIMIT ?"),
			window, after, s.cfg.CleanBatch).Scan(&oldest).Error
		if err != nil {
			return deleted, fmt.Errorf("gormstore: clean: %w", err)
		}
		n := len(oldest) // up to the last one that is past: what was taken over is younger than its id
		for n > 0 && !oldest[n-1].Past {
			n--
		}
		if n == 0 {
			return deleted, nil
		}
		done := db.Exec(s.sql("DELETE FROM {table} WHERE id > ? AND id <= ? AND stored_at < {now} - ? AND lease_until < {now}"),
			after, oldest[n-1].ID, window)
		if done.Error != nil {
			return deleted, fmt.Errorf("gormstore: clean: %w", done.Error)
		}
		deleted, after = deleted+done.RowsAffected, oldest[n-1].ID
		if len(oldest) < s.cfg.CleanBatch {
			return deleted, nil
		}
	}
}
