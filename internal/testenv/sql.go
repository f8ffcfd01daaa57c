package testenv

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulwark-go/bulwark/internal/embedded"
)

// SQL returns an empty SQL database that no other test uses: MySQL where it is
// named, else PostgreSQL where it is named, else SQLite. Duplicates are
// [gorm.ErrDuplicatedKey] on all three. Two calls give two databases on the same
// server, as dual writing needs them. A suite about SQL itself runs on every
// server with [EachSQL].
func SQL(t testing.TB) *gorm.DB {
	t.Helper()
	switch {
	case os.Getenv(EnvMySQL) != "":
		return MySQL(t)
	case os.Getenv(EnvPostgres) != "":
		return Postgres(t)
	default:
		return SQLite(t)
	}
}

// EachSQL runs the suite as a subtest on SQLite and on each real SQL server that
// the environment names.
func EachSQL(t *testing.T, suite func(t *testing.T, db *gorm.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { suite(t, SQLite(t)) })
	if os.Getenv(EnvMySQL) != "" {
		t.Run("mysql", func(t *testing.T) { suite(t, MySQL(t)) })
	}
	if os.Getenv(EnvPostgres) != "" {
		t.Run("postgres", func(t *testing.T) { suite(t, Postgres(t)) })
	}
}

// SQLite returns an empty SQLite database in a file of its own.
func SQLite(t testing.TB) *gorm.DB {
	t.Helper()
	db, err := embedded.OpenSQLite(embedded.SQLiteConfig{Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db.DB()
}

// MySQL returns an empty database on the real MySQL or MariaDB, and skips the
// test where none is named.
func MySQL(t testing.TB) *gorm.DB {
	t.Helper()
	return open(t, EnvMySQL, mysql.Open(MySQLDSN(t)))
}

// MySQLDSN is [MySQL] for code that opens the database itself. The DSN has
// parseTime, and clientFoundRows so that RowsAffected means the same everywhere.
func MySQLDSN(t testing.TB) string {
	t.Helper()
	RequireRealMySQL(t, "the test asks for MySQL")
	cfg, err := mysqldriver.ParseDSN(os.Getenv(EnvMySQL))
	if err != nil {
		t.Fatalf("%s: %v", EnvMySQL, err)
	}
	cfg.ParseTime, cfg.ClientFoundRows = true, true
	name := Name(t)
	admin(t, EnvMySQL, mysql.Open(cfg.FormatDSN()),
		"CREATE DATABASE "+name+" CHARACTER SET utf8mb4", "DROP DATABASE "+name)
	cfg.DBName = name
	return cfg.FormatDSN()
}

// Postgres returns an empty schema on the real PostgreSQL, and skips the test
// where none is named.
func Postgres(t testing.TB) *gorm.DB {
	t.Helper()
	return open(t, EnvPostgres, postgres.Open(PostgresDSN(t)))
}

// PostgresDSN is [Postgres] for code that opens the database itself.
func PostgresDSN(t testing.TB) string {
	t.Helper()
	RequireRealPostgres(t, "the test asks for PostgreSQL")
	dsn, name := os.Getenv(EnvPostgres), Name(t)
	admin(t, EnvPostgres, postgres.Open(dsn), "CREATE SCHEMA "+name, "DROP SCHEMA "+name+" CASCADE")
	scoped, err := withSearchPath(dsn, name)
	if err != nil {
		t.Fatalf("%s: %v", EnvPostgres, err)
	}
	return scoped
}

func withSearchPath(dsn, schema string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " search_path=" + schema, nil
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// admin runs create now and drop when the test has ended.
func admin(t testing.TB, env string, server gorm.Dialector, create, drop string) {
	t.Helper()
	db := open(t, env, server)
	if err := db.Exec(create).Error; err != nil {
		t.Fatalf("%s: %s: %v", env, create, err)
	}
	t.Cleanup(func() {
		if err := db.Exec(drop).Error; err != nil {
			t.Errorf("%s: %s: %v", env, drop, err)
		}
	})
}

// open connects until the test has ended, with a pool small enough for many
// tests at once to share one server.
func open(t testing.TB, env string, d gorm.Dialector) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(d, &gorm.Config{TranslateError: true, Logger: logger.Discard})
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	conns, err := db.DB()
	if err != nil {
		t.Fatalf("%s: %v", env, fmt.Errorf("pool: %w", err))
	}
	conns.SetMaxOpenConns(8)
	conns.SetMaxIdleConns(8)
	t.Cleanup(func() { _ = conns.Close() })
	return db
}
