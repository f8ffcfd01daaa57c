package logger

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// Option configures [New].
type Option interface{ apply(*front) }

type optionFunc func(*front)

func (f optionFunc) apply(t *front) { f(t) }

// WithTrace sets how [Logger.Ctx] finds trace ids. Without it lines carry those of
// [ContextWithTrace] only.
func WithTrace(f TraceFunc) Option { return optionFunc(func(t *front) { t.trace = f }) }

// WithCaller makes lines carry the place in the source that wrote them. Finding it
// costs more than the rest of a line, so it is off by default. Cores between the
// Logger and the back end do not change the place.
func WithCaller() Option { return optionFunc(func(t *front) { t.caller = true }) }

// WithLevels lets the module's level in levels decide, beside the Core's own, which
// lines are written; set the Core to the lowest level that may ever be wanted.
func WithLevels(levels *Levels) Option { return optionFunc(func(t *front) { t.levels = levels }) }

// KeepDuplicates writes every field of a call even when keys repeat. Without it the
// last value of a key wins, because readers of JSON disagree about duplicates and
// some stores refuse them.
func KeepDuplicates() Option { return optionFunc(func(t *front) { t.keep = true }) }

// front is what the Loggers of one chain of With and Named share; it is immutable.
type front struct {
	core   Core
	trace  TraceFunc
	module string
	levels *Levels
	level  *moduleLevel
	caller bool
	keep   bool
}

func (t *front) enabled(l Level) bool {
	return (t.level == nil || t.level.enabled(l)) && t.core.Enabled(l)
}

func (t *front) with(args []Arg) Core {
	b := buffers.Get().(*buffer)
	b.fields = appendArgs(b.fields[:0], args, t.keep)
	core := t.core
	if len(b.fields) > 0 {
		core = core.With(b.fields)
	}
	b.free()
	return core
}

func (t *front) write(e *Entry, args []Arg) {
	e.Message = escape(e.Message)
	b := buffers.Get().(*buffer)
	b.fields = appendArgs(b.fields[:0], args, t.keep)
	t.core.Write(*e, b.fields)
	b.free()
}

// buffer carries the fields of one line across the interface call to the Core: a
// slice given to an interface method escapes, so it must not be the caller's.
type buffer struct{ fields []Field }

var buffers = sync.Pool{New: func() any { return &buffer{fields: make([]Field, 0, 16)} }}

// maxPooled keeps one huge line from pinning its memory in the pool.
const maxPooled = 128

func (b *buffer) free() {
	if cap(b.fields) > maxPooled {
		return
	}
	clear(b.fields) // the pool must not keep the caller's values alive
	buffers.Put(b)
}

// appendArgs appends the fields of one call that are not empty to dst, which is
// empty. A repeated key takes the place of the earlier one unless keep is set.
func appendArgs(dst []Field, args []Arg, keep bool) []Field {
	var seen uint64 // one bit per hash of a key met so far: most lines never search
	for i := range args {
		dst = append(dst, Field{})
		args[i].unfold(&dst[len(dst)-1]) // in place: a Field is dear to copy
		dst = settle(dst, &seen, keep)
	}
	return dst
}

// settle drops the last field again when it is empty, or puts it where its key has
// been before.
func settle(fields []Field, seen *uint64, keep bool) []Field {
	last := len(fields) - 1
	f := &fields[last]
	if f.Kind == KindAny || f.Kind == KindError || f.Kind == KindGroup {
		if f.Empty() {
			return fields[:last]
		}
	}
	bit := keyBit(f.Key)
	if *seen&bit != 0 && !keep {
		if j := indexKey(fields[:last], f.Key); j >= 0 {
			fields[j] = *f
			return fields[:last]
		}
	}
	*seen |= bit
	return fields
}

func keyBit(key string) uint64 {
	if key == "" {
		return 1
	}
	return 1 << ((uint(len(key))*5 + uint(key[0])*3 + uint(key[len(key)-1])) & 63)
}

// indexKey finds key; a group without key is not a repetition of another one.
func indexKey(fields []Field, key string) int {
	for i := range fields {
		if fields[i].Key == key && (key != "" || fields[i].Kind != KindGroup) {
			return i
		}
	}
	return -1
}

// escape makes the control characters of a message visible, line ends of Unicode
// included: a console shows messages as they are, so a newline from a client's
// text could forge a line.
func escape(msg string) string {
	for i := 0; i < len(msg); i++ {
		if c := msg[i]; c < 0x20 || c == 0x7f || c >= 0x80 {
			return escapeFrom(msg, i)
		}
	}
	return msg
}

func escapeFrom(msg string, at int) string {
	if strings.IndexFunc(msg[at:], isControl) < 0 {
		return msg
	}
	b := make([]byte, 0, len(msg)+16)
	for _, r := range msg {
		switch {
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case isControl(r):
			b = appendHex(append(b, `\u`...), r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

// appendHex appends the four digits of r, which is in the basic plane.
func appendHex(b []byte, r rune) []byte {
	for shift := 12; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[r>>shift&15])
	}
	return b
}

func isControl(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}
