// Package zaplog writes Bulwark's log lines with zap.
//
//	log := logger.New(zaplog.New(zapLogger))
//
// Lines go to the zap logger's core: its encoder, sinks, sampling, tees and fields
// all hold. What zap computes in front of its core is the business of
// [logger.Logger] instead: ask for callers with [logger.WithCaller], which stays
// right whatever wraps the core, and not with zap.AddCaller; stack traces
// (zap.AddStacktrace), zap.WithClock and zap.WithFatalHook have no effect. Errors
// are written as their text, without zap's "errorVerbose". Durations and times
// follow the encoder's configuration.
//
// Trace id, span id and module are written as fields under [logger.KeyTrace],
// [logger.KeySpan] and [logger.KeyModule].
package zaplog

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/bulwark-go/bulwark/logger"
)

// New returns a Core over zap. Over a nil logger it discards everything. A zapcore
// of one's own must not keep the fields that its Write is given: their slice is
// used again. zap's cores do not.
func New(zl *zap.Logger) logger.Core {
	if zl == nil {
		return logger.Nop()
	}
	return &core{
		zap: zl.Core(), name: zl.Name(), failures: zapcore.Lock(os.Stderr), direct: isWriter(zl.Core()),
	}
}

type core struct {
	zap  zapcore.Core
	name string
	// failures is where zap says that a sink failed: its own default.
	failures zapcore.WriteSyncer
	// direct is set over a core that only encodes and writes. Its Check would ask
	// Enabled again, which has been asked, and copy the entry into a pooled one.
	direct bool
}

// isWriter tells whether c is what zapcore.NewCore returns, and neither samples,
// tees nor hooks.
func isWriter(c zapcore.Core) bool {
	return reflect.TypeOf(c) == reflect.TypeOf(zapcore.NewCore(nil, nil, nil))
}

func (c *core) Enabled(l logger.Level) bool { return c.zap.Enabled(level(l)) }

func (c *core) With(fields []logger.Field) logger.Core {
	derived := *c
	derived.zap = c.zap.With(appendFields(nil, fields))
	return &derived
}

func (c *core) Write(e logger.Entry, fields []logger.Field) {
	entry := zapcore.Entry{Level: level(e.Level), Time: e.Time, LoggerName: c.name, Message: e.Message}
	if e.PC != 0 {
		f := e.Caller()
		entry.Caller = zapcore.EntryCaller{Defined: true, PC: e.PC, File: f.File, Line: f.Line, Function: f.Function}
	}
	if c.direct && e.Module == "" && e.TraceID == "" && e.SpanID == "" && allPlain(fields) {
		c.write(entry, zapFields(fields))
		return
	}
	b := buffers.Get().(*buffer)
	b.fields = appendFields(appendEntry(b.fields[:0], &e), fields)
	if c.direct {
		c.write(entry, b.fields)
	} else if ce := c.zap.Check(entry, nil); ce != nil {
		ce.ErrorOutput = c.failures
		ce.Caller = entry.Caller
		ce.Write(b.fields...)
	}
	b.free()
}

// write does for a direct core what CheckedEntry.Write does.
func (c *core) write(e zapcore.Entry, fields []zapcore.Field) {
	if err := c.zap.Write(e, fields); err != nil {
		fmt.Fprintf(c.failures, "%v write error: %v\n", e.Time, err)
		_ = c.failures.Sync()
	}
}

// level maps to the next level below that zap has a name for.
func level(l logger.Level) zapcore.Level {
	switch {
	case l < logger.LevelInfo:
		return zapcore.DebugLevel
	case l < logger.LevelWarn:
		return zapcore.InfoLevel
	case l < logger.LevelError:
		return zapcore.WarnLevel
	}
	return zapcore.ErrorLevel
}

func appendEntry(dst []zapcore.Field, e *logger.Entry) []zapcore.Field {
	dst = appendText(dst, logger.KeyModule, e.Module)
	dst = appendText(dst, logger.KeyTrace, e.TraceID)
	return appendText(dst, logger.KeySpan, e.SpanID)
}

func appendText(dst []zapcore.Field, key, value string) []zapcore.Field {
	if value == "" {
		return dst
	}
	return append(dst, zap.String(key, value))
}

func appendFields(dst []zapcore.Field, fields []logger.Field) []zapcore.Field {
	for i := range fields {
		if f := &fields[i]; isPlain(f) {
			dst = append(dst, *zapField(f))
		} else {
			dst = appendField(dst, f)
		}
	}
	return dst
}

// appendField appends what is not plain.
func appendField(dst []zapcore.Field, f *logger.Field) []zapcore.Field {
	switch f.Kind {
	case logger.KindTime:
		return append(dst, timeField(f))
	case logger.KindJSON:
		return append(dst, zap.Reflect(f.Key, json.RawMessage(f.Text)))
	case logger.KindGroup:
		return appendGroup(dst, f)
	}
	if r := f.Resolved(); !r.Empty() {
		return appendFields(dst, []logger.Field{r})
	}
	return dst
}

func timeField(f *logger.Field) zapcore.Field {
	if t, ok := f.Any.(time.Time); ok {
		return zapcore.Field{Key: f.Key, Type: zapcore.TimeFullType, Interface: t}
	}
	return zapcore.Field{Key: f.Key, Type: zapcore.TimeType, Integer: f.Num, Interface: f.Any}
}

func appendGroup(dst []zapcore.Field, f *logger.Field) []zapcore.Field {
	r := f.Resolved() // reads and bounds the whole tree
	switch {
	case r.Kind != logger.KindGroup:
		return appendFields(dst, []logger.Field{r})
	case r.Empty():
		return dst
	case r.Key == "":
		return appendFields(dst, r.Fields())
	}
	return append(dst, zap.Object(r.Key, group(r.Fields())))
}

// group writes resolved fields as a nested object.
type group []logger.Field

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (g group) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	b := buffers.Get().(*buffer)
	b.fields = appendFields(b.fields[:0], g)
	for _, f := range b.fields {
		f.AddTo(enc)
	}
	b.free()
	return nil
}

type buffer struct{ fields []zapcore.Field }

var buffers = sync.Pool{New: func() any { return &buffer{fields: make([]zapcore.Field, 0, 16)} }}

func (b *buffer) free() {
	if cap(b.fields) > 128 {
		return // one huge line must not pin its memory
	}
	clear(b.fields)
	buffers.Put(b)
}
