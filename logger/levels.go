package logger

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Levels holds the level of each module, to be changed while the service runs; give
// it to [New] by [WithLevels]. A module is what [Logger.Named] names; "smsx.aliyun"
// has the level of "smsx" unless it has one of its own, and the empty name stands
// for the default. A Levels is safe for concurrent use; asking it costs a line an
// atomic load.
type Levels struct {
	mu      sync.Mutex
	base    map[string]Level
	raised  map[string]raise
	modules map[string]*moduleLevel
	other   *moduleLevel // for modules beyond maxModules
}

type raise struct {
	level Level
	until time.Time
}

// maxModules bounds the memory of a caller that takes module names from data; the
// modules beyond it follow the default.
const maxModules = 1024

// NewLevels returns Levels whose default is level, for every module. The error
// wraps [ErrLevel] when level is out of range.
func NewLevels(level Level) (*Levels, error) {
	if err := valid("", level); err != nil {
		return nil, err
	}
	l := &Levels{
		base:    map[string]Level{"": level},
		raised:  map[string]raise{},
		modules: map[string]*moduleLevel{},
	}
	l.other = l.module("")
	return l, nil
}

// Set gives module a level, from now on; it does not end a [Levels.Raise]. The
// error wraps [ErrLevel] and nothing changes when level is not between LevelDebug
// and LevelError: errors cannot be switched off.
func (l *Levels) Set(module string, level Level) error {
	if err := valid(module, level); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.base[module] = level
	l.refresh()
	return nil
}

// Raise gives module another level for a while, counted from now, to look into it
// without having to remember to turn it back; then what [Levels.Set] says holds
// again. A second Raise replaces the first. The error wraps [ErrLevel] and nothing
// changes when level or d is out of range.
func (l *Levels) Raise(module string, level Level, d time.Duration) error {
	err := valid(module, level)
	if d <= 0 {
		err = errors.Join(err, fmt.Errorf("%w: module %q for %v", ErrLevel, module, d))
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.raised[module] = raise{level: level, until: time.Now().Add(d)}
	l.refresh()
	return nil
}

// Reset takes away what Set and Raise gave to module; the default loses only what
// Raise gave.
func (l *Levels) Reset(module string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.raised, module)
	if module != "" {
		delete(l.base, module)
	}
	l.refresh()
}

// Level returns the level that holds for module now.
func (l *Levels) Level(module string) Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.find(module, time.Now()).level
}

// ModuleLevel is a line of [Levels.Snapshot].
type ModuleLevel struct {
	// Module is empty for the default.
	Module string
	// Level holds now.
	Level Level
	// Until is when a Raise ends; zero without one.
	Until time.Time
}

// Snapshot returns the modules that have a level of their own or have been named
// by a Logger, sorted, the default first.
func (l *Levels) Snapshot() []ModuleLevel {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := map[string]bool{}
	for m := range l.base {
		names[m] = true
	}
	for m := range l.raised {
		names[m] = true
	}
	for m := range l.modules {
		names[m] = true
	}
	now := time.Now()
	out := make([]ModuleLevel, 0, len(names))
	for m := range names {
		s := l.find(m, now)
		out = append(out, ModuleLevel{Module: m, Level: s.level, Until: s.until})
	}
	slices.SortFunc(out, func(a, b ModuleLevel) int { return strings.Compare(a.Module, b.Module) })
	return out
}

func valid(module string, level Level) error {
	if level < LevelDebug || level > LevelError {
		return fmt.Errorf("%w: module %q at %d, want %d to %d",
			ErrLevel, module, level, LevelDebug, LevelError)
	}
	return nil
}

// find returns what holds for module: of the names from its own up to the default,
// the first that is raised or set. l.mu is held.
func (l *Levels) find(module string, now time.Time) raise {
	for name := module; ; {
		if r, ok := l.raised[name]; ok {
			if now.Before(r.until) {
				return r
			}
			delete(l.raised, name)
		}
		if level, ok := l.base[name]; ok {
			return raise{level: level}
		}
		name = name[:max(strings.LastIndexByte(name, '.'), 0)]
	}
}

// refresh tells every module what holds for it now. l.mu is held.
func (l *Levels) refresh() {
	now := time.Now()
	for name, m := range l.modules {
		m.set(l.find(name, now))
	}
}

func (l *Levels) module(name string) *moduleLevel {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, ok := l.modules[name]
	if !ok {
		if len(l.modules) >= maxModules {
			return l.other
		}
		m = &moduleLevel{owner: l, start: time.Now()}
		l.modules[name] = m
		m.set(l.find(name, m.start))
	}
	return m
}

// moduleLevel is the level of one module, kept ready for the request path.
type moduleLevel struct {
	owner *Levels
	start time.Time
	// state holds the level in its low byte and, above, when to ask owner again:
	// milliseconds after start, forever when nothing is raised.
	state atomic.Int64
}

const forever = math.MaxInt64 >> 8

func (m *moduleLevel) set(r raise) {
	until := int64(forever)
	if !r.until.IsZero() {
		until = min(int64(r.until.Sub(m.start)/time.Millisecond), forever-1)
	}
	m.state.Store(until<<8 | int64(uint8(r.level)))
}

func (m *moduleLevel) enabled(level Level) bool {
	s := m.state.Load()
	if until := s >> 8; until != forever && int64(time.Since(m.start)/time.Millisecond) >= until {
		m.owner.expire()
		s = m.state.Load()
	}
	return level >= Level(int8(s))
}

// expire is called by the first line after a Raise has ended.
func (l *Levels) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refresh()
}
