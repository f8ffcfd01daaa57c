// Package embedded starts the servers that Bulwark needs inside the process:
// Redis ([StartRedis]), Kafka ([StartKafka]) and an SQL database ([OpenSQLite]).
// The tests and the reference app run on them with nothing installed; with real
// servers the same client code runs unchanged.
//
// They speak the real protocols but are not the real things. What differs, and
// what portable code therefore keeps to:
//
//   - Redis: no persistence, no CONFIG, no keyspace notifications, no INFO
//     memory. In Lua keep to integer milliseconds, turn numbers into text with
//     string.format('%.0f', n), take names from ARGV and report failures by
//     return value: the number formats and error texts differ. Each EVAL costs
//     about 0.3 ms, so it says nothing about a limiter's speed.
//   - Kafka: one process plays all brokers; the first group assignment comes
//     without the usual initial delay; a replication factor above the number of
//     brokers is refused, as on a real cluster. Without a data directory every
//     record stays in memory.
//   - SQL: SQLite has one writer at a time and no row locks: FOR UPDATE is
//     dropped silently. Every read-write transaction takes the write lock when it
//     begins, so writing through the pool while a transaction is open waits for
//     the busy timeout and fails: pass the transaction down. Text compares case
//     sensitively, lengths are not enforced, and a context does not stop a
//     running SELECT.
//
// Everything listens on the loopback interface, unless an address says otherwise.
// Each server is owned by the value that its start returned, whose Close stops
// every goroutine and may be called twice.
package embedded
