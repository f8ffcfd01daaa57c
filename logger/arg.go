package logger

import (
	"fmt"
	"log/slog"
	"math"
	"time"
	"unsafe"
)

// Arg is a field as a call gives it; build one with the functions below. It is a
// [Field] folded to four words, which is as much as the compiler keeps in
// registers: a line that is not written costs next to nothing. The zero Arg is left
// out of a line. An Arg is a value: keep it, copy it, and pass it on freely.
type Arg struct {
	// key points to the bytes of the key. Where its length is depends on value.
	key *byte
	// num is the number of a field that has one. Else its lowest bits are the Kind,
	// those above the length of the key, and the highest 48 the length of a text.
	num uint64
	// value says by its dynamic type what the field holds. A number is a pointer
	// into lengths, and how far into it is the length of the key; a text is its
	// bytes; all else is itself.
	value any
}

const (
	kindBits  = 8
	kindMask  = 1<<kindBits - 1
	textShift = 16
	// maxKey is the longest key that folds; a Field with a longer one is kept whole.
	maxKey = 255
	// kindField marks a whole Field.
	kindField Kind = kindMask
)

// The dynamic types of what is folded.
type (
	textBytes  byte
	int64At    byte
	uint64At   byte
	float64At  byte
	boolAt     byte
	durationAt byte
	utcAt      byte
	localAt    byte
)

// lengths is never read or written: only its addresses matter.
var lengths [maxKey + 1]byte

// at returns the address that stands for the length of key.
func at(key string) unsafe.Pointer { return unsafe.Pointer(&lengths[len(key)&maxKey]) }

// String returns a text field.
func String(key, value string) Arg {
	if len(key) > maxKey {
		return textField(key, value).Arg()
	}
	num := uint64(len(value))<<textShift | uint64(len(key))<<kindBits
	return Arg{unsafe.StringData(key), num, (*textBytes)(unsafe.StringData(value))}
}

// Int returns an integer field.
func Int(key string, value int) Arg { return Int64(key, int64(value)) }

// Int64 returns an integer field.
func Int64(key string, value int64) Arg {
	if len(key) > maxKey {
		return whole(key, KindInt64, value)
	}
	return Arg{unsafe.StringData(key), uint64(value), (*int64At)(at(key))}
}

// Uint64 returns an unsigned integer field.
func Uint64(key string, value uint64) Arg {
	if len(key) > maxKey {
		return whole(key, KindUint64, int64(value))
	}
	return Arg{unsafe.StringData(key), value, (*uint64At)(at(key))}
}

// Float64 returns a floating-point field. The values that JSON has no number for
// become the texts "NaN", "+Inf" and "-Inf".
func Float64(key string, value float64) Arg {
	if len(key) > maxKey {
		return whole(key, KindFloat64, int64(math.Float64bits(value)))
	}
	return Arg{unsafe.StringData(key), math.Float64bits(value), (*float64At)(at(key))}
}

// Bool returns a boolean field.
func Bool(key string, value bool) Arg {
	var num uint64
	if value {
		num = 1
	}
	if len(key) > maxKey {
		return whole(key, KindBool, int64(num))
	}
	return Arg{unsafe.StringData(key), num, (*boolAt)(at(key))}
}

// Duration returns a field for a time span.
func Duration(key string, value time.Duration) Arg {
	if len(key) > maxKey {
		return whole(key, KindDuration, int64(value))
	}
	return Arg{unsafe.StringData(key), uint64(value), (*durationAt)(at(key))}
}

// Time returns a field for an instant, kept with its zone. It costs an allocation
// where that is neither UTC nor the machine's.
func Time(key string, value time.Time) Arg {
	f := timeField(key, value)
	if len(key) <= maxKey {
		switch f.Any {
		case time.UTC:
			return Arg{unsafe.StringData(key), uint64(f.Num), (*utcAt)(at(key))}
		case time.Local:
			return Arg{unsafe.StringData(key), uint64(f.Num), (*localAt)(at(key))}
		}
	}
	return f.Arg()
}

// Err returns a field named "error". A nil error gives a field that is left out.
func Err(err error) Arg { return NamedErr("error", err) }

// NamedErr returns an error field under another key than [Err]'s.
func NamedErr(key string, err error) Arg {
	if len(key) > maxKey {
		return Field{Key: key, Kind: KindError, Any: err}.Arg()
	}
	return Arg{unsafe.StringData(key), uint64(len(key))<<kindBits | uint64(KindError), err}
}

// Strings returns a field with a list of texts. The list is read when the line is
// written.
func Strings(key string, values []string) Arg { return anything(key, values) }

// Stringer returns a field for value.String(), called only when the line is
// written. A nil value or a panic in String gives a text that says so.
func Stringer(key string, value fmt.Stringer) Arg { return anything(key, stringer{value}) }

func anything(key string, value any) Arg {
	if len(key) > maxKey {
		return Field{Key: key, Any: value}.Arg()
	}
	return Arg{unsafe.StringData(key), uint64(len(key))<<kindBits | uint64(KindAny), value}
}

func whole(key string, k Kind, num int64) Arg { return Field{Key: key, Kind: k, Num: num}.Arg() }

// Arg returns f folded, for a call. It costs an allocation.
func (f Field) Arg() Arg { return Arg{num: uint64(kindField), value: &f} }

// Group returns a field that nests others under key; with an empty key they stand
// beside the group's neighbours. A group without content is left out. When a key
// repeats inside, the last one wins.
func Group(key string, args ...Arg) Arg {
	return Field{Key: key, Kind: KindGroup, Any: appendArgs(make([]Field, 0, len(args)), args, false)}.Arg()
}

// Any returns a field for everything else. It costs an allocation for most values.
//
// Basic types, times and errors become what their own constructor gives. Other
// values are read when the line is written: by their LogValue, MarshalJSON,
// MarshalText or String method, else field by field under their JSON names. What
// they print is cut at 8 levels and 8 KiB, cycles are cut, and a panic on the way
// becomes a text in the line.
func Any(key string, value any) Arg {
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
	case []Arg:
		return Group(key, v...)
	case []Field:
		return group(key, v).Arg()
	case slog.Value:
		return FromAttr(slog.Attr{Key: key, Value: v})
	}
	return anything(key, value)
}

// Field returns a laid open, as a [Core] gets it.
func (a Arg) Field() (f Field) {
	a.unfold(&f)
	return f
}

// unfold lays a open in f, which is zero.
func (a *Arg) unfold(f *Field) {
	switch v := a.value.(type) {
	case *textBytes:
		f.Key, f.Kind = unsafe.String(a.key, a.num>>kindBits&maxKey), KindString
		f.Text = unsafe.String((*byte)(v), a.num>>textShift)
	case *int64At:
		a.number(f, KindInt64, unsafe.Pointer(v))
	case *durationAt:
		a.number(f, KindDuration, unsafe.Pointer(v))
	case *boolAt:
		a.number(f, KindBool, unsafe.Pointer(v))
	case *uint64At:
		a.number(f, KindUint64, unsafe.Pointer(v))
	case *float64At:
		a.number(f, KindFloat64, unsafe.Pointer(v))
	case *utcAt:
		a.number(f, KindTime, unsafe.Pointer(v))
		f.Any = time.UTC
	case *localAt:
		a.number(f, KindTime, unsafe.Pointer(v))
		f.Any = time.Local
	default:
		if whole, ok := v.(*Field); ok && Kind(a.num&kindMask) == kindField {
			*f = *whole
			return
		}
		f.Key, f.Kind, f.Any = unsafe.String(a.key, a.num>>kindBits&maxKey), Kind(a.num&kindMask), v
	}
}

func (a *Arg) number(f *Field, k Kind, at unsafe.Pointer) {
	f.Key = unsafe.String(a.key, uintptr(at)-uintptr(unsafe.Pointer(&lengths)))
	f.Kind, f.Num = k, int64(a.num)
}
