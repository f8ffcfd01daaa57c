package gormstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/failover/async"
)

// maxBytes is about how much of payload goes into one statement; databases bound
// their packets.
const maxBytes = 1 << 20

// Put implements [async.Store]. All entries go in one statement; only where one of
// them is a duplicate, or cannot be stored, they go one by one.
func (s *Store) Put(ctx context.Context, entries []async.Entry) ([]async.Stored, error) {
	if err := reserved(entries); err != nil {
		return nil, err
	}
	answers := make([]async.Stored, 0, len(entries))
	for len(entries) > 0 {
		n, size := 0, 0
		for n < len(entries) && (n == 0 || size < maxBytes) {
			size += len(entries[n].Payload)
			n++
		}
		stored, err := s.put(ctx, entries[:n])
		if err != nil {
			return nil, fmt.Errorf("gormstore: put: %w", err)
		}
		answers, entries = append(answers, stored...), entries[n:]
	}
	return answers, nil
}

func (s *Store) put(ctx context.Context, entries []async.Entry) ([]async.Stored, error) {
	answers := make([]async.Stored, len(entries))
	for i, e := range entries {
		answers[i].State = e.State
	}
	db := s.db.WithContext(ctx)
	whole := s.insert(db, entries)
	if whole == nil {
		return answers, nil
	}
	for i, e := range entries {
		stored, found, err := s.find(db, e)
		if err != nil {
			return nil, err // the database, not an entry
		}
		if !found {
			if err = s.insert(db, entries[i:i+1]); err != nil {
				// Somebody may have been faster.
				if stored, found, _ = s.find(db, e); !found {
					return nil, err
				}
			}
		}
		if found {
			answers[i] = stored
		}
	}
	return answers, nil
}

func (s *Store) find(db *gorm.DB, e async.Entry) (async.Stored, bool, error) {
	var states []int
	err := s.query(db, &states, "SELECT state FROM {table} WHERE queue = ? AND req_key = ?", e.Queue, e.Key)
	if err != nil || len(states) == 0 {
		return async.Stored{}, false, err
	}
	return async.Stored{Duplicate: true, State: async.State(states[0])}, true, nil
}

func (s *Store) insert(db *gorm.DB, entries []async.Entry) error {
	rows := make([]string, len(entries))
	var args []any
	for i, e := range entries {
		carried, err := json.Marshal(e.Carried)
		if err != nil {
			return err
		}
		due, notAfter := "{now} + ?", "{now} + ?"
		dueArg, notAfterArg := e.Delay.Microseconds(), e.NotAfter.Microseconds()
		if e.Delay < 0 {
			due, dueArg = "?", never
		}
		if e.NotAfter == 0 {
			notAfter, notAfterArg = "?", never
		}
		rows[i] = "(?, ?, ?, ?, " + due + ", " + notAfter + ", " + notAfter + ", {now}, 0, 0, 0, 0, '', ?, ?, ?, ?)"
		args = append(args, e.Queue, e.Key, e.Priority, e.State, dueArg, notAfterArg, notAfterArg,
			string(e.Reason), e.Note, carried, blob(e.Payload))
	}
	_, err := s.exec(db, "INSERT INTO {table} ("+columnNames+") VALUES "+strings.Join(rows, ", "), args...)
	return err
}

// columnNames are those of a new row.
const columnNames = `queue, req_key, priority, state, due, not_after, ends, stored_at,
	lease_until, token, attempts, checks, owner, reason, last_error, carried, payload`

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// record is a row as it is read.
type record struct {
	ID, Token            int64
	Queue, ReqKey        string
	Priority, State      int
	Payload, Carried     []byte
	Reason, LastError    string
	Attempts, Checks     int
	Due                  int64
	Age, DueIn, ValidFor int64
	Owner                string
}

// fields are those of a record.
const fields = `id, token, queue, req_key, priority, state, due, payload, carried, reason, last_error, attempts, checks, owner,
	{now} - stored_at AS age, due - {now} AS due_in, CASE WHEN not_after = 4611686018427387904 THEN 0 ELSE not_after - {now} END AS valid_for`

func (r record) row() (async.Row, error) {
	row := async.Row{
		ID: r.ID, Token: r.Token, Queue: r.Queue, Key: r.ReqKey,
		Priority: async.Priority(r.Priority), State: async.State(r.State), Payload: r.Payload,
		Reason: async.Reason(r.Reason), LastError: r.LastError, Attempts: r.Attempts, Checks: r.Checks, Owner: r.Owner,
		Age: micros(r.Age), Due: micros(r.DueIn), Left: micros(r.ValidFor),
	}
	if len(r.Carried) > 0 {
		if err := json.Unmarshal(r.Carried, &row.Carried); err != nil {
			return row, fmt.Errorf("gormstore: row %d: %w", r.ID, err)
		}
	}
	return row, nil
}

// micros is n microseconds, at most a year either way: never is beyond a Duration.
func micros(n int64) time.Duration {
	const year = 365 * 24 * time.Hour
	return time.Duration(max(min(n, year.Microseconds()), -year.Microseconds())) * time.Microsecond
}

func rows(records []record) ([]async.Row, error) {
	answers := make([]async.Row, len(records))
	for i, r := range records {
		row, err := r.row()
		if err != nil {
			return nil, err
		}
		answers[i] = row
	}
	return answers, nil
}
