package logger

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// encoder writes one value as JSON. Unlike encoding/json it bounds depth and size,
// cuts cycles, survives panics of the values' methods, knows LogValuer and
// Stringer, and never fails: what it cannot write becomes a text that says so.
type encoder struct {
	buf  []byte
	path []visit // pointers, maps and slices being written, to find cycles
	*resolver
}

type visit struct {
	ptr uintptr
	len int
	typ reflect.Type
}

// reserve leaves room for the marks of what was cut and for closing what is open:
// at most maxDepth containers.
const reserve = 512

// full tells that no further elements should be begun.
func (e *encoder) full() bool { return len(e.buf) > maxSize-reserve }

func (e *encoder) value(v reflect.Value, depth int) {
	switch {
	case !v.IsValid():
		e.buf = append(e.buf, "null"...)
	case depth > maxDepth:
		e.text(tooDeep)
	case v.CanInterface() && e.method(v, depth):
	default:
		e.kind(v, depth)
	}
}

// method writes values that have a say in how they look.
func (e *encoder) method(v reflect.Value, depth int) bool {
	if v.NumMethod() == 0 {
		return false
	}
	x := v.Interface()
	if isNilPointer(x) {
		e.buf = append(e.buf, "null"...)
		return true
	}
	switch lv := x.(type) {
	case slog.LogValuer:
		e.plain(e.field(fromAttr(slog.Any("", lv), 0), depth), depth)
		return true
	case slog.Value:
		e.plain(e.field(fromAttr(slog.Attr{Value: lv}, 0), depth), depth)
		return true
	}
	if text, ok := asText(x); ok {
		e.text(text)
		return true
	}
	if m, ok := x.(json.Marshaler); ok {
		e.marshaler(m)
		return true
	}
	return false
}

func (e *encoder) marshaler(m json.Marshaler) {
	var raw []byte
	failed := call(m, func() string {
		b, err := m.MarshalJSON()
		if err != nil {
			return fmt.Sprintf("(MarshalJSON: %v)", err)
		}
		raw = b
		return ""
	})
	var compact bytes.Buffer
	switch {
	case failed != "":
		e.text(failed)
	case json.Compact(&compact, raw) != nil:
		e.text("(MarshalJSON: not JSON)")
	default:
		e.raw(compact.String())
	}
}

// raw writes JSON that is known to be well formed; what is too long for the rest of
// the line becomes the beginning of its text.
func (e *encoder) raw(doc string) {
	if len(e.buf)+len(doc) > maxSize-reserve {
		e.text(doc)
		return
	}
	e.buf = append(e.buf, doc...)
}

func (e *encoder) kind(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		e.text(v.String())
	case reflect.Bool:
		e.buf = strconv.AppendBool(e.buf, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.buf = strconv.AppendInt(e.buf, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.buf = strconv.AppendUint(e.buf, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		e.float(v.Float())
	case reflect.Interface:
		e.value(v.Elem(), depth)
	case reflect.Pointer, reflect.Map, reflect.Slice:
		e.reference(v, depth)
	case reflect.Array:
		e.list(v, depth)
	case reflect.Struct:
		e.object(v, depth)
	default:
		e.text("(" + v.Type().String() + ")")
	}
}

// reference writes what can lead back to itself.
func (e *encoder) reference(v reflect.Value, depth int) {
	if v.IsNil() {
		e.buf = append(e.buf, "null"...)
		return
	}
	at := visit{ptr: v.Pointer(), typ: v.Type()}
	if v.Kind() == reflect.Slice {
		at.len = v.Len()
	}
	if slices.Contains(e.path, at) {
		e.text(cyclic)
		return
	}
	e.path = append(e.path, at)
	switch v.Kind() {
	case reflect.Pointer:
		e.value(v.Elem(), depth)
	case reflect.Map:
		e.dict(v, depth)
	default:
		e.list(v, depth)
	}
	e.path = e.path[:len(e.path)-1]
}

func (e *encoder) list(v reflect.Value, depth int) {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		e.bytes(v.Bytes())
		return
	}
	e.buf = append(e.buf, '[')
	for i := range v.Len() {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if e.full() {
			e.text(tooLong)
			break
		}
		e.value(v.Index(i), depth+1)
	}
	e.buf = append(e.buf, ']')
}

// bytes writes text as text, because a masked or searched log is worth more than
// a faithful one, and anything else as base64.
func (e *encoder) bytes(b []byte) {
	switch {
	case len(b) > maxSize && utf8.Valid(b[:maxSize]):
		e.text(string(b[:maxSize]))
	case len(b) > maxSize:
		e.text(tooLong)
	case utf8.Valid(b):
		e.text(string(b))
	default:
		e.text(base64.StdEncoding.EncodeToString(b))
	}
}

// plain writes a resolved field's value.
func (e *encoder) plain(f Field, depth int) {
	switch f.Kind {
	case KindString:
		e.text(f.Text)
	case KindInt64:
		e.buf = strconv.AppendInt(e.buf, f.Num, 10)
	case KindUint64:
		e.buf = strconv.AppendUint(e.buf, uint64(f.Num), 10)
	case KindFloat64:
		e.float(f.Float())
	case KindBool:
		e.buf = strconv.AppendBool(e.buf, f.Num != 0)
	case KindDuration:
		e.text(time.Duration(f.Num).String())
	case KindTime:
		e.text(f.Time().Format(time.RFC3339Nano))
	case KindJSON:
		e.raw(f.Text)
	case KindGroup:
		e.buf = append(e.buf, '{')
		first := true
		for _, inner := range f.Fields() {
			e.key(inner.Key, &first)
			e.plain(inner, depth+1)
		}
		e.buf = append(e.buf, '}')
	default:
		e.buf = append(e.buf, "null"...)
	}
}

// text writes s as a JSON string, cut where it does not fit into the bound.
func (e *encoder) text(s string) {
	e.buf = append(e.buf, '"')
	for i := 0; i < len(s); {
		if e.full() && len(s)-i > len(tooLong) {
			e.buf = append(e.buf, tooLong...)
			break
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		e.rune(s[i:i+size], r)
		i += size
	}
	e.buf = append(e.buf, '"')
}

func (e *encoder) rune(raw string, r rune) {
	switch {
	case r == '"' || r == '\\':
		e.buf = append(e.buf, '\\', byte(r))
	case r == '\n':
		e.buf = append(e.buf, `\n`...)
	case r == '\r':
		e.buf = append(e.buf, `\r`...)
	case r == '\t':
		e.buf = append(e.buf, `\t`...)
	case r == utf8.RuneError && len(raw) == 1:
		e.buf = append(e.buf, `\ufffd`...)
	case isControl(r):
		e.buf = appendHex(append(e.buf, `\u`...), r)
	default:
		e.buf = append(e.buf, raw...)
	}
}

func (e *encoder) key(name string, first *bool) {
	if !*first {
		e.buf = append(e.buf, ',')
	}
	*first = false
	e.text(name)
	e.buf = append(e.buf, ':')
}

func (e *encoder) float(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		e.text(floatText(v))
		return
	}
	b, _ := json.Marshal(v) // cannot fail for a finite float
	e.buf = append(e.buf, b...)
}
