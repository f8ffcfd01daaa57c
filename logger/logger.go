// Package logger is the logging interface that every Bulwark package takes, and
// a thin front for the logging library that a service already has.
//
// [Logger] is a small concrete value with typed fields, so that a line costs no
// allocation and a line below the level costs a few nanoseconds. What happens to
// a line is the [Core]'s business: logger/zaplog, logger/sloglog and
// logger/zerologlog hand it to zap, slog and zerolog, logger/mask hides personal
// data and secrets on the way, logger/loggertest records it for assertions.
//
//	log := logger.New(mask.New(zaplog.New(zapLogger))).With(logger.String("svc", "webook"))
//	log.Warn("sms limited", logger.String("phone", phone), logger.Err(err)) // phone leaves masked
//
// There is no Fatal and no Panic: a library does not end its caller's process,
// and a process that ends inside a log call loses the lines not yet flushed.
//
// What to log at which level:
//
//   - Debug: every database, cache and RPC call, and every request we serve.
//   - Info: what an operator wants to know in calm times: started, stopped,
//     configuration taken over.
//   - Warn: tolerable, but watch it: a client's mistake, a retry, a fallback.
//   - Error: should be impossible, or an attack, or ours to mend.
package logger

import (
	"context"
	"time"
)

// Level is the severity of a line. The zero Level is LevelInfo, as in slog, whose
// numbers these are, so that levels in between stay possible.
type Level int8

// The levels.
const (
	LevelDebug Level = -4
	LevelInfo  Level = 0
	LevelWarn  Level = 4
	LevelError Level = 8
)

// Entry is a line without its fields.
type Entry struct {
	// Time is when the line was logged.
	Time  time.Time
	Level Level
	// Message is constant text; what varies belongs into fields.
	Message string
	// Module is the name given with [Logger.Named]; empty for none.
	Module string
	// PC is the caller's program counter; 0 unless [WithCaller] is set.
	PC uintptr
	// TraceID and SpanID come from the context given to [Logger.Ctx]; empty for none.
	TraceID, SpanID string
}

// Core is the back end of a Logger. Implementations must be safe for concurrent
// use.
type Core interface {
	// Enabled tells whether lines of the level go anywhere. It is called for each
	// line, before anything else is computed.
	Enabled(Level) bool
	// With returns a Core that adds fields to each line. It must copy what it
	// keeps: the caller may reuse the slice.
	With(fields []Field) Core
	// Write writes one line. It must not keep or change fields, and never panics.
	Write(e Entry, fields []Field)
}

// TraceFunc extracts the trace and span id from a context; both are empty where
// there is no trace. observe/otel supplies one for OpenTelemetry.
type TraceFunc func(context.Context) (traceID, spanID string)

// Logger writes lines to a [Core]. It is a value: copy it freely. The zero Logger
// discards everything. A Logger is safe for concurrent use.
type Logger struct {
	core   Core
	trace  TraceFunc
	module string
	ids    [2]string
}

// Option configures [New].
type Option interface{ apply(*Logger) }

type optionFunc func(*Logger)

func (f optionFunc) apply(l *Logger) { f(l) }

// WithTrace sets how [Logger.Ctx] finds trace ids. Without it lines carry none.
func WithTrace(f TraceFunc) Option {
	return optionFunc(func(l *Logger) { l.trace = f })
}

// New returns a Logger over core; over nil it discards everything.
func New(core Core, opts ...Option) Logger {
	l := Logger{core: core}
	for _, o := range opts {
		o.apply(&l)
	}
	return l
}

// Enabled tells whether a line of the level would be written.
func (l Logger) Enabled(level Level) bool { return l.core != nil && l.core.Enabled(level) }

// With returns a Logger that adds fields to each line.
func (l Logger) With(fields ...Field) Logger {
	if l.core != nil && len(fields) > 0 {
		l.core = l.core.With(fields)
	}
	return l
}

// Ctx returns a Logger whose lines carry the trace and span id found in ctx.
func (l Logger) Ctx(ctx context.Context) Logger {
	if l.trace != nil && l.core != nil {
		l.ids[0], l.ids[1] = l.trace(ctx)
	}
	return l
}

// Named returns a Logger for the module called name, such as "smsx".
func (l Logger) Named(name string) Logger {
	l.module = name
	return l
}

// Log writes a line at a level that is only known at run time.
func (l Logger) Log(level Level, msg string, fields ...Field) {
	if l.Enabled(level) {
		l.write(level, msg, fields)
	}
}

// Debug writes a line that a developer wants while looking for a fault.
func (l Logger) Debug(msg string, fields ...Field) {
	if l.Enabled(LevelDebug) {
		l.write(LevelDebug, msg, fields)
	}
}

// Info writes a line that an operator wants in calm times.
func (l Logger) Info(msg string, fields ...Field) {
	if l.Enabled(LevelInfo) {
		l.write(LevelInfo, msg, fields)
	}
}

// Warn writes a line about something tolerable that should be watched.
func (l Logger) Warn(msg string, fields ...Field) {
	if l.Enabled(LevelWarn) {
		l.write(LevelWarn, msg, fields)
	}
}

// Error writes a line about something that should be impossible.
func (l Logger) Error(msg string, fields ...Field) {
	if l.Enabled(LevelError) {
		l.write(LevelError, msg, fields)
	}
}

func (l Logger) write(level Level, msg string, fields []Field) {
	l.core.Write(Entry{
		Time: time.Now(), Level: level, Message: msg, Module: l.module,
		TraceID: l.ids[0], SpanID: l.ids[1],
	}, fields)
}
