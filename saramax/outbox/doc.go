// Package outbox is a transactional outbox, also known as local message table: an
// event is stored by the transaction that it tells of, and a relay publishes it to
// Kafka afterwards. What is committed is published at least once; what is rolled back
// never is.
//
//	err := db.Transaction(func(tx *gorm.DB) error {
//		if err := markPaid(tx, payment); err != nil { // locks the payment
//			return err
//		}
//		return outbox.Add(tx, "payment_events", payment.TradeNo, PaidEvent{...})
//	})
//
// [Add] takes a transaction and nothing else. A [Relay] publishes, in as many
// instances as you like:
//
//	relay, err := outbox.NewRelay(db, outbox.NewSaramaPublisher(producer), outbox.Config{})
//	err = relay.Run(ctx)
//
// A [Plugin] in db (db.Use) names the table where the default does not fit, and wakes
// the relays of the same process as soon as a transaction commits. [Migrate] makes the
// tables, in MySQL, MariaDB, PostgreSQL or SQLite.
//
// # Order
//
// Topic and key together name an aggregate: the payment, the article. Events of one
// aggregate are published in the order in which their sequence numbers were drawn, by
// any number of relays: aggregates are hashed into buckets, and each bucket belongs to
// one relay at a time. Add draws the number, so lock the aggregate's row first and
// call Add after: then no other transaction's event of that aggregate can come in
// between. Events without a key have no order.
//
// An event that fails holds up its own aggregate and no other. After
// [Config.MaxAttempts], or at once when the publisher wraps [ErrRefused], it goes to
// the table of dead events with the reason, where [Admin] lists, requeues and purges.
// [Config.OnDead] says whether those behind it wait.
//
// # Duplicates
//
// A relay that dies, or loses its lease, between Kafka's answer and the deletion of
// the row has published events that are published again, with the same ID. Consumers
// must be idempotent by [Message.ID].
//
// # How rows are found
//
// Sequence numbers are not committed in their order, so nothing here remembers "up to
// where". Published rows are deleted, and whatever is in the table is to be published.
// Claims begin where rows were found a second or two ago, so that they need not step
// over what a held snapshot keeps, and every [Config.SweepEvery] at the beginning, for
// what was committed late.
//
// # Leases
//
// A relay's session has a lease in the database's time, which it renews. Rows are
// deleted in a transaction that holds the session; another relay takes the buckets of
// a session whose lease is over, and removes it. A relay that could not renew stops
// publishing at 0.7 of the lease. Give the producer less time than that to answer: a
// record that is on its way cannot be called back.
//
// Errors: [ErrNoTransaction], [ErrTooLarge], [ErrUnavailable], [ErrRefused],
// [ErrLeaseLost], [ErrRunning], and those of the database, wrapped.
//
// MySQL and MariaDB may read a small table whole to delete a few rows, and then wait for
// the row that another transaction has added and not committed: keep transactions that
// add events short there.
package outbox
