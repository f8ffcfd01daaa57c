package logger

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"unicode/utf8"
)

// Bounds of what one value may print.
const (
	maxDepth = 8
	maxSize  = 8 << 10
)

// Texts that stand for what was left out.
const (
	tooDeep   = "(too deep)"
	tooLong   = "(truncated)"
	cyclic    = "(cycle)"
	nilText   = "<nil>"
	badNumber = "NaN"
)

// Resolved returns f with its value read: errors, Stringers, LogValuers, structs,
// maps and lists have become texts, numbers, groups or JSON, so that what happens
// to them later no longer shows. It never panics, and what it returns is bounded
// as [Any] says. The Kind of the result is none of KindAny and KindError, and so
// is that of each field in a group; a Core that resolves what it gets has only
// plain kinds to deal with. Floats that JSON has no number for become texts.
// Fields that are empty stay empty.
func (f Field) Resolved() Field {
	switch f.Kind {
	case KindError:
		return resolveError(f)
	case KindAny, KindGroup:
		r := resolver{left: maxNodes}
		return r.field(f, 0)
	case KindFloat64:
		if v := f.Float(); math.IsNaN(v) || math.IsInf(v, 0) {
			return textField(f.Key, floatText(v))
		}
	}
	return f
}

// maxNodes bounds what values that yield further values, such as a LogValuer that
// returns itself twice in a group, can unfold to.
const maxNodes = 1000

type resolver struct{ left int }

func resolveError(f Field) Field {
	err, ok := f.Any.(error)
	if !ok {
		return Field{}
	}
	return textField(f.Key, errorText(err))
}

func (r *resolver) field(f Field, depth int) Field {
	r.left--
	switch f.Kind {
	case KindGroup:
		if depth >= maxDepth {
			return textField(f.Key, tooDeep)
		}
		return Field{Key: f.Key, Kind: KindGroup, Any: r.fields(f.Fields(), depth+1)}
	case KindAny:
		if f.Empty() {
			return f
		}
		return r.any(f, depth)
	}
	return f.Resolved()
}

func (r *resolver) fields(fields []Field, depth int) []Field {
	out := make([]Field, 0, len(fields))
	for _, f := range fields {
		if f.Empty() {
			continue
		}
		if r.left <= 0 {
			return append(out, Bool(tooLong, true).Field())
		}
		if f = r.field(f, depth); !f.Empty() {
			out = append(out, f)
		}
	}
	return out
}

// any looks for the methods by which a value says itself how it wants to be
// logged, in the order of how much they know about logging.
func (r *resolver) any(f Field, depth int) Field {
	v := f.Any
	if isNilPointer(v) {
		return Field{Key: f.Key, Kind: KindJSON, Text: "null"}
	}
	if lv, ok := v.(slog.LogValuer); ok {
		return r.field(fromAttr(slog.Attr{Key: f.Key, Value: slog.AnyValue(lv)}, 0), depth)
	}
	if text, ok := asText(v); ok {
		return textField(f.Key, text)
	}
	if _, ok := v.(json.Marshaler); !ok {
		if plain, ok := scalar(f.Key, reflect.ValueOf(v)); ok {
			return plain
		}
	}
	e := encoder{buf: make([]byte, 0, 128), resolver: r}
	e.value(reflect.ValueOf(v), depth)
	return Field{Key: f.Key, Kind: KindJSON, Text: string(e.buf)}
}

// scalar covers the named types under a basic one that [Any] cannot list.
func scalar(key string, v reflect.Value) (Field, bool) {
	switch v.Kind() {
	case reflect.String:
		return textField(key, cut(v.String())), true
	case reflect.Bool:
		return Bool(key, v.Bool()).Field(), true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return Int64(key, v.Int()).Field(), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return Uint64(key, v.Uint()).Field(), true
	case reflect.Float32, reflect.Float64:
		return Float64(key, v.Float()).Field().Resolved(), true
	}
	return Field{}, false
}

// FromAttr returns a as an Arg, LogValuers resolved; for bridges from slog. The
// zero Attr gives the zero Arg.
func FromAttr(a slog.Attr) Arg {
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		return String(a.Key, v.String())
	case slog.KindInt64:
		return Int64(a.Key, v.Int64())
	case slog.KindBool:
		return Bool(a.Key, v.Bool())
	case slog.KindDuration:
		return Duration(a.Key, v.Duration())
	}
	return fromAttr(a, 0).Arg()
}

func fromAttr(a slog.Attr, depth int) Field {
	if depth > maxDepth {
		return textField(a.Key, tooDeep)
	}
	v := resolve(a.Value)
	switch v.Kind() {
	case slog.KindString:
		return textField(a.Key, v.String())
	case slog.KindInt64:
		return Int64(a.Key, v.Int64()).Field()
	case slog.KindUint64:
		return Uint64(a.Key, v.Uint64()).Field()
	case slog.KindFloat64:
		return Float64(a.Key, v.Float64()).Field()
	case slog.KindBool:
		return Bool(a.Key, v.Bool()).Field()
	case slog.KindDuration:
		return Duration(a.Key, v.Duration()).Field()
	case slog.KindTime:
		return timeField(a.Key, v.Time())
	case slog.KindGroup:
		attrs := v.Group()
		fields := make([]Field, len(attrs))
		for i, inner := range attrs {
			if inner.Value.Kind() == slog.KindLogValuer { // resolved later, with a bound
				fields[i] = Field{Key: inner.Key, Any: inner.Value.Any()}
				continue
			}
			fields[i] = fromAttr(inner, depth+1)
		}
		return group(a.Key, fields)
	}
	return Any(a.Key, v.Any()).Field()
}

// resolve follows LogValuers to their value. slog's own Resolve would put the
// stack of a panic, with the machine's paths, into the line.
func resolve(v slog.Value) slog.Value {
	for range maxDepth {
		if v.Kind() != slog.KindLogValuer {
			return v
		}
		v = logValue(v.LogValuer())
	}
	return slog.StringValue(tooDeep)
}

func logValue(lv slog.LogValuer) (v slog.Value) {
	defer func() {
		if p := recover(); p != nil {
			v = slog.StringValue(panicText(lv, p))
		}
	}()
	return lv.LogValue()
}

// asText returns the text of a value with a method for that.
func asText(v any) (string, bool) {
	switch v := v.(type) {
	case error:
		return errorText(v), true
	case json.Marshaler:
		return "", false
	case encoding.TextMarshaler:
		return call(v, func() string {
			text, err := v.MarshalText()
			if err != nil {
				return fmt.Sprintf("(MarshalText: %v)", err)
			}
			return string(text)
		}), true
	case fmt.Stringer:
		return call(v, v.String), true
	}
	return "", false
}

// errorText is call without its closure, which costs an allocation.
func errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = panicText(err, p)
		}
	}()
	return cut(err.Error())
}

// call runs a method of a user's value: a panic becomes text, and the result is
// cut to what a line can bear.
func call(v any, method func() string) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = panicText(v, p)
		}
	}()
	return cut(method())
}

func panicText(v, p any) (text string) {
	if isNilPointer(v) {
		return nilText
	}
	defer func() {
		if recover() != nil {
			text = "(panic)"
		}
	}()
	return cut(fmt.Sprintf("(panic: %v)", p))
}

func isNilPointer(v any) bool {
	rv := reflect.ValueOf(v)
	return !rv.IsValid() || rv.Kind() == reflect.Pointer && rv.IsNil()
}

// cut shortens s to maxSize, between two runes.
func cut(s string) string {
	if len(s) <= maxSize {
		return s
	}
	n := maxSize - len(tooLong)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + tooLong
}

func floatText(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return badNumber
}

// stringer defers a String call to when the line is written, and prefers it to
// every other method of the value.
type stringer struct{ v fmt.Stringer }

func (s stringer) LogValue() slog.Value {
	if s.v == nil || isNilPointer(s.v) {
		return slog.StringValue(nilText)
	}
	return slog.StringValue(call(s.v, s.v.String))
}
