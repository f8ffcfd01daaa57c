package logger

import (
	"math"
	"time"
)

// Kind tells which part of a [Field] holds its value.
type Kind uint8

// The kinds. The zero Kind is KindAny.
const (
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
)

// Field is a key with a typed value. Build one with the functions below; read one
// in a [Core] by its Kind.
type Field struct {
	Key  string
	Kind Kind
	// Num holds integers, the bits of a float, a bool as 0 or 1, and nanoseconds:
	// a duration's, or a time's since the Unix epoch.
	Num int64
	// Text holds a string.
	Text string
	// Any holds an error, a time's *time.Location, a group's []Field, or any other value.
	Any any
}

// String returns a text field.
func String(key, value string) Field { return Field{Key: key, Kind: KindString, Text: value} }

// Int returns an integer field.
func Int(key string, value int) Field { return Int64(key, int64(value)) }

// Int64 returns an integer field.
func Int64(key string, value int64) Field { return Field{Key: key, Kind: KindInt64, Num: value} }

// Uint64 returns an unsigned integer field.
func Uint64(key string, value uint64) Field {
	return Field{Key: key, Kind: KindUint64, Num: int64(value)}
}

// Float64 returns a floating-point field.
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

// Err returns a field named "error". A nil error gives a field that is left out.
func Err(err error) Field { return Field{Key: "error", Kind: KindError, Any: err} }

// Any returns a field for everything else. It costs an allocation for most values.
func Any(key string, value any) Field { return Field{Key: key, Any: value} }

// Group returns a field that nests others under key.
func Group(key string, fields ...Field) Field {
	return Field{Key: key, Kind: KindGroup, Any: fields}
}
