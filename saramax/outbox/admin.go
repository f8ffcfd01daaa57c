package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"gorm.io/gorm"
)

// Admin looks at an outbox and at its dead events, for consoles and operators. Create
// it with [NewAdmin].
type Admin struct{ store *store }

// NewAdmin returns an Admin for the outbox of db.
func NewAdmin(db *gorm.DB) (*Admin, error) {
	s, err := newStore(db)
	if err != nil {
		return nil, err
	}
	return &Admin{store: s}, nil
}

// Stats are figures of an outbox.
type Stats struct {
	// Pending and Dead count events, up to a million each.
	Pending, Dead int64
	// Oldest is how long ago the event was stored that has been waiting longest.
	Oldest time.Duration
	// OldestSnapshot is for how long the oldest transaction of the server has been
	// open that may keep deleted rows from being removed. SnapshotKnown tells whether
	// the database lets us know: MySQL asks for the privilege PROCESS, PostgreSQL
	// shows those of other users to members of pg_read_all_stats, SQLite has none.
	OldestSnapshot time.Duration
	SnapshotKnown  bool
}

// Status is [Stats] and who does the work.
type Status struct {
	Stats
	// Buckets is how many buckets there are, Unowned how many of them nobody has.
	Buckets, Unowned int
	// Relays are the sessions of relays, also those that are over and not yet removed.
	Relays []RelayStatus
}

// RelayStatus is one session of a relay.
type RelayStatus struct {
	// Instance is what [WithInstance] says.
	Instance string
	// Age is how long the session has lasted, Lease how long it still does, negative
	// for one that is over.
	Age, Lease time.Duration
	// Buckets is how many buckets it has.
	Buckets int
}

// countMost bounds what is counted.
const countMost = 1_000_000

// Status reads the figures. Counting takes time in proportion to what it finds.
func (a *Admin) Status(ctx context.Context) (status Status, err error) {
	s := a.store
	err = s.retry(ctx, "status", func(db *gorm.DB) (err error) {
		status = Status{}
		if status.Stats, err = s.stats(db); err != nil {
			return err
		}
		if err := s.query(db, &status.Unowned, "SELECT COUNT(*) FROM {table}_buckets WHERE owner = 0"); err != nil {
			return err
		}
		if err := s.query(db, &status.Buckets, "SELECT COUNT(*) FROM {table}_buckets"); err != nil {
			return err
		}
		return s.each(db, func(rows *sql.Rows) error {
			var r RelayStatus
			var age, lease int64
			err := rows.Scan(&r.Instance, &age, &lease, &r.Buckets)
			r.Age, r.Lease = time.Duration(age)*time.Microsecond, time.Duration(lease)*time.Microsecond
			status.Relays = append(status.Relays, r)
			return err
		}, `SELECT name, {now} - since, lease_until - {now}, (SELECT COUNT(*) FROM {table}_buckets b WHERE b.owner = s.id)
			FROM {table}_sessions s ORDER BY since, id`)
	})
	return status, err
}

// stats reads what a relay shows, too.
func (s *store) stats(db *gorm.DB) (stats Stats, err error) {
	var oldest sql.NullInt64
	if err := s.query(db, &oldest, s.heads); err != nil {
		return stats, err
	}
	stats.Oldest = time.Duration(oldest.Int64) * time.Microsecond
	for _, count := range []struct {
		into  *int64
		table string
	}{{&stats.Pending, "{table}"}, {&stats.Dead, "{table}_dead"}} {
		if err := s.query(db, count.into, "SELECT COUNT(*) FROM (SELECT 1 AS one FROM "+count.table+" LIMIT ?) AS bounded", countMost); err != nil {
			return stats, err
		}
	}
	var seconds float64
	if s.snapshot != "" && s.query(db, &seconds, s.snapshot) == nil {
		stats.OldestSnapshot, stats.SnapshotKnown = time.Duration(seconds*float64(time.Second)), true
	}
	return stats, nil
}

// Filter selects dead events. Its zero value is all of them.
type Filter struct {
	// Topic and Key, Type, ID and Reason select by what they name; empty is any.
	Topic, Key, Type, ID string
	Reason               DeadReason
	// DiedBefore selects those that died at least so long ago.
	DiedBefore time.Duration
	// After selects those behind one, by its [DeadEvent.Number]: for paging.
	After int64
	// Limit bounds how many; 1000 by default.
	Limit int
}

// DeadEvent is an event that is no longer tried.
type DeadEvent struct {
	// Number is its place in the order of all events.
	Number int64
	// Message is the event, Attempts among it.
	Message
	// Reason and Error say why it is dead.
	Reason DeadReason
	Error  string
	// FirstFailed and Died are how long ago its first attempt failed, and its last.
	FirstFailed, Died time.Duration
}

func (f Filter) where() (string, []any, int) {
	text, args := "seq > ?", []any{f.After}
	for _, c := range []struct{ column, value string }{
		{"aggregatetype", f.Topic}, {"aggregateid", f.Key}, {"type", f.Type}, {"id", f.ID}, {"reason", string(f.Reason)},
	} {
		if c.value != "" {
			text, args = text+" AND "+c.column+" = ?", append(args, c.value)
		}
	}
	if f.DiedBefore > 0 {
		text, args = text+" AND died_at <= {now} - ?", append(args, f.DiedBefore.Microseconds())
	}
	if f.Limit <= 0 {
		f.Limit = 1000
	}
	return text, args, f.Limit
}

// Dead lists dead events in their order.
func (a *Admin) Dead(ctx context.Context, f Filter) (list []DeadEvent, err error) {
	where, args, most := f.where()
	err = a.store.retry(ctx, "list dead events", func(db *gorm.DB) error {
		list = nil
		return a.store.each(db, func(rows *sql.Rows) error {
			var e DeadEvent
			var headers []byte
			var age, first, died int64
			err := rows.Scan(&e.Number, &e.ID, &e.Topic, &e.Key, &e.Type, &e.Payload, &headers, &e.Attempts, &age, &first, &died, &e.Reason, &e.Error)
			if err != nil {
				return err
			}
			e.Age, e.FirstFailed, e.Died = time.Duration(age)*time.Microsecond, time.Duration(first)*time.Microsecond, time.Duration(died)*time.Microsecond
			list = append(list, e)
			return json.Unmarshal(headers, &list[len(list)-1].Headers)
		}, `SELECT seq, id, aggregatetype, aggregateid, type, payload, headers, attempts, {now} - created_at, {now} - first_failed_at, {now} - died_at, reason, last_error
			FROM {table}_dead WHERE `+where+" ORDER BY seq LIMIT ?", append(args, most)...)
	})
	return list, err
}

// Requeue gives dead events all their attempts again, in their old places: before those
// that waited for them. It returns how many. Relays notice within seconds.
func (a *Admin) Requeue(ctx context.Context, f Filter) (int64, error) {
	return a.move(ctx, "requeue", f, `INSERT INTO {table} (`+eventColumns+`)
		SELECT bucket, seq, aggregate_hash, id, aggregatetype, aggregateid, type, payload, headers, created_at, 0, 0, ''
		FROM {table}_dead WHERE `)
}

// Purge deletes dead events, and returns how many. Those that waited for them go on.
func (a *Admin) Purge(ctx context.Context, f Filter) (int64, error) {
	return a.move(ctx, "purge", f, "")
}

// move removes dead events, and does before with them.
func (a *Admin) move(ctx context.Context, what string, f Filter, before string) (n int64, err error) {
	s := a.store
	where, args, most := f.where()
	err = s.inTx(ctx, what, func(tx *gorm.DB) error {
		n = 0
		var seqs []int64
		if err := s.query(tx, &seqs, "SELECT seq FROM {table}_dead WHERE "+where+" ORDER BY seq LIMIT ?"+s.lock, append(args[:len(args):len(args)], most)...); err != nil || len(seqs) == 0 {
			return err
		}
		in, inArgs := oneOf(s.dialect, "seq", false, seqs)
		if before != "" {
			if err := s.exec(tx, nil, before+in, inArgs...); err != nil {
				return err
			}
		}
		return s.exec(tx, &n, "DELETE FROM {table}_dead WHERE "+in, inArgs...)
	})
	return n, err
}
