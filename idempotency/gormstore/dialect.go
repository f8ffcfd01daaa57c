package gormstore

// dialect is what the databases differ in.
type dialect struct {
	// now is the time in microseconds.
	now string
	// onConflict ends an INSERT that leaves existing keys alone; empty where the INSERT
	// fails as a whole.
	onConflict string
	// share ends a SELECT that reads what is committed now, whatever the transaction's
	// snapshot.
	share  string
	schema string
}

// dialects by the name that GORM has for them. Keys are bytes on MySQL, as its texts
// would take "A" for "a" and "a " for "a". The id grows with time, so that the oldest
// rows are the first of the primary key.
var dialects = map[string]dialect{
	"mysql": {
		now:   "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)",
		share: " LOCK IN SHARE MODE",
		schema: `
CREATE TABLE IF NOT EXISTS {table} (
	id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	scope VARBINARY(64) NOT NULL,
	msg_key VARBINARY(128) NOT NULL,
	digest BINARY(32) NOT NULL,
	stored_at BIGINT NOT NULL,
	token BIGINT NOT NULL DEFAULT 0,
	lease_until BIGINT NOT NULL DEFAULT 0,
	answer MEDIUMBLOB NULL,
	UNIQUE KEY {table}_key (scope, msg_key)
) ENGINE=InnoDB`,
	},
	"postgres": {
		now:        "CAST(EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP()) * 1000000 AS BIGINT)",
		onConflict: " ON CONFLICT (scope, msg_key) DO NOTHING",
		schema: `
CREATE TABLE IF NOT EXISTS {table} (
	id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	scope TEXT COLLATE "C" NOT NULL,
	msg_key TEXT COLLATE "C" NOT NULL,
	digest BYTEA NOT NULL,
	stored_at BIGINT NOT NULL,
	token BIGINT NOT NULL DEFAULT 0,
	lease_until BIGINT NOT NULL DEFAULT 0,
	answer BYTEA NULL,
	CONSTRAINT {table}_key UNIQUE (scope, msg_key)
)`,
	},
	"sqlite": {
		now:        "CAST((JULIANDAY('now') - 2440587.5) * 86400000000 AS INTEGER)",
		onConflict: " ON CONFLICT (scope, msg_key) DO NOTHING",
		schema: `
CREATE TABLE IF NOT EXISTS {table} (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	scope TEXT NOT NULL,
	msg_key TEXT NOT NULL,
	digest BLOB NOT NULL,
	stored_at INTEGER NOT NULL,
	token INTEGER NOT NULL DEFAULT 0,
	lease_until INTEGER NOT NULL DEFAULT 0,
	answer BLOB NULL,
	CONSTRAINT {table}_key UNIQUE (scope, msg_key)
)`,
	},
}
