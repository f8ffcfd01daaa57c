package outbox

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gorm.io/gorm"
)

// A session is one run of a relay, known to the others by a row with a lease. Its id
// is drawn by chance, so that it is never used twice: it is the token that every write
// is fenced with. A session that was removed cannot come back.

// begin stores a new session.
func (s *store) begin(ctx context.Context, name string, lease time.Duration) (int64, error) {
	id := rand.Int64() | 1 // never 0, which is nobody
	err := s.retry(ctx, "begin session", func(db *gorm.DB) error {
		return s.exec(db, nil, "INSERT INTO {table}_sessions (id, name, since, lease_until) VALUES (?, ?, {now}, {now} + ?)", id, name, lease.Microseconds())
	})
	return id, err
}

// renew makes the lease longer. It answers [ErrLeaseLost] for a session that is over,
// also where nobody has noticed yet.
func (s *store) renew(ctx context.Context, session int64, lease time.Duration) error {
	var n int64
	err := s.retry(ctx, "renew", func(db *gorm.DB) error {
		n = 0
		return s.exec(db, &n, "UPDATE {table}_sessions SET lease_until = {now} + ? WHERE id = ? AND lease_until > {now}", lease.Microseconds(), session)
	})
	if err == nil && n == 0 {
		return ErrLeaseLost
	}
	return err
}

// end gives everything back.
func (s *store) end(ctx context.Context, session int64) error {
	return s.inTx(ctx, "end session", func(tx *gorm.DB) error {
		if err := s.exec(tx, nil, "DELETE FROM {table}_sessions WHERE id = ?", session); err != nil {
			return err
		}
		if err := s.exec(tx, nil, "UPDATE {table}_buckets SET owner = 0 WHERE owner = ?", session); err != nil {
			return err
		}
		return s.exec(tx, nil, "DELETE FROM {table}_claims WHERE session = ?", session)
	})
}

// hold locks the session, so that nobody takes what it has while the transaction
// lasts, and fails with [ErrLeaseLost] when it is over.
func (s *store) hold(tx *gorm.DB, session int64) error {
	var there []int64
	if err := s.query(tx, &there, "SELECT id FROM {table}_sessions WHERE id = ? AND lease_until > {now}"+s.lock, session); err != nil {
		return err
	}
	if len(there) == 0 {
		return ErrLeaseLost
	}
	return nil
}

// membership is what a session has to do with the others.
type membership struct {
	owned    []int
	dead     []heldUp      // those with dead events in the buckets that are owned
	sessions int           // that live
	next     time.Duration // when the first of the other sessions is over, unless it renews
	reaped   int           // sessions that were over
}

// heldUp is an aggregate with a dead event.
type heldUp struct {
	Bucket    int
	Aggregate int64
}

// share removes sessions that are over, and evens out who owns which bucket: it takes
// what is nobody's, and of those that are not busy gives back what is more than its
// share.
func (s *store) share(ctx context.Context, session int64, busy func(bucket int) bool) (m membership, err error) {
	err = s.inTx(ctx, "share buckets", func(tx *gorm.DB) error {
		m = membership{}
		over, err := s.sessions(tx, session, &m)
		if err != nil {
			return err
		}
		for _, id := range over {
			if err := s.reap(tx, id); err != nil {
				return err
			}
		}
		if err := s.balance(tx, session, busy, &m); err != nil {
			return err
		}
		return s.query(tx, &m.dead, "SELECT DISTINCT bucket, aggregate_hash AS aggregate FROM {table}_dead WHERE bucket IN (SELECT bucket FROM {table}_buckets WHERE owner = ?)", session)
	})
	return m, err
}

// sessions locks its own session and those that are over, which it returns, and counts
// the others.
func (s *store) sessions(tx *gorm.DB, own int64, m *membership) (over []int64, err error) {
	var all []struct{ ID, Remaining int64 }
	if err := s.query(tx, &all, "SELECT id, lease_until - {now} AS remaining FROM {table}_sessions WHERE id = ? OR lease_until <= {now} ORDER BY id"+s.lock, own); err != nil {
		return nil, err
	}
	alive := false
	for _, r := range all {
		switch {
		case r.Remaining <= 0 && r.ID != own:
			over = append(over, r.ID)
		case r.ID == own && r.Remaining > 0:
			alive = true
		}
	}
	if !alive {
		return nil, ErrLeaseLost
	}
	var others []int64
	if err := s.query(tx, &others, "SELECT lease_until - {now} FROM {table}_sessions WHERE id <> ? AND lease_until > {now}", own); err != nil {
		return nil, err
	}
	m.sessions, m.reaped = len(others)+1, len(over)
	if len(others) > 0 {
		m.next = time.Duration(slices.Min(others)) * time.Microsecond
	}
	return over, nil
}

// relayDied is the error of an attempt that the relay did not survive.
const relayDied = "the relay ended before the outcome was known"

// reap removes a session that is over. What it had claimed counts as attempted: a row
// that kills relays must not do so for ever.
func (s *store) reap(tx *gorm.DB, session int64) error {
	var claims [][]byte
	if err := s.each(tx, func(rows *sql.Rows) error {
		var c []byte
		err := rows.Scan(&c)
		claims = append(claims, c)
		return err
	}, "SELECT claimed FROM {table}_claims WHERE session = ? ORDER BY number", session); err != nil {
		return err
	}
	for _, c := range claims {
		refs, err := decodeRefs(c)
		if err != nil {
			return err
		}
		if err := s.attempted(tx, refs, relayDied); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		"DELETE FROM {table}_claims WHERE session = ?",
		"UPDATE {table}_buckets SET owner = 0 WHERE owner = ?",
		"DELETE FROM {table}_sessions WHERE id = ?",
	} {
		if err := s.exec(tx, nil, statement, session); err != nil {
			return err
		}
	}
	return nil
}

// balance takes and gives back buckets.
func (s *store) balance(tx *gorm.DB, session int64, busy func(int) bool, m *membership) error {
	var free []int
	if err := s.query(tx, &m.owned, "SELECT bucket FROM {table}_buckets WHERE owner = ?", session); err != nil {
		return err
	}
	if err := s.query(tx, &free, "SELECT bucket FROM {table}_buckets WHERE owner = 0"); err != nil {
		return err
	}
	share := (s.settings.Buckets + m.sessions - 1) / m.sessions
	var from, to int64
	var change []int
	switch {
	case len(m.owned) < share && len(free) > 0:
		// By chance, so that relays that start together do not want the same ones.
		rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
		change, from, to = free[:min(share-len(m.owned), len(free))], 0, session
	case len(m.owned) > share:
		for _, b := range m.owned {
			if !busy(b) && len(change) < len(m.owned)-share {
				change = append(change, b)
			}
		}
		from, to = session, 0
	}
	if len(change) == 0 {
		return nil
	}
	slices.Sort(change) // locks are taken in one order
	in, args := oneOf(s.dialect, "bucket", false, change)
	if err := s.exec(tx, nil, "UPDATE {table}_buckets SET owner = ? WHERE owner = ? AND "+in, append([]any{to, from}, args...)...); err != nil {
		return err
	}
	m.owned = nil
	return s.query(tx, &m.owned, "SELECT bucket FROM {table}_buckets WHERE owner = ?", session)
}

// encodeRefs writes rows in a few bytes each: the bucket, and how far it is from the
// row before.
func encodeRefs(refs []rowRef) []byte {
	b := binary.AppendUvarint(nil, uint64(len(refs)))
	last := int64(0)
	for _, r := range refs {
		b = binary.AppendUvarint(b, uint64(r.bucket))
		b = binary.AppendVarint(b, r.seq-last)
		last = r.seq
	}
	return b
}

var errClaim = errors.New("outbox: a claim of another session cannot be read")

// decodeRefs reads what encodeRefs wrote.
func decodeRefs(b []byte) ([]rowRef, error) {
	count, n := binary.Uvarint(b)
	// No row takes less than two bytes: a damaged count must not ask for memory.
	if n <= 0 || count > uint64(len(b)) {
		return nil, fmt.Errorf("%w: its count", errClaim)
	}
	b = b[n:]
	refs := make([]rowRef, 0, count)
	last := int64(0)
	for range count {
		bucket, n := binary.Uvarint(b)
		if n <= 0 || bucket >= maxBuckets {
			return nil, fmt.Errorf("%w: a bucket", errClaim)
		}
		b = b[n:]
		delta, n := binary.Varint(b)
		if n <= 0 {
			return nil, fmt.Errorf("%w: a row", errClaim)
		}
		b, last = b[n:], last+delta
		refs = append(refs, rowRef{int(bucket), last})
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", errClaim, len(b))
	}
	return refs, nil
}
