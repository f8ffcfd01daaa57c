package logger

import (
	"fmt"
	"log/slog"
	"math"
	"time"
)

// Kind tells which part of a [Field] holds its value.
type Kind uint8

// The kinds. The zero Kind is KindAny.
const (
	// KindAny holds a value that [Field.Resolved] has still to look into.
	KindAny Kind = iota
	KindString
	KindInt64
	KindUint64
	KindFloat64
	KindBool
	KindDuration
	KindTime
	KindError
	KindGroup
	// KindJSON holds a JSON text; it is what [Field.Resolved] makes of structs,
	// maps and lists.
	KindJSON
)

// Field is a key with a typed value. Build one with the functions below; read one
// in a [Core] by its Kind. The zero Field is left out of a line.
type Field struct {
	Key  string
	Kind Kind
	// Num holds integers, the bits of a float, a bool as 0 or 1, and nanoseconds:
	// a duration's, or a time's since the Unix epoch.
	Num int64
	// Text holds a string or a JSON text.
	Text string
	// Any holds an error, a time's *time.Location, a time.Time that does not fit
	// into Num, a group's []Field, or any other value.
	Any any
}

// String returns a text field.
func String(key, value string) Field { return Field{Key: key, Kind: KindString, Text: value} }

// Strings returns a field with a list of texts. The list is read when the line is
// written.
func Strings(key string, values []string) Field { return Field{Key: key, Any: values} }

// Stringer returns a field for value.String(), called only when the line is
// written. A nil value or a panic in String gives a text that says so.
func Stringer(key string, value fmt.Stringer) Field { return Field{Key: key, Any: stringer{value}} }

// Int returns an integer field.
func Int(key string, value int) Field { return Int64(key, int64(value)) }

// Int64 returns an integer field.
func Int64(key string, value int64) Field { return Field{Key: key, Kind: KindInt64, Num: value} }

// Uint64 returns an unsigned integer field.
func Uint64(key string, value uint64) Field {
	return Field{Key: key, Kind: KindUint64, Num: int64(value)}
}

// Float64 returns a floating-point field. The values that JSON has no number for
// become the texts "NaN", "+Inf" and "-Inf".
func Float64(key string, value float64) Field {
	return Field{Key: key, Kind: KindFloat64, Num: int64(math.Float64bits(value))}
}

// Bool returns a boolean field.
func Bool(key string, value bool) Field {
	f := Field{Key: key, Kind: KindBool}
	if value {
		f.Num = 1
	}
	return f
}

// Duration returns a field for a time span.
func Duration(key string, value time.Duration) Field {
	return Field{Key: key, Kind: KindDuration, Num: int64(value)}
}

// The instants whose nanoseconds since the Unix epoch fit into an int64.
var (
	firstNano = time.Unix(0, math.MinInt64)
	lastNano  = time.Unix(0, math.MaxInt64)
)

// Time returns a field for an instant, kept with its zone.
func Time(key string, value time.Time) Field {
	if value.Before(firstNano) || value.After(lastNano) {
		return Field{Key: key, Kind: KindTime, Any: value}
	}
	return Field{Key: key, Kind: KindTime, Num: value.UnixNano(), Any: value.Location()}
}

// Err returns a field named "error". A nil error gives a field that is left out.
func Err(err error) Field { return Field{Key: "error", Kind: KindError, Any: err} }

// NamedErr returns an error field under another key than [Err]'s.
func NamedErr(key string, err error) Field { return Field{Key: key, Kind: KindError, Any: err} }

// Group returns a field that nests others under key; with an empty key they stand
// beside the group's neighbours. A group without content is left out. When a key
// repeats inside, the last one wins.
func Group(key string, fields ...Field) Field {
	own := appendFields(make([]Field, 0, len(fields)), fields, false)
	return Field{Key: key, Kind: KindGroup, Any: own}
}

// Any returns a field for everything else. It costs an allocation for most values.
//
// Basic types, times and errors become what their own constructor gives. Other
// values are read when the line is written: by their LogValue, MarshalJSON,
// MarshalText or String method, else field by field under their JSON names. What
// they print is cut at 8 levels and 8 KiB, cycles are cut, and a panic on the way
// becomes a text in the line.
func Any(key string, value any) Field {
	switch v := value.(type) {
	case string:
		return String(key, v)
	case bool:
		return Bool(key, v)
	case int:
		return Int(key, v)
	case int64:
		return Int64(key, v)
	case int32:
		return Int64(key, int64(v))
	case uint64:
		return Uint64(key, v)
	case uint32:
		return Uint64(key, uint64(v))
	case float64:
		return Float64(key, v)
	case time.Duration:
		return Duration(key, v)
	case time.Time:
		return Time(key, v)
	case error:
		return NamedErr(key, v)
	case []Field:
		return Group(key, v...)
	case slog.Value:
		return FromAttr(slog.Attr{Key: key, Value: v})
	}
	return Field{Key: key, Any: value}
}

// Float returns the value of a KindFloat64 field.
func (f Field) Float() float64 { return math.Float64frombits(uint64(f.Num)) }

// Time returns the value of a KindTime field.
func (f Field) Time() time.Time {
	switch v := f.Any.(type) {
	case time.Time:
		return v
	case *time.Location:
		return time.Unix(0, f.Num).In(v)
	}
	return time.Unix(0, f.Num)
}

// Fields returns the content of a KindGroup field. The caller must not change it.
func (f Field) Fields() []Field {
	fields, _ := f.Any.([]Field)
	return fields
}

// Empty tells whether f is left out of a line: the zero Field, an error field
// without error, a group without content.
func (f Field) Empty() bool {
	switch f.Kind {
	case KindAny:
		return f.Key == "" && f.Any == nil
	case KindError:
		return f.Any == nil
	case KindGroup:
		for _, inner := range f.Fields() {
			if !inner.Empty() {
				return false
			}
		}
		return true
	}
	return false
}
