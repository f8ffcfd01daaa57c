package sloglog

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/logger"
)

// New returns a Core over a slog handler. Over a nil handler it discards
// everything. Handlers that take trace ids from a context find none: lines carry
// them as fields, see [logger.Logger.Ctx].
func New(h slog.Handler) logger.Core {
	if h == nil {
		return logger.Nop()
	}
	return &core{handler: h}
}

type core struct{ handler slog.Handler }

func (c *core) Enabled(l logger.Level) bool {
	return c.handler.Enabled(context.Background(), slog.Level(l))
}

func (c *core) With(fields []logger.Field) logger.Core {
	return &core{handler: c.handler.WithAttrs(appendAttrs(nil, fields))}
}

func (c *core) Write(e logger.Entry, fields []logger.Field) {
	r := slog.NewRecord(e.Time, slog.Level(e.Level), e.Message, e.PC)
	b := buffers.Get().(*buffer)
	b.attrs = appendAttrs(appendEntry(b.attrs[:0], &e), fields)
	r.AddAttrs(b.attrs...)
	// slog's own Logger ignores this error as well: there is nowhere to report it.
	_ = c.handler.Handle(context.Background(), r)
	b.free()
}

func appendEntry(dst []slog.Attr, e *logger.Entry) []slog.Attr {
	for _, f := range [...]struct{ key, value string }{
		{logger.KeyModule, e.Module}, {logger.KeyTrace, e.TraceID}, {logger.KeySpan, e.SpanID},
	} {
		if f.value != "" {
			dst = append(dst, slog.String(f.key, f.value))
		}
	}
	return dst
}

func appendAttrs(dst []slog.Attr, fields []logger.Field) []slog.Attr {
	for i := range fields {
		f := fields[i].Resolved()
		if !f.Empty() {
			dst = append(dst, slog.Attr{Key: f.Key, Value: value(f)})
		}
	}
	return dst
}

// value returns the value of a resolved field.
func value(f logger.Field) slog.Value {
	switch f.Kind {
	case logger.KindInt64:
		return slog.Int64Value(f.Num)
	case logger.KindUint64:
		return slog.Uint64Value(uint64(f.Num))
	case logger.KindFloat64:
		return slog.Float64Value(f.Float())
	case logger.KindBool:
		return slog.BoolValue(f.Num != 0)
	case logger.KindDuration:
		return slog.DurationValue(time.Duration(f.Num))
	case logger.KindTime:
		return slog.TimeValue(f.Time())
	case logger.KindJSON:
		return slog.AnyValue(json.RawMessage(f.Text))
	case logger.KindGroup:
		return slog.GroupValue(appendAttrs(nil, f.Fields())...)
	}
	return slog.StringValue(f.Text)
}

type buffer struct{ attrs []slog.Attr }

var buffers = sync.Pool{New: func() any { return &buffer{attrs: make([]slog.Attr, 0, 16)} }}

func (b *buffer) free() {
	if cap(b.attrs) > 128 {
		return // one huge line must not pin its memory
	}
	clear(b.attrs)
	buffers.Put(b)
}
