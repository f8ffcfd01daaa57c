package gormstore

import (
	"context"

	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
)

// Do implements [idempotency.Store].
func (s *Store) Do(ctx context.Context, key idempotency.Key, payload []byte, effect func(tx *gorm.DB) error) (idempotency.Decision, error) {
	return s.one(ctx, idempotency.Delivery{Key: key, Payload: payload}, false, func(tx *gorm.DB, _ []int) error { return effect(tx) })
}

// DoAnswer implements [idempotency.Store]. Answers have at most 16 MB on MySQL.
func (s *Store) DoAnswer(ctx context.Context, key idempotency.Key, payload []byte, effect func(tx *gorm.DB) ([]byte, error)) (idempotency.Decision, error) {
	var answer []byte
	d, err := s.one(ctx, idempotency.Delivery{Key: key, Payload: payload}, true, func(tx *gorm.DB, _ []int) (err error) {
		if answer, err = effect(tx); err != nil {
			return err
		}
		return plain(tx).Exec(s.sql("UPDATE {table} SET answer = ? WHERE scope = ? AND msg_key = ?"),
			answer, string(key.Scope), stored(key.ID)).Error
	})
	if d.Kind == idempotency.First {
		d.Answer = answer
	}
	return d, err
}

func (s *Store) one(ctx context.Context, d idempotency.Delivery, answers bool, effect func(*gorm.DB, []int) error) (idempotency.Decision, error) {
	decisions, err := s.do(ctx, []idempotency.Delivery{d}, answers, effect)
	if err != nil {
		return idempotency.Decision{}, err
	}
	return decisions[0], decisions[0].Err(d.Key)
}

// DoBatch implements [idempotency.Store].
func (s *Store) DoBatch(ctx context.Context, batch []idempotency.Delivery, effect func(tx *gorm.DB, first []int) error) ([]idempotency.Decision, error) {
	return s.do(ctx, batch, false, effect)
}

// do decides on a batch and runs effect for what is first of it.
func (s *Store) do(ctx context.Context, batch []idempotency.Delivery, answers bool, effect func(*gorm.DB, []int) error) ([]idempotency.Decision, error) {
	entries, err := entriesOf(batch)
	if err != nil || len(batch) == 0 {
		return nil, err
	}
	if s.dialect.onConflict == "" && len(batch) > 1 {
		// One known key would undo the INSERT of all.
		if err := s.find(s.db.WithContext(ctx), entries, view{doneOnly: true}); err != nil {
			return nil, err
		}
	}
	if settled(entries) {
		return decisions(batch, entries), nil
	}
	var done []entry
	err = s.inTx(ctx, func(tx *gorm.DB) error {
		done = append(done[:0:0], entries...) // each try begins anew
		if err := s.decide(plain(tx), done, terms{answers: answers}); err != nil {
			return &told{err}
		}
		first := firsts(done)
		if len(first) == 0 {
			return nil
		}
		if err := effect(tx, first); err != nil {
			return &told{err}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return decisions(batch, done), nil
}

// Decide inserts the key in a transaction of yours and tells whether it is first, a
// repeat, a conflict or in progress: run the effect in the same transaction if, and
// only if, it is First, and do not commit when the effect fails. Nobody tries again for
// you. It fails outside a transaction.
func (s *Store) Decide(tx *gorm.DB, d idempotency.Delivery) (idempotency.Decision, error) {
	if _, inTx := tx.Statement.ConnPool.(gorm.TxCommitter); !inTx {
		return idempotency.Decision{}, violation("tx", "no transaction", "one, which the effect uses too")
	}
	batch := []idempotency.Delivery{d}
	entries, err := entriesOf(batch)
	if err != nil {
		return idempotency.Decision{}, err
	}
	if err := s.decide(plain(tx), entries, terms{answers: true}); err != nil {
		return idempotency.Decision{}, err
	}
	return decisions(batch, entries)[0], nil
}

// Peek implements [idempotency.Store].
func (s *Store) Peek(ctx context.Context, batch []idempotency.Delivery) ([]idempotency.Decision, error) {
	entries, err := entriesOf(batch)
	if err != nil || len(batch) == 0 {
		return nil, err
	}
	if err := s.find(s.db.WithContext(ctx), entries, view{answers: true}); err != nil {
		return nil, err
	}
	return decisions(batch, entries), nil
}
