package logger

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// Level is the severity of a line. The zero Level is LevelInfo, as in slog, whose
// numbers these are, so that levels in between stay possible.
type Level int8

// The levels.
const (
	LevelDebug Level = -4
	LevelInfo  Level = 0
	LevelWarn  Level = 4
	LevelError Level = 8
)

// ErrLevel is what a text that names no level, or a level out of range, is
// answered with.
var ErrLevel = errors.New("logger: not a level")

// String returns "debug", "info", "warn" or "error", with the distance for a
// level in between: "info+2".
func (l Level) String() string {
	name, base := "error", LevelError
	switch {
	case l < LevelInfo:
		name, base = "debug", LevelDebug
	case l < LevelWarn:
		name, base = "info", LevelInfo
	case l < LevelError:
		name, base = "warn", LevelWarn
	}
	if l == base {
		return name
	}
	return fmt.Sprintf("%s%+d", name, int(l)-int(base))
}

// ParseLevel reads what [Level.String] writes, in any case; "warning" is
// understood too. The error wraps [ErrLevel].
func ParseLevel(text string) (Level, error) {
	name, offset := strings.ToLower(strings.TrimSpace(text)), 0
	if i := strings.IndexAny(name, "+-"); i > 0 {
		n, err := strconv.Atoi(name[i:])
		if err != nil || n < -100 || n > 100 {
			return 0, fmt.Errorf("%w: %q", ErrLevel, text)
		}
		name, offset = name[:i], n
	}
	var base Level
	switch name {
	case "debug":
		base = LevelDebug
	case "info":
		base = LevelInfo
	case "warn", "warning":
		base = LevelWarn
	case "error":
		base = LevelError
	default:
		return 0, fmt.Errorf("%w: %q", ErrLevel, text)
	}
	return base + Level(offset), nil
}

// MarshalText returns [Level.String].
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a level as [ParseLevel] does; on error l stays as it was.
func (l *Level) UnmarshalText(text []byte) error {
	v, err := ParseLevel(string(text))
	if err == nil {
		*l = v
	}
	return err
}

// LevelVar is a level that can be changed while it is in use. The zero LevelVar
// holds LevelInfo. It is safe for concurrent use and must not be copied.
type LevelVar struct{ v atomic.Int32 }

// Level returns the level that holds now.
func (v *LevelVar) Level() Level { return Level(v.v.Load()) }

// Set changes the level; lines that begin afterwards see it.
func (v *LevelVar) Set(l Level) { v.v.Store(int32(l)) }

// AtLeast returns a Core that passes lines of at least the level that min holds at
// that moment on to next. It gives a run-time level to a back end without one.
func AtLeast(next Core, min *LevelVar) Core { return leveled{next: next, min: min} }

type leveled struct {
	next Core
	min  *LevelVar
}

func (c leveled) Enabled(l Level) bool { return l >= c.min.Level() && c.next.Enabled(l) }

func (c leveled) With(fields []Field) Core { return leveled{next: c.next.With(fields), min: c.min} }

func (c leveled) Write(e Entry, fields []Field) { c.next.Write(e, fields) }
