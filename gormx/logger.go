package gormx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"
)

// DefaultSlowThreshold is gorm's own: well above an indexed read and well below
// what a person waits for.
const DefaultSlowThreshold = 200 * time.Millisecond

// LoggerConfig configures [NewLogger]. Its zero value works.
type LoggerConfig struct {
	// SlowThreshold is the duration from which on a statement is logged as slow;
	// the default is [DefaultSlowThreshold].
	SlowThreshold time.Duration
	// Dialect is the name of gorm's Dialector ("mysql", "postgres", "sqlite"), for
	// [Fingerprint]. Without it double-quoted identifiers are hidden, too.
	Dialect string
}

// Logger is a gorm logger over a [logger.Logger]. It writes one line for each
// statement, with the trace of the statement's context, its fingerprint, its rows,
// its duration and the caller:
//
//   - Error, "sql failed": the database or its connection failed, or a deadline
//     ran out.
//   - Warn, "sql refused": a constraint refused it (needs gorm's TranslateError).
//   - Warn, "sql slow": it took SlowThreshold or longer.
//   - Debug, "sql": all others, also those that found no row or whose caller
//     cancelled. Statements under db.Debug() are logged at Info.
//
// A line that is not written costs no allocation. A Logger is safe for concurrent use.
type Logger struct {
	log       logger.Logger
	cfg       LoggerConfig
	mode      gormlogger.LogLevel
	statement logger.Level // of ordinary statements
	failed    logger.Level
	refused   logger.Level
	values    bool
}

var (
	_ gormlogger.Interface = (*Logger)(nil)
	_ gorm.ParamsFilter    = (*Logger)(nil)
)

// LoggerOption configures [NewLogger].
type LoggerOption interface{ apply(*Logger) }

type loggerOption func(*Logger)

func (f loggerOption) apply(l *Logger) { f(l) }

// WithValues logs SQL with its values and errors in full: on a developer's machine.
func WithValues() LoggerOption {
	return loggerOption(func(l *Logger) { l.values = true })
}

// WithFailureLevel sets the level of failed and of refused statements; the defaults
// are Error and Warn. gorm returns these errors, too: where whoever gets them in
// the end logs them, as ginx does, Debug leaves one line for each.
func WithFailureLevel(level logger.Level) LoggerOption {
	return loggerOption(func(l *Logger) { l.failed, l.refused = level, level })
}

// NewLogger returns a Logger that writes to log. It fails for a negative
// SlowThreshold.
func NewLogger(log logger.Logger, cfg LoggerConfig, opts ...LoggerOption) (*Logger, error) {
	if cfg.SlowThreshold < 0 {
		return nil, fmt.Errorf("gormx: SlowThreshold %v is negative", cfg.SlowThreshold)
	}
	if cfg.SlowThreshold == 0 {
		cfg.SlowThreshold = DefaultSlowThreshold
	}
	l := &Logger{
		log: log, cfg: cfg, mode: gormlogger.Info,
		statement: logger.LevelDebug, failed: logger.LevelError, refused: logger.LevelWarn,
	}
	for _, o := range opts {
		o.apply(l)
	}
	return l, nil
}

// LogMode returns a Logger that keeps to gorm's level beside its own. With
// gormlogger.Info, which is what db.Debug() asks for, ordinary statements are
// logged at Info instead of Debug.
func (l *Logger) LogMode(mode gormlogger.LogLevel) gormlogger.Interface {
	c := *l
	c.mode = mode
	if mode == gormlogger.Info {
		c.statement = logger.LevelInfo
	}
	return &c
}

// Info logs what gorm says of itself, at Debug: it is of interest to nobody else.
func (l *Logger) Info(ctx context.Context, msg string, args ...any) {
	l.say(ctx, gormlogger.Info, logger.LevelDebug, msg, args)
}

// Warn logs what gorm warns of.
func (l *Logger) Warn(ctx context.Context, msg string, args ...any) {
	l.say(ctx, gormlogger.Warn, logger.LevelWarn, msg, args)
}

// Error logs what gorm finds wrong outside a statement.
func (l *Logger) Error(ctx context.Context, msg string, args ...any) {
	l.say(ctx, gormlogger.Error, logger.LevelError, msg, args)
}

func (l *Logger) say(ctx context.Context, mode gormlogger.LogLevel, level logger.Level, msg string, args []any) {
	if l.mode < mode || !l.log.Enabled(level) {
		return
	}
	if len(args) > 0 {
		msg = fmt.Sprintf(msg, args...)
	}
	detail := l.shownError(errors.New(strings.TrimSpace(msg))).Error()
	l.log.Ctx(ctx).Log(level, "gorm", logger.String("detail", detail), logger.String("caller", caller()))
}

// Trace logs one statement.
func (l *Logger) Trace(ctx context.Context, begin time.Time, explain func() (sql string, rows int64), err error) {
	took := time.Since(begin)
	level, mode, msg := l.judge(ctx, took, err)
	if l.mode < mode || !l.log.Enabled(level) {
		return
	}
	text, rows := explain()
	if !l.values {
		text = Fingerprint(l.cfg.Dialect, text)
	}
	fields := make([]logger.Arg, 0, 5)
	fields = append(fields,
		logger.String("sql", text),
		logger.Duration("duration", took),
		logger.String("caller", caller()))
	if rows >= 0 {
		fields = append(fields, logger.Int64("rows", rows))
	}
	if err != nil {
		fields = append(fields, logger.Err(l.shownError(err)))
	}
	l.log.Ctx(ctx).Log(level, msg, fields...)
}

// judge tells at which level a statement is logged, from which mode on, and how.
func (l *Logger) judge(ctx context.Context, took time.Duration, err error) (logger.Level, gormlogger.LogLevel, string) {
	switch outcome := outcomeOf(ctx, err); {
	case errors.Is(err, gorm.ErrDuplicatedKey), errors.Is(err, gorm.ErrForeignKeyViolated), errors.Is(err, gorm.ErrCheckConstraintViolated):
		return l.refused, gormlogger.Warn, "sql refused"
	case outcome == observe.Failed, outcome == observe.Timeout:
		return l.failed, gormlogger.Error, "sql failed"
	case took >= l.cfg.SlowThreshold:
		return logger.LevelWarn, gormlogger.Warn, "sql slow"
	default:
		return l.statement, gormlogger.Info, "sql"
	}
}

func (l *Logger) shownError(err error) error {
	if l.values {
		return err
	}
	return quietError{err}
}

// ParamsFilter keeps gorm from inlining values into the SQL that it hands to Trace.
func (l *Logger) ParamsFilter(_ context.Context, sql string, params ...any) (string, []any) {
	if l.values {
		return sql, params
	}
	return sql, nil
}
