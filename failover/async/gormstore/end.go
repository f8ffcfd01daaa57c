package gormstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/failover/async"
)

// On MySQL and MariaDB a range of an index ends for InnoDB where the next row that is
// alive begins. Where a transaction holds an old snapshot, the entries of all that was
// claimed since stay behind, dead, so that a claim of a priority that has no due row,
// whose range is empty, would step over every one of them. So each range that claims
// read has a row of ours at its end, later than any time. Nobody is shown it.

// lastTime is the due time of these rows.
const lastTime = int64(1<<63 - 1)

// endKey begins their keys.
const endKey = "\x00end of "

// errReserved refuses a key that might be one of theirs.
var errReserved = errors.New("gormstore: keys that begin with \\x00end of are the store's own")

// theirs is the condition that leaves ours out.
func (s *Store) theirs() string {
	if !s.dialect.ends {
		return ""
	}
	return fmt.Sprintf(" AND due < %d", lastTime)
}

// endRanges makes the rows at the ends of a queue's ranges, once for each Store.
func (s *Store) endRanges(ctx context.Context, queue string) error {
	if _, done := s.ended.Load(queue); done || !s.dialect.ends {
		return nil
	}
	var rows []string
	var args []any
	for _, state := range []async.State{async.Queued, async.Unknown} {
		for _, p := range async.Priorities() {
			rows = append(rows, "(?, ?, ?, ?, ?, ?, ?, {now}, 0, 0, 0, 0, '', '', '', '', '')")
			args = append(args, queue, fmt.Sprintf("%s%v %d", endKey, state, p), p, state, lastTime, never, never)
		}
	}
	err := s.retry(ctx, "claim", func(db *gorm.DB) error {
		_, err := s.exec(db, "INSERT IGNORE INTO {table} ("+columnNames+") VALUES "+strings.Join(rows, ", "), args...)
		return err
	})
	if err == nil {
		s.ended.Store(queue, true)
	}
	return err
}

func reserved(entries []async.Entry) error {
	for _, e := range entries {
		if strings.HasPrefix(e.Key, endKey) {
			return errReserved
		}
	}
	return nil
}
