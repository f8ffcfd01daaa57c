package ioc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
	"github.com/bulwark-go/bulwark/gormx"
	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

// maxConns bounds the pool of a real database: enough to keep a few cores of it
// busy, few enough for several instances.
const maxConns = 32

// errDSN stands for what the drivers say of a malformed DSN, because they quote it:
// one that lacks its @ has the password in the place of the network.
var errDSN = errors.New("db.dsn is malformed; it is not shown, for it may hold the password")

// SQL returns the database that cfg names, or an embedded one in dir. Nothing works
// without it, so its health is required.
func SQL(ctx context.Context, c *Closers, cfg config.DB, dir string, log logger.Logger, observer observe.Observer) (*gorm.DB, health.Component, error) {
	var (
		db    *gorm.DB
		where string
		err   error
	)
	switch cfg.Driver {
	case "mysql":
		db, where, err = openMySQL(cfg.DSN.Reveal())
	case "postgres":
		db, where, err = openPostgres(cfg.DSN.Reveal())
	case "sqlite":
		where = cfg.DSN.Reveal()
		db, err = openSQLite(c, where)
	default:
		where = "embedded"
		db, err = openSQLite(c, filepath.Join(dir, "webook.db"))
	}
	if err != nil {
		return nil, health.Component{}, unreachable("sql", where, err)
	}
	if err := instrument(db, log, observer); err != nil {
		return nil, health.Component{}, unreachable("sql", where, err)
	}
	return ready(ctx, c, db, where)
}

// instrument makes statements visible: in the log with the trace of their request,
// in metrics and in traces.
func instrument(db *gorm.DB, log logger.Logger, observer observe.Observer) error {
	// A request that gets an error logs it, so the statement need not.
	lines, err := gormx.NewLogger(log, gormx.LoggerConfig{Dialect: db.Name()}, gormx.WithFailureLevel(logger.LevelDebug))
	if err != nil {
		return err
	}
	db.Logger = lines
	return db.Use(gormx.Observe(observer))
}

// PoolStats shows the connection pool in the metrics.
func PoolStats(db *gorm.DB) (*gormx.PoolStats, error) {
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	return gormx.NewPoolStats(db.Name(), pool)
}

// ready asks the server once.
func ready(ctx context.Context, c *Closers, db *gorm.DB, where string) (*gorm.DB, health.Component, error) {
	pool, err := db.DB()
	if err != nil {
		return nil, health.Component{}, unreachable("sql", where, err)
	}
	c.AddClose("sql", pool.Close)
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := pool.PingContext(ctx); err != nil {
		return nil, health.Component{}, unreachable("sql", where, err)
	}
	detail := db.Name() + ", " + where
	return db, health.Component{Name: "sql", Detail: detail, Required: true, Ping: pool.PingContext}, nil
}

func openSQLite(c *Closers, path string) (*gorm.DB, error) {
	db, err := embedded.OpenSQLite(embedded.SQLiteConfig{Path: path})
	if err != nil {
		return nil, err
	}
	c.AddClose("sqlite", db.Close)
	return db.DB(), nil
}

func openMySQL(dsn string) (*gorm.DB, string, error) {
	cfg, err := mysqldriver.ParseDSN(dsn)
	if err != nil || cfg.Net != "tcp" && cfg.Net != "unix" {
		return nil, "mysql", errDSN
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = connectTimeout
	}
	// Matched rows, not changed ones: an edit that changes nothing found its user.
	cfg.ClientFoundRows, cfg.ParseTime = true, true
	cfg.Logger = &mysqldriver.NopLogger{} // what it would write to standard error it also returns
	connector, err := mysqldriver.NewConnector(cfg)
	if err != nil {
		return nil, cfg.Addr, fmt.Errorf("db.dsn: %w", err)
	}
	pool := sql.OpenDB(connector)
	db, err := open(pool, mysql.New(mysql.Config{Conn: pool, DSNConfig: cfg}))
	return db, cfg.Addr, err
}

func openPostgres(dsn string) (*gorm.DB, string, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, "postgres", errDSN
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	pool := stdlib.OpenDB(*cfg)
	db, err := open(pool, postgres.New(postgres.Config{Conn: pool}))
	return db, net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))), err
}

func open(pool *sql.DB, d gorm.Dialector) (*gorm.DB, error) {
	pool.SetMaxOpenConns(maxConns)
	pool.SetMaxIdleConns(maxConns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	db, err := gorm.Open(d, &gorm.Config{TranslateError: true, Logger: gormlogger.Discard})
	if err != nil {
		_ = pool.Close()
		return nil, err
	}
	return db, nil
}
