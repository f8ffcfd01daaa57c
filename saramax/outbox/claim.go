package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
)

// found is what a claim read.
type found struct {
	messages []Message // in the order of the scan's buckets, and within each by number
	free     int       // buckets that are nobody's
	sessions int       // sessions, and how many of them are over
	over     int
}

// read reads rows, and what there is of sessions.
func (s *store) read(ctx context.Context, what scan) (f found, err error) {
	place := make(map[int]int, len(what.buckets))
	for i, b := range what.buckets {
		place[b] = i
	}
	text, args := s.claim(what)
	err = s.retry(ctx, "claim", func(db *gorm.DB) error {
		f = found{}
		return s.each(db, func(rows *sql.Rows) error {
			var m Message
			var headers []byte
			var age int64
			if err := rows.Scan(&m.bucket, &m.seq, &m.aggregate, &m.ID, &m.Topic, &m.Key, &m.Type, &m.Payload, &headers, &m.Attempts, &age); err != nil {
				return err
			}
			if m.bucket < 0 {
				f.free, f.sessions, f.over = int(m.seq), int(m.aggregate), int(age)
				return nil
			}
			m.Age = max(0, time.Duration(age)*time.Microsecond) // the statement may be older than the row
			if err := json.Unmarshal(headers, &m.Headers); err != nil {
				return fmt.Errorf("headers of event %s: %w", m.ID, err)
			}
			f.messages = append(f.messages, m)
			return nil
		}, text, args...)
	})
	slices.SortFunc(f.messages, func(a, b Message) int {
		if a.bucket != b.bucket {
			return place[a.bucket] - place[b.bucket]
		}
		return int(max(min(a.seq-b.seq, 1), -1))
	})
	return f, err
}

// announce writes down what a session is about to publish, and is refused when its
// lease is over.
func (s *store) announce(ctx context.Context, session, number int64, refs []rowRef) error {
	var n int64
	err := s.retry(ctx, "claim", func(db *gorm.DB) error {
		n = 0
		return s.exec(db, &n, `INSERT INTO {table}_claims (session, number, claimed)
			SELECT id, {number}, {bytes} FROM {table}_sessions WHERE id = ? AND lease_until > {now}`, number, encodeRefs(refs), session)
	})
	if err == nil && n == 0 {
		return ErrLeaseLost
	}
	return err
}

// DeadReason says why an event is dead.
type DeadReason string

// The reasons.
const (
	// ReasonAttempts: [Config.MaxAttempts] attempts failed.
	ReasonAttempts DeadReason = "attempts"
	// ReasonRefused: the publisher wrapped [ErrRefused].
	ReasonRefused DeadReason = "refused"
)

// verdict is what became of a message.
type verdict uint8

const (
	untried verdict = iota // not sent: an earlier one of its aggregate failed, or time ran out
	sent
	failed // and it counts
	unavailable
	dead
)

// outcome is a verdict with its error, and the reason for dead ones.
type outcome struct {
	verdict verdict
	err     error
	reason  DeadReason
}

// maxError is how much of an error's text is kept, in bytes.
const maxError = 1000

// settle ends a claim: what was sent is deleted, what failed is counted, what is dead
// moved, all in one transaction that holds the session. It returns how many rows
// were not where they should be.
func (s *store) settle(ctx context.Context, session, number int64, messages []Message, outcomes []outcome) (missing int64, err error) {
	var done []rowRef
	failures, deaths := make(map[string][]rowRef), make(map[DeadReason]map[string][]rowRef)
	for i, m := range messages {
		ref := rowRef{m.bucket, m.seq}
		switch o := outcomes[i]; o.verdict {
		case sent:
			done = append(done, ref)
		case failed:
			failures[errorText(o.err)] = append(failures[errorText(o.err)], ref)
		case dead:
			if deaths[o.reason] == nil {
				deaths[o.reason] = make(map[string][]rowRef)
			}
			deaths[o.reason][errorText(o.err)] = append(deaths[o.reason][errorText(o.err)], ref)
		}
	}
	err = s.inTx(ctx, "settle", func(tx *gorm.DB) error {
		if err := s.hold(tx, session); err != nil {
			return err
		}
		deleted, err := s.delete(tx, done)
		if err != nil {
			return err
		}
		missing = int64(len(done)) - deleted
		for text, refs := range failures {
			if err := s.attempted(tx, refs, text); err != nil {
				return err
			}
		}
		for reason, texts := range deaths {
			for text, refs := range texts {
				if err := s.bury(tx, refs, reason, text); err != nil {
					return err
				}
			}
		}
		return s.exec(tx, nil, "DELETE FROM {table}_claims WHERE session = ? AND number = ?", session, number)
	})
	return missing, err
}

func (s *store) delete(tx *gorm.DB, refs []rowRef) (n int64, err error) {
	if len(refs) == 0 {
		return 0, nil
	}
	where, args := s.rows(refs)
	err = s.exec(tx, &n, "DELETE FROM {table} WHERE "+where, args...)
	return n, err
}

// attempted counts an attempt that did not succeed.
func (s *store) attempted(tx *gorm.DB, refs []rowRef, text string) error {
	if len(refs) == 0 {
		return nil
	}
	where, args := s.rows(refs)
	return s.exec(tx, nil, `UPDATE {table} SET attempts = attempts + 1, last_error = ?,
		first_failed_at = CASE WHEN first_failed_at = 0 THEN {now} ELSE first_failed_at END WHERE `+where, append([]any{text}, args...)...)
}

// bury moves rows to the table of dead ones. An empty text keeps the last error.
func (s *store) bury(tx *gorm.DB, refs []rowRef, reason DeadReason, text string) error {
	counted := 1
	if text == "" {
		counted = 0
	}
	where, args := s.rows(refs)
	err := s.exec(tx, nil, `INSERT INTO {table}_dead (`+eventColumns+`, reason, died_at)
		SELECT bucket, seq, aggregate_hash, id, aggregatetype, aggregateid, type, payload, headers, created_at, attempts + ?,
			CASE WHEN first_failed_at = 0 THEN {now} ELSE first_failed_at END,
			CASE WHEN ? = 0 THEN last_error ELSE ? END, ?, {now}
		FROM {table} WHERE `+where, append([]any{counted, counted, text, string(reason)}, args...)...)
	if err != nil {
		return err
	}
	_, err = s.delete(tx, refs)
	return err
}

// errorText is what is kept of an error: valid UTF-8 without NUL, as databases want
// it, and not too long.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return printable(err.Error(), maxError)
}
