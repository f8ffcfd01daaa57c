package gormx_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulwark-go/bulwark/gormx"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/otel"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"
)

const secret = "13800138000"

func newLogger(t *testing.T, cfg gormx.LoggerConfig, opts ...gormx.LoggerOption) (*gormx.Logger, *loggertest.Recorder) {
	t.Helper()
	rec := loggertest.New(t)
	l, err := gormx.NewLogger(rec.Logger(logger.WithTrace(otel.TraceIDs)), cfg, opts...)
	require.NoError(t, err)
	return l, rec
}

// only returns the one line that run causes.
func only(t *testing.T, rec *loggertest.Recorder, run func()) loggertest.Record {
	t.Helper()
	before := len(rec.Records())
	run()
	lines := rec.Records()[before:]
	require.Len(t, lines, 1, "exactly one line for a statement")
	return lines[0]
}

func TestEachStatementIsOneLine(t *testing.T) {
	l, rec := newLogger(t, gormx.LoggerConfig{Dialect: "sqlite", SlowThreshold: time.Hour})
	db := openDB(t, &gorm.Config{Logger: l, TranslateError: true})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, c := range []struct {
		name  string
		run   func()
		level logger.Level
		msg   string
		sql   string
		rows  any
		err   bool
	}{
		{
			"create", func() { db.Create(&author{Name: secret, Email: secret}) }, logger.LevelDebug, "sql",
			"INSERT INTO `authors` (`name`, `email`) VALUES (?) RETURNING `id`", int64(1), false,
		},
		{
			"query", func() { db.Where("name = ?", secret).Find(&[]author{}) }, logger.LevelDebug, "sql",
			"SELECT * FROM `authors` WHERE name = ?", int64(1), false,
		},
		{
			"raw with literals", func() { db.Exec("UPDATE authors SET name = '" + secret + "' WHERE id IN (" + secret + ", 2)") }, logger.LevelDebug, "sql",
			"UPDATE authors SET name = ? WHERE id IN (?)", int64(0), false,
		},
		{
			"no row", func() { db.First(&author{}, secret) }, logger.LevelDebug, "sql",
			"SELECT * FROM `authors` WHERE `authors`.`id` = ? ORDER BY `authors`.`id` LIMIT ?", int64(0), true,
		},
		{
			"canceled", func() { db.WithContext(canceled).Find(&[]author{}) }, logger.LevelDebug, "sql",
			"SELECT * FROM `authors`", int64(0), true,
		},
		{
			"deadline", func() { db.WithContext(late).Find(&[]author{}) }, logger.LevelError, "sql failed",
			"SELECT * FROM `authors`", int64(0), true,
		},
		{
			"failure", func() { db.Exec("UPDATE nowhere SET a = '" + secret + "'") }, logger.LevelError, "sql failed",
			"UPDATE nowhere SET a = ?", int64(0), true,
		},
		{
			"duplicate", func() { db.Create(&author{Name: secret, Email: secret}) }, logger.LevelWarn, "sql refused",
			"INSERT INTO `authors` (`name`, `email`) VALUES (?) RETURNING `id`", int64(0), true,
		},
		{
			"debug session", func() { db.Debug().Find(&[]author{}) }, logger.LevelInfo, "sql",
			"SELECT * FROM `authors`", int64(1), false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := only(t, rec, c.run)
			require.Equal(t, c.level, line.Level)
			require.Equal(t, c.msg, line.Message)
			require.Equal(t, c.sql, line.Fields["sql"])
			require.EqualValues(t, c.rows, line.Fields["rows"])
			require.Regexp(t, `^gormx/logger_test\.go:\d+$`, line.Fields["caller"])
			require.IsType(t, time.Duration(0), line.Fields["duration"])
			require.Equal(t, c.err, line.Fields["error"] != nil)
		})
	}
	rec.RequireNowhere(secret)
}

func TestParametersAreNotInlined(t *testing.T) {
	l, _ := newLogger(t, gormx.LoggerConfig{})
	sql, params := l.ParamsFilter(t.Context(), "a = ?", secret)
	require.Equal(t, "a = ?", sql)
	require.Empty(t, params, "gorm would write them into the text")
}

func TestSlowStatementIsAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, rec := newLogger(t, gormx.LoggerConfig{SlowThreshold: time.Second})
		trace := func(took time.Duration, err error) loggertest.Record {
			return only(t, rec, func() {
				l.Trace(t.Context(), time.Now().Add(-took), func() (string, int64) { return "SELECT 1", -1 }, err)
			})
		}
		fast, slow, failed := trace(time.Second-1, nil), trace(time.Second, nil), trace(time.Second, errors.New("no"))
		require.Equal(t, "sql", fast.Message)
		require.Equal(t, logger.LevelWarn, slow.Level)
		require.Equal(t, "sql slow", slow.Message)
		require.Equal(t, time.Second, slow.Fields["duration"])
		require.NotContains(t, slow.Fields, "rows", "unknown rows are left out")
		require.Equal(t, "sql failed", failed.Message, "a failure stays one")
	})
}

func TestFailuresCanBeLeftToWhoeverGetsThem(t *testing.T) {
	rec := loggertest.New(t)
	l, err := gormx.NewLogger(rec.Logger(), gormx.LoggerConfig{}, gormx.WithFailureLevel(logger.LevelDebug))
	require.NoError(t, err)
	for msg, err := range map[string]error{"sql failed": errors.New("no"), "sql refused": gorm.ErrDuplicatedKey} {
		l.Trace(t.Context(), time.Now(), func() (string, int64) { return "SELECT 1", 0 }, err)
		rec.RequireLine(logger.LevelDebug, msg)
	}
}

func TestSlowThresholdDefaultsToGorms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, rec := newLogger(t, gormx.LoggerConfig{})
		line := only(t, rec, func() {
			l.Trace(t.Context(), time.Now().Add(-gormx.DefaultSlowThreshold), func() (string, int64) { return "SELECT 1", 1 }, nil)
		})
		require.Equal(t, "sql slow", line.Message)
	})
	_, err := gormx.NewLogger(logger.Logger{}, gormx.LoggerConfig{SlowThreshold: -time.Second})
	require.EqualError(t, err, "gormx: SlowThreshold -1s is negative")
}

func TestLineCarriesTheTraceOfItsContext(t *testing.T) {
	o, err := otel.New(sdktrace.NewTracerProvider())
	require.NoError(t, err)
	kind := observe.Kind{Component: "http_server", Action: "request", Role: observe.Server}
	l, rec := newLogger(t, gormx.LoggerConfig{})
	db := openDB(t, &gorm.Config{Logger: l})
	require.NoError(t, db.Use(gormx.Observe(o)))

	ctx, end := o.Start(t.Context(), observe.Operation{Kind: &kind})
	line := only(t, rec, func() { require.NoError(t, db.WithContext(ctx).Find(&[]author{}).Error) })
	end(observe.Result{})
	traceID, spanID := otel.TraceIDs(ctx)
	require.Len(t, traceID, 32)
	require.Equal(t, []string{traceID, spanID}, []string{line.TraceID, line.SpanID})
}

func TestGormsLevelsGateLines(t *testing.T) {
	for mode, want := range map[gormlogger.LogLevel][]string{
		gormlogger.Silent: {},
		gormlogger.Error:  {"sql failed", "gorm"},
		gormlogger.Warn:   {"sql slow", "sql failed", "gorm", "gorm"},
		gormlogger.Info:   {"sql", "sql slow", "sql failed", "gorm", "gorm", "gorm"},
	} {
		base, rec := newLogger(t, gormx.LoggerConfig{})
		l, ctx := base.LogMode(mode), t.Context()
		explain := func() (string, int64) { return "SELECT 1", 1 }
		l.Trace(ctx, time.Now(), explain, nil)
		l.Trace(ctx, time.Now().Add(-time.Hour), explain, nil)
		l.Trace(ctx, time.Now(), explain, errors.New("no"))
		l.Error(ctx, "msg")
		l.Warn(ctx, "msg")
		l.Info(ctx, "msg")
		require.ElementsMatch(t, want, rec.Messages())
	}
}

func TestGormsOwnMessagesAreLogged(t *testing.T) {
	l, rec := newLogger(t, gormx.LoggerConfig{})
	line := only(t, rec, func() { l.Warn(t.Context(), "value %v of '%s'\n", 1, secret) })
	require.Equal(t, logger.LevelWarn, line.Level)
	require.Equal(t, "value 1 of ?", line.Fields["detail"])
	line = only(t, rec, func() { l.Error(t.Context(), "100% wrong") })
	require.Equal(t, "100% wrong", line.Fields["detail"])
	require.Equal(t, logger.LevelDebug, only(t, rec, func() { l.Info(t.Context(), "replacing callback") }).Level)
}

func TestValuesAreShownOnRequest(t *testing.T) {
	l, rec := newLogger(t, gormx.LoggerConfig{}, gormx.WithValues())
	db := openDB(t, &gorm.Config{Logger: l})
	line := only(t, rec, func() { db.Where("name = ?", secret).Find(&[]author{}) })
	require.Contains(t, line.Fields["sql"], secret)
	line = only(t, rec, func() { db.Exec("SELEC '" + secret + "'") })
	require.Contains(t, line.Fields["error"], "SELEC")
}

func TestErrorTextHidesQuotedValues(t *testing.T) {
	for in, want := range map[string]string{
		"Error 1062 (23000): Duplicate entry '138' for key 'users.phone'":      "Error 1062 (23000): Duplicate entry ?",
		"Duplicate entry 'it's 138' for key 'a' (x)":                           "Duplicate entry ? (x)",
		`ERROR: invalid input syntax for type integer: "138" (SQLSTATE 22P02)`: "ERROR: invalid input syntax for type integer: ? (SQLSTATE 22P02)",
		"can't open database": "can't open database",
		"can't find '138'":    "can't find ?",
		"near 'SELEC":         "near ?",
		"plain":               "plain",
		"bad \xff":            "bad \uFFFD",
	} {
		require.Equal(t, want, gormx.ErrorText(errors.New(in)))
	}
	require.Less(t, len(gormx.ErrorText(errors.New(string(bytes.Repeat([]byte("x"), 1<<20))))), 1000)
}

func TestUnwrittenLineAllocatesNothing(t *testing.T) {
	l, err := gormx.NewLogger(logger.New(quiet{}), gormx.LoggerConfig{})
	require.NoError(t, err)
	ctx, begin := t.Context(), time.Now()
	explain := func() (string, int64) { panic("must not be asked") }
	require.Zero(t, testing.AllocsPerRun(100, func() { l.Trace(ctx, begin, explain, nil) }))
}

// quiet is a Core that takes errors only.
type quiet struct{}

func (quiet) Enabled(l logger.Level) bool        { return l >= logger.LevelError }
func (quiet) With([]logger.Field) logger.Core    { return quiet{} }
func (quiet) Write(logger.Entry, []logger.Field) {}
