package gormstore

// never is the time that does not come.
const never int64 = 1 << 62

// dialect is what the databases differ in.
type dialect struct {
	// now is the time in microseconds, the same throughout a statement and nothing
	// that keeps an index from being used.
	now string
	// skipLocked makes claims with locks, returning with one UPDATE.
	skipLocked, returning bool
	readCommitted         bool
	// ends says that ranges of an index need a row at their end.
	ends bool
	// byDue names the one index for claims, where the database has to be told.
	byDue  string
	schema []string
}

// dialects by the name that GORM has for them. Keys are bytes on MySQL, as its
// texts would take "A" for "a" and "a " for "a".
var dialects = map[string]dialect{
	"mysql": {
		now:        "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)",
		skipLocked: true, readCommitted: true, ends: true,
		byDue: " FORCE INDEX ({table}_due)",
		schema: []string{`
CREATE TABLE IF NOT EXISTS {table} (
	id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	queue VARBINARY(64) NOT NULL,
	req_key VARBINARY(128) NOT NULL,
	priority SMALLINT NOT NULL,
	state SMALLINT NOT NULL,
	due BIGINT NOT NULL,
	not_after BIGINT NOT NULL,
	ends BIGINT NOT NULL,
	stored_at BIGINT NOT NULL,
	lease_until BIGINT NOT NULL,
	token BIGINT NOT NULL,
	attempts INT NOT NULL,
	checks INT NOT NULL,
	owner VARBINARY(64) NOT NULL,
	reason VARBINARY(32) NOT NULL,
	last_error VARBINARY(2000) NOT NULL,
	carried BLOB NOT NULL,
	payload MEDIUMBLOB NOT NULL,
	UNIQUE KEY {table}_key (queue, req_key),
	KEY {table}_due (queue, state, priority, due, id),
	KEY {table}_ends (queue, state, ends)
) ENGINE=InnoDB`, `
CREATE TABLE IF NOT EXISTS {table}_pauses (queue VARBINARY(64) NOT NULL PRIMARY KEY) ENGINE=InnoDB`,
		},
	},
	"postgres": {
		now:        "CAST(EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP()) * 1000000 AS BIGINT)",
		skipLocked: true, returning: true,
		schema: append([]string{`
CREATE TABLE IF NOT EXISTS {table} (
	id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	carried BYTEA NOT NULL,
	payload BYTEA NOT NULL,` + columns}, indexes...),
	},
	"sqlite": {
		now:       "CAST((JULIANDAY('now') - 2440587.5) * 86400000000 AS INTEGER)",
		returning: true,
		schema: append([]string{`
CREATE TABLE IF NOT EXISTS {table} (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	carried BLOB NOT NULL,
	payload BLOB NOT NULL,` + columns}, indexes...),
	},
}

// columns and indexes are those that PostgreSQL and SQLite spell alike.
const columns = `
	queue TEXT NOT NULL,
	req_key TEXT NOT NULL,
	priority SMALLINT NOT NULL,
	state SMALLINT NOT NULL,
	due BIGINT NOT NULL,
	not_after BIGINT NOT NULL,
	ends BIGINT NOT NULL,
	stored_at BIGINT NOT NULL,
	lease_until BIGINT NOT NULL,
	token BIGINT NOT NULL,
	attempts INTEGER NOT NULL,
	checks INTEGER NOT NULL,
	owner TEXT NOT NULL,
	reason TEXT NOT NULL,
	last_error TEXT NOT NULL
)`

// ending are the rows with an end. Claims do not ask for it, so that they have one index
// that they can use, that of due times, in which a mark spares what was claimed.
const ending = "ends < 4611686018427387904"

var indexes = []string{
	"CREATE UNIQUE INDEX IF NOT EXISTS {table}_key ON {table} (queue, req_key)",
	"CREATE INDEX IF NOT EXISTS {table}_due ON {table} (queue, state, priority, due, id)",
	"CREATE INDEX IF NOT EXISTS {table}_ends ON {table} (queue, state, ends) WHERE " + ending,
	"CREATE TABLE IF NOT EXISTS {table}_pauses (queue TEXT NOT NULL PRIMARY KEY)",
}
