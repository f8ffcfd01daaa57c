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
// empty and zero up to its capacity. A repeated key takes the place of the earlier
// one unless keep is set.
func appendArgs(dst []Field, args []Arg, keep bool) []Field {
	if len(args) > cap(dst) {
		dst = make([]Field, 0, len(args))
	}
	fields, n := dst[:len(args)], 0
	var seen uint64 // one bit per hash of a key met so far: most lines never search
	for i := range args {
		args[i].unfold(&fields[n]) // in place: a Field is dear to copy
		n = settle(fields, n, &seen, keep)
	}
	return fields[:n]
}

// settle decides about fields[n], which was just filled in after n others: it stays,
// it is empty and goes, or its key has been before and it takes that one's place. It
// returns how many there are then, and leaves what follows them zero.
func settle(fields []Field, n int, seen *uint64, keep bool) int {
	f := &fields[n]
	if f.Kind.mayBeEmpty() && f.Empty() {
		*f = Field{}
		return n
	}
	bit := keyBit(f.Key)
	if *seen&bit != 0 && !keep {
		if j := indexKey(fields[:n], f.Key); j >= 0 {
			fields[j], *f = *f, Field{}
			return n
		}
	}
	*seen |= bit
	return n + 1
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
	i := 0
	for ; i+8 <= len(msg); i += 8 {
		if !printable(word(msg[i:])) {
			break
		}
	}
	for ; i < len(msg); i++ {
		if c := msg[i]; c < 0x20 || c == 0x7f || c >= 0x80 {
			return escapeFrom(msg, i)
		}
	}
	return msg
}

// word returns the first 8 bytes of s.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// printable tells whether each byte of w lies between 0x20 and 0x7e.
func printable(w uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	low := w &^ high // so that no sum carries into the next byte
	return w&high == 0 && (low+(0x80-0x20)*ones)&high == high && (low+ones)&high == 0
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
