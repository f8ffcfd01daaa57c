package logger

import (
	"math"
	"time"
)

// Kind tells which part of a [Field] holds its value.
type Kind uint8

// The kinds. The zero Kind is KindAny. Their numbers mean nothing here; those of
// values that Num or Text alone holds are the numbers of zap's field types, so that
// zaplog, which most lines go through, has nothing to translate.
const (
	// KindAny holds a value that [Field.Resolved] has still to look into.
	KindAny      Kind = 0
	KindBool     Kind = 4
	KindDuration Kind = 8
	KindFloat64  Kind = 9
	KindInt64    Kind = 11
	KindString   Kind = 15
	KindUint64   Kind = 18
	KindTime     Kind = 32
	KindError    Kind = 33
	KindGroup    Kind = 34
	// KindJSON holds a JSON text; it is what [Field.Resolved] makes of structs,
	// maps and lists.
	KindJSON Kind = 35
)

// mayBeEmpty tells whether there are fields of the kind to leave out of a line.
func (k Kind) mayBeEmpty() bool { return k == KindAny || k == KindError || k == KindGroup }

// Field is a key with a typed value, as a [Core] reads it: by its Kind. Callers give
// [Arg]s. The zero Field is left out of a line.
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

// The instants whose nanoseconds since the Unix epoch fit into an int64.
var (
	firstNano = time.Unix(0, math.MinInt64)
	lastNano  = time.Unix(0, math.MaxInt64)
)

func timeField(key string, value time.Time) Field {
	if value.Before(firstNano) || value.After(lastNano) {
		return Field{Key: key, Kind: KindTime, Any: value}
	}
	return Field{Key: key, Kind: KindTime, Num: value.UnixNano(), Any: value.Location()}
}

func textField(key, value string) Field { return Field{Key: key, Kind: KindString, Text: value} }

// group nests fields as [Group] does.
func group(key string, fields []Field) Field {
	own, n, seen := make([]Field, len(fields)), 0, uint64(0)
	for _, f := range fields {
		own[n] = f
		n = settle(own, n, &seen, false)
	}
	return Field{Key: key, Kind: KindGroup, Any: own[:n]}
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
