package gormstore

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// perStatement bounds the rows of a statement; SQLite takes 32766 parameters.
const perStatement = 1000

// rounds is how often keys are inserted that could not be and then were not there
// either: another transaction rolled back, or the window's end came between.
const rounds = 5

// terms are how keys are decided on.
type terms struct {
	// answers are read with the rows that are there.
	answers bool
	// lease, when it is not 0, is how long the keys that are first are in progress.
	lease time.Duration
}

// token and until are SQL for a key that is first.
func (t terms) token() (token, until string) {
	if t.lease == 0 {
		return "0", "0"
	}
	return "{now}", fmt.Sprintf("{now} + %d", t.lease.Microseconds())
}

// decide inserts each pending key, or finds the row that is there. tx is a transaction.
func (s *Store) decide(tx *gorm.DB, entries []entry, t terms) error {
	var refused error
	for range rounds {
		var err error
		if refused, err = s.insert(tx, entries, t); err != nil {
			return err
		}
		if settled(entries) {
			return nil
		}
		if err := s.find(tx, entries, view{answers: t.answers, current: true}); err != nil {
			return err
		}
		if err := s.takeOver(tx, entries, t); err != nil {
			return err
		}
		if settled(entries) {
			return nil
		}
	}
	// A duplicate of something else than a key: an index that someone added.
	return fmt.Errorf("gormstore: insert: %w", errors.Join(errNoRow, refused))
}

var errNoRow = errors.New("a key was refused as a duplicate and is not there")

// insert adds what is pending. refused is the error of a database that takes all keys
// of a statement or none.
func (s *Store) insert(tx *gorm.DB, entries []entry, t terms) (refused, err error) {
	for left := range chunks(entries) {
		text, args := s.insertion(left, t)
		switch {
		case s.dialect.onConflict == "":
			if refused = s.insertAll(tx, left, text); refused != nil && !duplicate(refused) {
				refused, err = nil, refused
			}
		case len(left) == 1:
			done := tx.Exec(text, args...)
			if err = done.Error; done.RowsAffected == 1 {
				left[0].state = inserted
			}
		default:
			err = s.insertNew(tx, left, text+" RETURNING scope, msg_key", args)
		}
		if err != nil {
			return nil, fmt.Errorf("gormstore: insert: %w", err)
		}
	}
	return refused, nil
}

// insertion is the statement that inserts keys. Where the driver would take a round trip
// more for a statement with arguments, it has none, and all texts in it are hexadecimal.
func (s *Store) insertion(left []*entry, t terms) (text string, args []any) {
	token, until := t.token()
	values := ", {now}, " + token + ", " + until + ")"
	var b strings.Builder
	b.WriteString("INSERT INTO {table} (scope, msg_key, digest, stored_at, token, lease_until) VALUES ")
	for i, e := range left {
		if i > 0 {
			b.WriteString(", ")
		}
		if s.dialect.onConflict == "" {
			fmt.Fprintf(&b, "(x'%x', x'%x', x'%x'%s", e.scope, e.key, e.digests[0], values)
		} else {
			b.WriteString("(?, ?, ?" + values)
			args = append(args, e.scope, e.key, e.digests[0][:])
		}
	}
	return s.sql(b.String() + s.dialect.onConflict), args
}

// insertNew runs an INSERT that leaves existing keys alone.
func (s *Store) insertNew(tx *gorm.DB, left []*entry, text string, args []any) error {
	var added []row
	if err := tx.Raw(text, args...).Scan(&added).Error; err != nil {
		return err
	}
	names := make(map[name]bool, len(added))
	for _, r := range added {
		names[name{r.Scope, r.Key}] = true
	}
	for _, e := range left {
		if names[e.name] {
			e.state = inserted
		}
	}
	return nil
}

// insertAll runs an INSERT that fails as a whole.
func (s *Store) insertAll(tx *gorm.DB, left []*entry, text string) error {
	// A duplicate is an answer, and nothing for the log.
	err := tx.Session(&gorm.Session{Logger: logger.Discard}).Exec(text).Error
	if err == nil {
		for _, e := range left {
			e.state = inserted
		}
	}
	return err
}

// duplicate tells that a unique index refused a row. Which one, the table tells: the
// name in the text depends on the server's version and language.
func duplicate(err error) bool {
	return errors.Is(err, gorm.ErrDuplicatedKey) || strings.Contains(err.Error(), "Error 1062")
}

// view is how the table is read.
type view struct {
	answers  bool // and the stored answers
	current  bool // what is committed now, whatever the transaction's snapshot
	doneOnly bool // nothing that is in progress
}

// find looks for what is pending.
func (s *Store) find(db *gorm.DB, entries []entry, v view) error {
	columns := "id, scope, msg_key, digest, token, lease_until, CASE WHEN lease_until = 0 THEN 0 ELSE lease_until - {now} END AS remaining"
	if v.answers {
		columns += ", answer"
	}
	where, share := "scope = ? AND msg_key IN ?", ""
	if v.doneOnly {
		where += " AND lease_until = 0"
	}
	if v.current {
		share = s.dialect.share
	}
	text := s.sql("SELECT " + columns + " FROM {table} WHERE " + where + share)
	for left := range chunks(entries) {
		for scope, keys := range byScope(left) {
			var rows []row
			if err := db.Raw(text, scope, keys).Scan(&rows).Error; err != nil {
				return fmt.Errorf("gormstore: find: %w", err)
			}
			match(left, rows)
		}
	}
	return nil
}

func match(left []*entry, rows []row) {
	names := make(map[name]*row, len(rows))
	for i := range rows {
		names[name{rows[i].Scope, rows[i].Key}] = &rows[i]
	}
	for _, e := range left {
		if r := names[e.name]; r != nil {
			e.state, e.row = found, *r
		}
	}
}

// chunks yields the pending entries, as many at a time as a statement may have.
func chunks(entries []entry) func(yield func([]*entry) bool) {
	return func(yield func([]*entry) bool) {
		var left []*entry
		for i := range entries {
			if entries[i].state == pending {
				left = append(left, &entries[i])
			}
			if len(left) > 0 && (len(left) == perStatement || i == len(entries)-1) {
				if !yield(left) {
					return
				}
				left = nil
			}
		}
	}
}

func byScope(left []*entry) map[string][]string {
	keys := map[string][]string{}
	for _, e := range left {
		keys[e.scope] = append(keys[e.scope], e.key)
	}
	return keys
}
