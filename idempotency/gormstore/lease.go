package gormstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
)

// Lease is the right to work on a key whose effect no transaction can hold. It ends by
// itself, by the database's clock, and then someone else may take over. Its methods are
// safe for concurrent use.
type Lease struct {
	store     *Store
	id, token int64
	key       idempotency.Key
}

// shortest is the shortest lease.
const shortest = 100 * time.Millisecond

// Lease gives the caller the key for d, at least 100 ms, if it is first or if the last
// one's lease has ended; the Kind is then First. Otherwise the Lease is nil, and the
// Decision tells of a repeat and its answer, or comes with an
// [*idempotency.InProgressError] or [*idempotency.ConflictError].
//
// A lease that has ended leaves open whether its effect happened. Who takes over does
// it again: the other side must know the key, or [Lease.Token], to refuse that.
func (s *Store) Lease(ctx context.Context, key idempotency.Key, payload []byte, d time.Duration) (*Lease, idempotency.Decision, error) {
	if d < shortest {
		return nil, idempotency.Decision{}, violation("lease", d, "at least 100ms")
	}
	batch := []idempotency.Delivery{{Key: key, Payload: payload}}
	entries, err := entriesOf(batch)
	if err != nil {
		return nil, idempotency.Decision{}, err
	}
	var e entry
	var got row
	err = s.inTx(ctx, func(tx *gorm.DB) error {
		mine, db := append(entries[:0:0], entries...), plain(tx)
		if err := s.decide(db, mine, terms{answers: true, lease: d}); err != nil {
			return &told{err}
		}
		if e = mine[0]; e.state != inserted {
			return nil
		}
		return db.Raw(s.sql("SELECT id, token FROM {table} WHERE scope = ? AND msg_key = ?"), e.scope, e.key).Scan(&got).Error
	})
	if err != nil {
		return nil, idempotency.Decision{}, err
	}
	decision := e.decision(0)
	if decision.Kind != idempotency.First {
		return nil, decision, decision.Err(key)
	}
	return &Lease{store: s, id: got.ID, token: got.Token, key: key}, decision, nil
}

// Token grows with each lease of a key: a side that remembers the highest one it saw
// can refuse those before.
func (l *Lease) Token() int64 { return l.token }

// Complete ends the lease and makes every later delivery a repeat with the answer, in
// one transaction with effect, which may be nil: what else is to be written of the
// result. Once someone has taken over the error is [idempotency.ErrLost], and effect is
// not run.
func (l *Lease) Complete(ctx context.Context, answer []byte, effect func(tx *gorm.DB) error) error {
	return l.store.inTx(ctx, func(tx *gorm.DB) error {
		err := l.change(plain(tx), "complete", "UPDATE {table} SET lease_until = 0, stored_at = {now}, answer = ? WHERE "+held, answer)
		if err != nil {
			return &told{err}
		}
		if effect == nil {
			return nil
		}
		if err := effect(tx); err != nil {
			return &told{err}
		}
		return nil
	})
}

// Extend makes the lease last for d from now. Once someone has taken over the error is
// [idempotency.ErrLost].
func (l *Lease) Extend(ctx context.Context, d time.Duration) error {
	if d < shortest {
		return violation("lease", d, "at least 100ms")
	}
	return l.change(l.store.db.WithContext(ctx), "extend",
		fmt.Sprintf("UPDATE {table} SET lease_until = {now} + %d WHERE "+held, d.Microseconds()))
}

// Release gives the key back undone, so that the next delivery is first: when it is
// certain that the effect did not happen. Once someone has taken over the error is
// [idempotency.ErrLost].
func (l *Lease) Release(ctx context.Context) error {
	return l.change(l.store.db.WithContext(ctx), "release", "DELETE FROM {table} WHERE "+held)
}

// held is the row while the lease is ours. It may have ended: it counts until someone
// takes over.
const held = "id = ? AND token = ? AND lease_until <> 0"

func (l *Lease) change(db *gorm.DB, what, text string, args ...any) error {
	done := db.Exec(l.store.sql(text), append(args, l.id, l.token)...)
	if done.Error != nil {
		return fmt.Errorf("gormstore: %s: %w", what, done.Error)
	}
	if done.RowsAffected == 0 {
		return fmt.Errorf("gormstore: %s %s: %w", what, l.key, idempotency.ErrLost)
	}
	return nil
}

// releaseTimeout bounds the giving back after the caller has left.
const releaseTimeout = 5 * time.Second

// DoLeased runs effect, which works outside the database, under a lease of d, and
// stores its answer. The context of effect ends with the lease, with
// [idempotency.ErrLost] as its cause. An error of effect gives the key back, so that
// the next delivery tries again: return one only if nothing happened. Where that is
// uncertain wrap it with [Unknown], and the lease stays until it ends. After a panic it
// stays, too. Work that may outlast its lease takes [Store.Lease] and extends it.
func (s *Store) DoLeased(
	ctx context.Context, key idempotency.Key, payload []byte, d time.Duration,
	effect func(ctx context.Context, token int64) (answer []byte, err error),
) (idempotency.Decision, error) {
	began := time.Now() // before the database's clock began to count, so that we end before it
	lease, decision, err := s.Lease(ctx, key, payload, d)
	if err != nil || lease == nil {
		return decision, err
	}
	bounded, cancel := context.WithDeadlineCause(ctx, began.Add(d), idempotency.ErrLost)
	defer cancel()
	answer, err := effect(bounded, lease.Token())
	detached, stop := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer stop()
	var unknown *unknownError
	switch {
	case err == nil:
		decision.Answer = answer
		err = lease.Complete(detached, answer, nil)
	case !errors.As(err, &unknown):
		if failed := lease.Release(detached); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		return idempotency.Decision{}, err
	}
	return decision, nil
}

type unknownError struct{ error }

func (e *unknownError) Unwrap() error { return e.error }

// Unknown marks an error of an effect of which nobody knows whether it happened, for
// [Store.DoLeased]. It returns nil for nil.
func Unknown(err error) error {
	if err == nil {
		return nil
	}
	return &unknownError{err}
}

// takeOver makes keys ours whose lease has ended, so that their holders cannot complete
// any more.
func (s *Store) takeOver(tx *gorm.DB, entries []entry, t terms) error {
	_, until := t.token()
	text := s.sql("UPDATE {table} SET token = CASE WHEN token < {now} THEN {now} ELSE token + 1 END, stored_at = {now}, lease_until = " +
		until + " WHERE id = ? AND token = ? AND lease_until = ?")
	for i := range entries {
		e := &entries[i]
		if e.state != found || e.row.LeaseUntil == 0 || e.row.Remaining > 0 || !bytes.Equal(e.digests[0][:], e.row.Digest) {
			continue
		}
		done := tx.Exec(text, e.row.ID, e.row.Token, e.row.LeaseUntil)
		if done.Error != nil {
			return fmt.Errorf("gormstore: take over: %w", done.Error)
		}
		e.state = inserted
		if done.RowsAffected == 0 {
			e.state = pending // someone was faster: look again
		}
	}
	return nil
}
