package logger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrConfig is wrapped by what a constructor answers a wrong configuration with.
var ErrConfig = errors.New("logger: invalid config")

// SamplerConfig says how much of a flood passes a [Sampler].
type SamplerConfig struct {
	// Tick is the span after which counting starts afresh; zero means a second,
	// short enough for a flood to be seen while it lasts.
	Tick time.Duration
	// First is how many lines of each sort pass in a tick; zero means 100, more
	// than a person reads in a second.
	First int
	// Every lets each so-many-th line after the First pass; zero means 100, and 1
	// lets all pass.
	Every int
}

// SamplerOption configures [NewSampler].
type SamplerOption interface{ applySampler(*sampling) }

type samplerOption func(*sampling)

func (f samplerOption) applySampler(s *sampling) { f(s) }

// WithSampleKey sets what makes two lines of one level and module the same sort.
// Without it that is the place in the source ([WithCaller]), or the message where
// lines carry none. A key func may look at a field to keep static messages with
// different subjects apart; it must be quick and safe for concurrent use.
func WithSampleKey(f func(e Entry, fields []Field) string) SamplerOption {
	return samplerOption(func(s *sampling) { s.key = f })
}

// WithKeepFrom sets the level from which on every line passes; without it that is
// [LevelError], because an error that nobody sees costs more than its line.
func WithKeepFrom(level Level) SamplerOption {
	return samplerOption(func(s *sampling) { s.keep = level })
}

// Sampler is a Core that lets the first lines of each sort pass in a tick and then
// only every so-many-th. Lines are of one sort when level, module and place in the
// source are the same. It says what it dropped: when a tick with drops is over, the
// next line brings a summary along, with the exact number, so that the lines
// emitted and the lines reported as dropped add up to the lines offered. Call
// [Sampler.Flush] at the end, or let [Sampler.Run] do it.
//
// A tick is measured by [Entry.Time], and by the clock where a line has none. The
// Sampler has no goroutine.
type Sampler struct {
	next   Core
	shared *sampling
}

// NewSampler returns a Sampler over next. The error wraps [ErrConfig] when a value
// is negative.
func NewSampler(next Core, cfg SamplerConfig, opts ...SamplerOption) (*Sampler, error) {
	var errs []error
	for _, c := range []struct {
		name  string
		value int64
	}{{"Tick", int64(cfg.Tick)}, {"First", int64(cfg.First)}, {"Every", int64(cfg.Every)}} {
		if c.value < 0 {
			errs = append(errs, fmt.Errorf("%w: SamplerConfig.%s is %d, want 0 or more",
				ErrConfig, c.name, c.value))
		}
	}
	if next == nil {
		errs = append(errs, fmt.Errorf("%w: NewSampler's next is nil", ErrConfig))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s := &sampling{
		root: next, keep: LevelError, sorts: map[sort]*count{},
		tick: orDefault(cfg.Tick, time.Second), first: orDefault(cfg.First, 100),
		every: orDefault(cfg.Every, 100),
	}
	for _, o := range opts {
		o.applySampler(s)
	}
	return &Sampler{next: next, shared: s}, nil
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// sampling is what a Sampler and those derived by With share.
type sampling struct {
	root  Core // summaries carry none of the fields that With adds
	keep  Level
	key   func(Entry, []Field) string
	tick  time.Duration
	first int
	every int

	mu    sync.Mutex
	start time.Time
	sorts map[sort]*count
}

// sort identifies lines that are counted together. Messages are compared whole:
// two that share a hash would hide each other.
type sort struct {
	level  Level
	module string
	pc     uintptr
	key    string
}

type count struct{ offered, dropped int }

// maxSorts bounds the table: when messages are made of data it would grow without
// end, so a full table ends the tick early.
const maxSorts = 4096

// Enabled tells what the Core below says.
func (s *Sampler) Enabled(l Level) bool { return s.next.Enabled(l) }

// With returns a Core that adds fields to each line and counts together with s.
func (s *Sampler) With(fields []Field) Core {
	return &Sampler{next: s.next.With(fields), shared: s.shared}
}

// Write passes the line on, or counts it as dropped.
func (s *Sampler) Write(e Entry, fields []Field) {
	if e.Level >= s.shared.keep {
		s.next.Write(e, fields)
		return
	}
	at := e.Time
	if at.IsZero() { // a bridge's line without a time
		at = time.Now()
	}
	pass, summary := s.shared.offer(at, e, fields)
	summary.write(s.shared.root, at)
	if pass {
		s.next.Write(e, fields)
	}
}

// Flush writes the summary of what was dropped since the last one, if anything
// was, and starts a new tick. It is safe to call at any time.
func (s *Sampler) Flush() {
	s.shared.mu.Lock()
	summary := s.shared.roll(time.Time{})
	s.shared.mu.Unlock()
	summary.write(s.shared.root, time.Now())
}

// Run calls Flush once in a tick, so that the summary of a flood does not wait for
// the next line, until ctx ends, and then a last time. It returns nil.
func (s *Sampler) Run(ctx context.Context) error {
	t := time.NewTicker(s.shared.tick)
	defer t.Stop()
	defer s.Flush()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			s.Flush()
		}
	}
}

func (s *sampling) offer(at time.Time, e Entry, fields []Field) (pass bool, summary dropped) {
	k := sort{level: e.Level, module: e.Module, pc: e.PC}
	switch {
	case s.key != nil:
		k.key, k.pc = s.key(e, fields), 0
	case e.PC == 0:
		k.key = e.Message
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A time before the start is a stepped clock or a late line; it never rolls.
	if s.start.IsZero() || at.Sub(s.start) >= s.tick {
		summary = s.roll(at)
	}
	c := s.sorts[k]
	if c == nil {
		if len(s.sorts) >= maxSorts {
			summary = append(summary, s.roll(at)...)
		}
		c = &count{}
		s.sorts[k] = c
	}
	c.offered++
	if n := c.offered - s.first; n > 0 && n%s.every != 0 {
		c.dropped++
		return false, summary
	}
	return true, summary
}

// roll ends the tick and returns what it dropped. s.mu is held.
func (s *sampling) roll(start time.Time) dropped {
	var d dropped
	for k, c := range s.sorts {
		if c.dropped > 0 {
			d = append(d, drop{k, c.dropped})
		}
	}
	clear(s.sorts)
	s.start = start
	return d
}

type drop struct {
	sort
	n int
}

type dropped []drop

// maxShown is how many sorts a summary names; the total covers all.
const maxShown = 5

// DroppedLines is a sort of line in a [Sampler]'s summary, which holds the most
// frequent ones under "top".
type DroppedLines struct {
	Level   string `json:"level"`
	Module  string `json:"module,omitempty"`
	Caller  string `json:"caller,omitempty"`
	Key     string `json:"key,omitempty"`
	Dropped int    `json:"dropped"`
}

// SummaryMessage is the message of the line in which a [Sampler] or an [Async]
// states how many lines it dropped, in the field "dropped".
const SummaryMessage = "log lines dropped"

// write reports d in one line, at the level of warnings or at the highest dropped
// one if that is higher, so that whoever would have seen the lines sees the report.
func (d dropped) write(core Core, at time.Time) {
	if len(d) == 0 {
		return
	}
	slices.SortFunc(d, func(a, b drop) int { return b.n - a.n })
	total, level := 0, LevelWarn
	var top []DroppedLines
	for i, x := range d {
		total += x.n
		level = max(level, x.level)
		if i < maxShown {
			top = append(top, x.shown())
		}
	}
	core.Write(Entry{Time: at, Level: level, Message: SummaryMessage, Module: "logger"},
		[]Field{String("by", "sampling").Field(), Int("dropped", total).Field(), Any("top", top).Field()})
}

func (d drop) shown() DroppedLines {
	out := DroppedLines{Level: d.level.String(), Module: d.module, Key: d.key, Dropped: d.n}
	if d.pc != 0 {
		f := Entry{PC: d.pc}.Caller()
		out.Caller = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return out
}
