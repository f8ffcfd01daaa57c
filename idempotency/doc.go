// Package idempotency gives deliveries that come at least once effects that happen
// exactly once. The unique index of a database decides who was first, inside the
// transaction of the effect; everything else may only spare the database work.
//
//	const reads = idempotency.Scope("read_article")
//
//	store, err := gormstore.New(db, gormstore.Config{Window: 30 * 24 * time.Hour})
//	decision, err := store.Do(ctx, reads.Key(event.ID), payload, func(tx *gorm.DB) error {
//		return addRead(tx, event.ArticleID) // in the transaction that also keeps the key
//	})
//
// A consumer of Kafka returns err and is done: the first delivery and each repeat
// have none. What comes in batches is decided in one transaction, and the effect
// gets to see what is new only, so that a sum counts nothing twice:
//
//	decisions, err := idempotency.DoEach(ctx, store, events, ReadEvent.delivery,
//		func(tx *gorm.DB, first []ReadEvent) error { return addReads(tx, countByArticle(first)) })
//
// [Store] is the one interface, idempotency/gormstore what implements it for MySQL,
// MariaDB, PostgreSQL and SQLite. [Observe] reports decisions, and [Filtered] puts a
// pre-check in front: a [Bloom] in memory, marks in Redis (idempotency/redisfilter),
// or the one in front of the other ([Cascade]). Observe goes outermost, as it sees the
// decisions of what is inside it.
//
// # Keys
//
// A key names the effect, not the delivery: an order, an entry of a ledger, an event's
// id that its producer made and stored. Topic, partition and offset name a delivery,
// and change when an event is published again. [Scope.Key] joins parts so that no two
// lists of parts look alike.
//
// The payload is what must be the same each time: amount, account, kind. The same key
// with another payload is no repeat but a mistake somewhere, and becomes a
// [ConflictError]; nothing is booked. Leave out what changes between deliveries, such
// as the time of sending. [Fields] makes one of the values that count. A nil payload
// is the same as any other nil one.
//
// Keys are stored, and appear in errors: hash what is personal before.
//
// # What is promised
//
// If Do returns no error the effect is committed, by this call or an earlier one. If
// it returns one, the effect was rolled back, or the answer of the database to the
// commit was lost; doing it again is right in both cases. The effect may be run again
// in a new transaction when the database ended one for another's sake, so it must
// keep what it does in the transaction.
//
// All of that holds as long as the store remembers: see the window of the store, and
// compare it with the oldest message that you may replay. Filters forget, fail and
// are wrong without harm.
//
// # Errors
//
//   - [ErrConflict], as [*ConflictError]: the key was used with another payload.
//   - [ErrInProgress], as [*InProgressError]: someone works on the key under a lease
//     that has not ended.
//   - [ErrLost]: a lease is no longer held; someone else may work on the key, or has.
//   - [ErrKey]: a scope or an id that cannot be stored.
//   - [ErrConfig]: settings are wrong; each violation names field and value.
//
// Any other error is the effect's or the database's.
package idempotency
