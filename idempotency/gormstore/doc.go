// Package gormstore is the [idempotency.Store] in MySQL, MariaDB, PostgreSQL or
// SQLite, over the *gorm.DB that a service has. Effects get the transaction that
// keeps the key:
//
//	store, err := gormstore.New(db, gormstore.Config{Window: 30 * 24 * time.Hour})
//	decision, err := store.Do(ctx, key, payload, func(tx *gorm.DB) error { return book(tx, event) })
//	go store.Run(ctx) // deletes keys that are older than the window
//
// There is one table, made by [Store.Migrate], or by you with the statements of
// [Store.Schema]. The key is inserted before the effect runs, so that of two
// deliveries at once the second waits for the first one's transaction and then is a
// repeat, or first after all. On PostgreSQL and SQLite the statement leaves existing
// rows alone; on MySQL and MariaDB, where that would hide other errors or lock gaps,
// it is a plain INSERT, and a duplicate is one only if the key's row is there.
// A batch inserts its keys in one statement, in their order, so that two batches wait
// for each other only one way.
//
// What the database ends for another's sake, a deadlock or a serialization failure, is
// done again in a new transaction, up to five times. Effects must return the errors of
// their statements: after a deadlock MySQL has already rolled the key back.
//
// # Window
//
// A key is remembered for [Config.Window], or for ever; after that a replayed message
// is first again. Make it longer than the oldest message that can come again: the
// retention of topic and dead letters, the age of what a person may replay.
// [Store.Covers] tells a replay whether a message is too old. Money has no window: use
// a Store without one, or a unique index of your own.
//
// # A unique index of your own
//
// Where the effect inserts a row that is unique by nature, as an entry of a ledger by
// business, business id and number, its own index decides and no other table is
// needed:
//
//	before, err := gormstore.Insert(tx, &entry, "biz", "biz_id", "entry_no")
//	if before != nil && before.Amount != entry.Amount { ... } // a conflict
//
// [Insert] is safe on all databases inside a transaction that goes on. Let no second
// unique index of that table speak about the same thing: two indexes that contradict
// each other make a repeat an error, or an error a repeat.
//
// # Effects outside the database
//
// [Store.Lease] is for effects that no transaction can hold, a payment or a mail. Who
// works on a key holds a lease with a token. When the worker dies the lease ends and
// another may take over; the first one can then no longer complete. A crash between
// the effect and the end of the lease makes the effect happen again, so give the other
// side the key.
//
// All times are those of the database's clock. Errors: those of package idempotency,
// and those of the database, wrapped.
package gormstore
