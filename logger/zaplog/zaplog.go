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
	"os"
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
	return &core{zap: zl.Core(), name: zl.Name(), failures: zapcore.Lock(os.Stderr)}
}

type core struct {
	zap  zapcore.Core
	name string
	// failures is where zap says that a sink failed: its own default.
	failures zapcore.WriteSyncer
}

func (c *core) Enabled(l logger.Level) bool { return c.zap.Enabled(level(l)) }

func (c *core) With(fields []logger.Field) logger.Core {
	derived := *c
	derived.zap = c.zap.With(appendFields(nil, fields))
	return &derived
}

func (c *core) Write(e logger.Entry, fields []logger.Field) {
	ce := c.zap.Check(zapcore.Entry{
		Level: level(e.Level), Time: e.Time, LoggerName: c.name, Message: e.Message,
	}, nil)
	if ce == nil {
		return
	}
	ce.ErrorOutput = c.failures
	if e.PC != 0 {
		f := e.Caller()
		ce.Caller = zapcore.EntryCaller{Defined: true, PC: e.PC, File: f.File, Line: f.Line, Function: f.Function}
	}
	b := buffers.Get().(*buffer)
	b.fields = appendFields(appendEntry(b.fields[:0], &e), fields)
	ce.Write(b.fields...)
	b.free()
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
	for _, f := range [...]struct{ key, value string }{
		{logger.KeyModule, e.Module}, {logger.KeyTrace, e.TraceID}, {logger.KeySpan, e.SpanID},
	} {
		if f.value != "" {
			dst = append(dst, zap.String(f.key, f.value))
		}
	}
	return dst
}

// plain has zap's type for the kinds whose fields have the layout of zap's.
var plain = [...]zapcore.FieldType{
	logger.KindString: zapcore.StringType, logger.KindInt64: zapcore.Int64Type, logger.KindUint64: zapcore.Uint64Type,
	logger.KindFloat64: zapcore.Float64Type, logger.KindBool: zapcore.BoolType, logger.KindDuration: zapcore.DurationType,
}

func appendFields(dst []zapcore.Field, fields []logger.Field) []zapcore.Field {
	for i := range fields {
		f := &fields[i]
		if int(f.Kind) >= len(plain) || plain[f.Kind] == zapcore.UnknownType {
			dst = appendField(dst, f)
			continue
		}
		dst = append(dst, zapcore.Field{})
		z := &dst[len(dst)-1] // written in place: a copy of eight words costs more than the words
		z.Key, z.Type, z.Integer, z.String = f.Key, plain[f.Kind], f.Num, f.Text
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
