// Package zerologlog writes Bulwark's log lines with zerolog.
//
//	log := logger.New(zerologlog.New(zerolog.New(os.Stderr)))
//
// The line's time is written under zerolog.TimestampFieldName in RFC 3339 with
// nanoseconds; do not add Timestamp() to the zerolog logger as well. Callers are
// those of [logger.WithCaller], under zerolog.CallerFieldName as "file:line".
// Times and durations are written as texts (RFC 3339, "1.5s"), because their form
// in zerolog is a setting of the whole process.
//
// Trace id, span id and module are written under [logger.KeyTrace],
// [logger.KeySpan] and [logger.KeyModule]. A zerolog logger's level is fixed; give
// it a run-time level with [logger.AtLeast].
package zerologlog

import (
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/bulwark-go/bulwark/logger"
)

// New returns a Core over zl. Over the zero zerolog.Logger it discards everything.
func New(zl zerolog.Logger) logger.Core { return &core{zl: zl} }

type core struct{ zl zerolog.Logger }

func (c *core) Enabled(l logger.Level) bool {
	zl := level(l)
	return zl >= c.zl.GetLevel() && zl >= zerolog.GlobalLevel()
}

func (c *core) With(fields []logger.Field) logger.Core {
	return &core{zl: c.zl.With().EmbedObject(object(fields)).Logger()}
}

func (c *core) Write(e logger.Entry, fields []logger.Field) {
	ev := c.zl.WithLevel(level(e.Level))
	if !ev.Enabled() {
		return
	}
	if !e.Time.IsZero() {
		addTime(ev, zerolog.TimestampFieldName, e.Time)
	}
	if e.PC != 0 {
		f := e.Caller()
		ev.Str(zerolog.CallerFieldName, f.File+":"+strconv.Itoa(f.Line))
	}
	for _, f := range [...]struct{ key, value string }{
		{logger.KeyModule, e.Module}, {logger.KeyTrace, e.TraceID}, {logger.KeySpan, e.SpanID},
	} {
		if f.value != "" {
			ev.Str(f.key, f.value)
		}
	}
	add(ev, fields)
	ev.Msg(e.Message)
}

// level maps to the next level below that zerolog has.
func level(l logger.Level) zerolog.Level {
	switch {
	case l < logger.LevelDebug:
		return zerolog.TraceLevel
	case l < logger.LevelInfo:
		return zerolog.DebugLevel
	case l < logger.LevelWarn:
		return zerolog.InfoLevel
	case l < logger.LevelError:
		return zerolog.WarnLevel
	}
	return zerolog.ErrorLevel
}

func add(ev *zerolog.Event, fields []logger.Field) {
	for i := range fields {
		f := fields[i].Resolved()
		if !f.Empty() {
			addField(ev, f)
		}
	}
}

// addField adds a resolved field.
func addField(ev *zerolog.Event, f logger.Field) {
	key := visible(f.Key)
	switch f.Kind {
	case logger.KindString:
		ev.Str(key, f.Text)
	case logger.KindInt64:
		ev.Int64(key, f.Num)
	case logger.KindUint64:
		ev.Uint64(key, uint64(f.Num))
	case logger.KindFloat64:
		ev.Float64(key, f.Float())
	case logger.KindBool:
		ev.Bool(key, f.Num != 0)
	case logger.KindDuration:
		ev.Str(key, time.Duration(f.Num).String())
	case logger.KindTime:
		addTime(ev, key, f.Time())
	case logger.KindJSON:
		ev.RawJSON(key, []byte(f.Text))
	case logger.KindGroup:
		if key == "" {
			add(ev, f.Fields())
			return
		}
		ev.Object(key, object(f.Fields()))
	}
}

func addTime(ev *zerolog.Event, key string, t time.Time) {
	var buf [len(time.RFC3339Nano)]byte
	ev.Bytes(key, t.AppendFormat(buf[:0], time.RFC3339Nano))
}

// object writes fields into an object of zerolog's.
type object []logger.Field

// MarshalZerologObject implements zerolog.LogObjectMarshaler.
func (o object) MarshalZerologObject(ev *zerolog.Event) { add(ev, o) }

// visible makes control characters in a key visible: zerolog's console shows keys,
// unlike values, as they are.
func visible(key string) string {
	for i := range len(key) {
		if key[i] < 0x20 || key[i] == 0x7f {
			quoted := strconv.Quote(key)
			return quoted[1 : len(quoted)-1]
		}
	}
	return key
}
