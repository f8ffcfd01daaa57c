// Package testenv gives each test the servers it needs: in-process ones by
// default, with nothing installed, and the real ones where the environment names
// them ([EnvRedis] and its like). The same tests run on both, so they see the
// same isolation on both: whatever a function here returns is empty, belongs to
// the one test that asked, and goes away with it.
//
// Every function ends the test with a clear message when a server that the
// environment names does not answer: a broken set-up never looks like a pass.
package testenv

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// The environment variables that name real servers, and the one that asks for
// the long form of tests.
const (
	// EnvRedis is the host:port of a real Redis. The tests use all of its logical
	// databases and empty them.
	EnvRedis = "BULWARK_TEST_REDIS_ADDR"
	// EnvMySQL is the DSN, in the form of go-sql-driver, of a real MySQL or
	// MariaDB whose user may create databases.
	EnvMySQL = "BULWARK_TEST_MYSQL_DSN"
	// EnvPostgres is the URL or key=value DSN of a real PostgreSQL whose user may
	// create schemas.
	EnvPostgres = "BULWARK_TEST_POSTGRES_DSN"
	// EnvKafka is the comma-separated host:port list of a real Kafka's brokers.
	EnvKafka = "BULWARK_TEST_KAFKA_ADDRS"
	// EnvLong set to 1 asks for full counts, many seeds and soaks.
	EnvLong = "BULWARK_TEST_LONG"
)

// Name returns a name that no other test and no other run uses: for keys, groups
// and whatever else shares a server. It has at most 48 characters out of
// [a-z0-9_] and starts with a letter, so it can be a topic or a schema, too.
func Name(t testing.TB) string {
	t.Helper()
	const longest = 32
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, strings.ToLower(t.Name()))
	var random [5]byte
	_, _ = rand.Read(random[:]) // never fails, by its contract
	return "bt_" + clean[:min(len(clean), longest)] + "_" + hex.EncodeToString(random[:])
}

// Long skips the test unless its long form is asked for.
func Long(t testing.TB) {
	t.Helper()
	if !long() {
		t.Skipf("the long form only: set %s=1", EnvLong)
	}
}

// Scale returns short, or full where the long form is asked for: rounds, seeds,
// records.
func Scale(short, full int) int {
	if long() {
		return full
	}
	return short
}

func long() bool { return os.Getenv(EnvLong) == "1" }

// RequireRealRedis skips a test that makes sense on a real Redis only. Say why in
// because: "the script cache is emulated otherwise".
func RequireRealRedis(t testing.TB, because string) { t.Helper(); require(t, EnvRedis, because) }

// RequireRealMySQL skips a test that makes sense on a real MySQL or MariaDB only.
func RequireRealMySQL(t testing.TB, because string) { t.Helper(); require(t, EnvMySQL, because) }

// RequireRealPostgres skips a test that makes sense on a real PostgreSQL only.
func RequireRealPostgres(t testing.TB, because string) { t.Helper(); require(t, EnvPostgres, because) }

// RequireRealKafka skips a test that makes sense on a real Kafka only.
func RequireRealKafka(t testing.TB, because string) { t.Helper(); require(t, EnvKafka, because) }

func require(t testing.TB, env, because string) {
	t.Helper()
	if os.Getenv(env) == "" {
		t.Skipf("needs a real server (%s is not set): %s", env, because)
	}
}
