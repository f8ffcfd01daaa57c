// Package logger is the logging interface that every Bulwark package takes, and
// a thin front for the logging library that a service already has.
//
// [Logger] is a small concrete value with typed fields, so that a line costs no
// allocation and a line below the level costs a few nanoseconds. What happens to
// a line is the [Core]'s business: logger/zaplog, logger/sloglog and
// logger/zerologlog hand it to zap, slog and zerolog, logger/mask hides personal
// data and secrets on the way, logger/loggertest records it for assertions.
// [NewSampler] thins floods out, [NewAsync] keeps a slow sink away from requests,
// [Levels] sets the level of each module while the service runs.
//
//	log := logger.New(mask.New(zaplog.New(zapLogger))).With(logger.String("svc", "webook"))
//	log.Warn("sms limited", logger.String("phone", phone), logger.Err(err)) // phone leaves masked
//
// There is no Fatal and no Panic: a library does not end its caller's process,
// and a process that ends inside a log call loses the lines not yet flushed.
//
// The same line reads the same over every back end. A key that is repeated within
// one call appears once, with its last value ([KeepDuplicates] changes that); a
// key given to [Logger.With] and again in a call appears twice, the call's value
// last, which is the one that JSON readers take. With reads its fields at once:
// what happens to their values later does not show. Control characters in a
// message are escaped, so that no text can pretend to be a line of its own.
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
	"runtime"
	"time"
)

// Entry is a line without its fields.
type Entry struct {
	// Time is when the line was logged; a Core leaves a zero Time out.
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

// Caller returns the place in the source behind PC; its PC is 0 without one.
func (e Entry) Caller() runtime.Frame {
	if e.PC == 0 {
		return runtime.Frame{}
	}
	pcs := [1]uintptr{e.PC}
	frame, _ := runtime.CallersFrames(pcs[:]).Next()
	return frame
}

// Core is the back end of a Logger. Implementations must be safe for concurrent
// use. logger/loggertest has a suite that every Core should pass.
type Core interface {
	// Enabled tells whether lines of the level go anywhere. It is called for each
	// line, before anything else is computed.
	Enabled(Level) bool
	// With returns a Core that adds fields to each line. It must copy what it
	// keeps, values included ([Field.Resolved] does that): the caller may reuse
	// the slice and change what it points to.
	With(fields []Field) Core
	// Write writes one line. It must not keep or change fields, and never panics.
	// It is not called below the enabled level; a Core need not ask again.
	Write(e Entry, fields []Field)
}

// TraceFunc extracts the trace and span id from a context; both are empty where
// there is no trace. observe/otel supplies one for OpenTelemetry.
type TraceFunc func(context.Context) (traceID, spanID string)

// Logger writes lines to a [Core]. It is a value: copy it freely. The zero Logger
// discards everything. A Logger is safe for concurrent use.
type Logger struct {
	front *front
	ids   *traceIDs // nil for none; behind a pointer so that a call fits into registers
}

// New returns a Logger over core; over nil it discards everything.
func New(core Core, opts ...Option) Logger {
	if core == nil {
		return Logger{}
	}
	f := &front{core: core}
	for _, o := range opts {
		o.apply(f)
	}
	if f.levels != nil {
		f.level = f.levels.module("")
	}
	return Logger{front: f}
}

// Enabled tells whether a line of the level would be written.
func (l Logger) Enabled(level Level) bool { return l.front != nil && l.front.enabled(level) }

// With returns a Logger that adds fields to each line.
func (l Logger) With(args ...Arg) Logger {
	if l.front == nil || len(args) == 0 {
		return l
	}
	f := *l.front
	f.core = f.with(args)
	l.front = &f
	return l
}

// Ctx returns a Logger whose lines carry the trace and span id found in ctx: by
// the function given with [WithTrace], else as [ContextWithTrace] stored them.
func (l Logger) Ctx(ctx context.Context) Logger {
	if l.front == nil || ctx == nil {
		return l
	}
	l.ids = nil
	if l.front.trace != nil {
		if trace, span := l.front.trace(ctx); trace != "" {
			l.ids = &traceIDs{trace, span}
			return l
		}
	}
	l.ids, _ = ctx.Value(traceKey{}).(*traceIDs)
	return l
}

// Named returns a Logger for the module called name, such as "smsx" or
// "smsx.aliyun". The name replaces an earlier one; it should come from code, not
// from data.
func (l Logger) Named(name string) Logger {
	if l.front == nil {
		return l
	}
	f := *l.front
	f.module = name
	if f.levels != nil {
		f.level = f.levels.module(name)
	}
	l.front = &f
	return l
}

// Log writes a line at a level that is only known at run time.
func (l Logger) Log(level Level, msg string, args ...Arg) { l.log(level, msg, args) }

// Debug writes a line that a developer wants while looking for a fault.
func (l Logger) Debug(msg string, args ...Arg) { l.log(LevelDebug, msg, args) }

// Info writes a line that an operator wants in calm times.
func (l Logger) Info(msg string, args ...Arg) { l.log(LevelInfo, msg, args) }

// Warn writes a line about something tolerable that should be watched.
func (l Logger) Warn(msg string, args ...Arg) { l.log(LevelWarn, msg, args) }

// Error writes a line about something that should be impossible.
func (l Logger) Error(msg string, args ...Arg) { l.log(LevelError, msg, args) }

// LogEntry writes a line whose time, caller and ids another logging API already
// knows: it is for bridges, such as sloglog's handler. An empty Module, TraceID or
// SpanID is filled in from l; Time and PC stay as given.
func (l Logger) LogEntry(e Entry, args ...Arg) {
	if !l.Enabled(e.Level) {
		return
	}
	if e.Module == "" {
		e.Module = l.front.module
	}
	if e.TraceID == "" && l.ids != nil {
		e.TraceID, e.SpanID = l.ids.trace, l.ids.span
	}
	l.front.write(&e, args)
}

// log must stay a plain call with the level test inside, so that the methods above
// are inlined, and small, so that a disabled line costs no stack frame to speak of.
// Neither it nor what it calls may let args escape, nor what their refs point to: both
// stay on the caller's stack.
func (l Logger) log(level Level, msg string, args []Arg) {
	if l.Enabled(level) {
		l.emit(level, msg, args)
	}
}

//go:noinline
func (l Logger) emit(level Level, msg string, args []Arg) {
	e := Entry{Time: time.Now(), Level: level, Message: msg, Module: l.front.module}
	if l.ids != nil {
		e.TraceID, e.SpanID = l.ids.trace, l.ids.span
	}
	if l.front.caller {
		e.PC = callerPC()
	}
	l.front.write(&e, args)
}

// callerPC returns the program counter of the call to the exported method: above
// runtime.Callers, callerPC, emit, log and the method itself.
func callerPC() uintptr {
	var pcs [1]uintptr
	runtime.Callers(5, pcs[:])
	return pcs[0]
}
