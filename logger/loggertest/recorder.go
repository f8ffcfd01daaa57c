// Package loggertest helps to test what is logged: [New] records lines for
// assertions, and [Test] is the suite that every [logger.Core] passes.
//
//	rec := loggertest.New(t)
//	svc := NewService(rec.Logger())
//	...
//	rec.RequireLine(logger.LevelWarn, "sms limited", logger.String("svc", "webook"))
//	rec.RequireNowhere(phone)
package loggertest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/logger"
)

// Record is one line as a reader of the log sees it.
type Record struct {
	// Time is zero where the line has none.
	Time    time.Time
	Level   logger.Level
	Message string
	// Module, TraceID and SpanID are empty where the line has none.
	Module, TraceID, SpanID string
	// Caller is "file.go:12", without directories; empty where the line has none.
	Caller string
	// Fields holds the values by key: nil, bool, string, int64, uint64, float64 or
	// json.Number, time.Duration, time.Time, []any, and map[string]any for groups
	// and structs. Of a key that is there twice the last one counts.
	Fields map[string]any
}

// String returns the line in a form for messages of failed tests.
func (r Record) String() string {
	return fmt.Sprintf("%v %q %v", r.Level, r.Message, r.Fields)
}

// Recorder is a Core that keeps lines in memory. It is safe for concurrent use.
type Recorder struct {
	tb    testing.TB
	level logger.LevelVar
	mu    sync.Mutex
	lines []Record
}

// New returns a Recorder that takes every line from debug on. When the test fails,
// it prints what was recorded.
func New(tb testing.TB) *Recorder {
	r := &Recorder{tb: tb}
	r.level.Set(logger.LevelDebug)
	tb.Cleanup(func() {
		if !tb.Failed() {
			return
		}
		for _, line := range r.Records() {
			tb.Logf("logged: %v", line)
		}
	})
	return r
}

// Logger returns a Logger over r.
func (r *Recorder) Logger(opts ...logger.Option) logger.Logger { return logger.New(r, opts...) }

// SetLevel sets the lowest level that is recorded.
func (r *Recorder) SetLevel(l logger.Level) { r.level.Set(l) }

// Enabled implements [logger.Core].
func (r *Recorder) Enabled(l logger.Level) bool { return l >= r.level.Level() }

// With implements [logger.Core].
func (r *Recorder) With(fields []logger.Field) logger.Core {
	return (&derived{Recorder: r}).With(fields)
}

// Write implements [logger.Core].
func (r *Recorder) Write(e logger.Entry, fields []logger.Field) { r.write(e, nil, fields) }

// derived is a Recorder with fields added.
type derived struct {
	*Recorder
	fields []logger.Field
}

func (d *derived) With(fields []logger.Field) logger.Core {
	all := slices.Clone(d.fields)
	for _, f := range fields {
		all = append(all, f.Resolved())
	}
	return &derived{Recorder: d.Recorder, fields: all}
}

func (d *derived) Write(e logger.Entry, fields []logger.Field) { d.write(e, d.fields, fields) }

func (r *Recorder) write(e logger.Entry, with, fields []logger.Field) {
	line := Record{
		Time: e.Time, Level: e.Level, Message: e.Message,
		Module: e.Module, TraceID: e.TraceID, SpanID: e.SpanID, Fields: map[string]any{},
	}
	if f := e.Caller(); f.PC != 0 {
		line.Caller = fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
	}
	add(line.Fields, with)
	add(line.Fields, fields)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func add(into map[string]any, fields []logger.Field) {
	for _, f := range fields {
		f = f.Resolved()
		switch {
		case f.Empty():
		case f.Kind == logger.KindGroup && f.Key == "":
			add(into, f.Fields())
		default:
			into[f.Key] = value(f)
		}
	}
}

// value returns the value of a resolved field.
func value(f logger.Field) any {
	switch f.Kind {
	case logger.KindInt64:
		return f.Num
	case logger.KindUint64:
		return uint64(f.Num)
	case logger.KindFloat64:
		return f.Float()
	case logger.KindBool:
		return f.Num != 0
	case logger.KindDuration:
		return time.Duration(f.Num)
	case logger.KindTime:
		return f.Time()
	case logger.KindJSON:
		return decode(f.Text)
	case logger.KindGroup:
		group := map[string]any{}
		add(group, f.Fields())
		return group
	}
	return f.Text
}

// Records returns a copy of the lines so far.
func (r *Recorder) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// Messages returns the messages of the lines so far.
func (r *Recorder) Messages() []string {
	lines := r.Records()
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = line.Message
	}
	return out
}

// Reset forgets the lines so far.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = nil
}

// RequireLine ends the test when no line has the level, the message and, among its
// fields, the given ones.
func (r *Recorder) RequireLine(level logger.Level, msg string, args ...logger.Arg) {
	r.tb.Helper()
	want := map[string]any{}
	for _, a := range args {
		add(want, []logger.Field{a.Field()})
	}
	for _, line := range r.Records() {
		if line.Level == level && line.Message == msg && contains(line.Fields, want) {
			return
		}
	}
	r.tb.Fatalf("no line %v", Record{Level: level, Message: msg, Fields: want})
}

// RequireNone ends the test when a line of at least level was written.
func (r *Recorder) RequireNone(level logger.Level) {
	r.tb.Helper()
	for _, line := range r.Records() {
		if line.Level >= level {
			r.tb.Fatalf("line of level %v or above: %v", level, line)
		}
	}
}

// RequireNowhere ends the test when text is part of any message, key or value: for
// phone numbers, tokens and passwords.
func (r *Recorder) RequireNowhere(text string) {
	r.tb.Helper()
	for _, line := range r.Records() {
		if strings.Contains(fmt.Sprintf("%+v", line), text) ||
			strings.Contains(canonicalText(line.Fields), text) {
			r.tb.Fatalf("%q is in line %v", text, line)
		}
	}
}

func contains(have, want map[string]any) bool {
	for key, w := range want {
		if h, ok := have[key]; !ok || canonicalText(h) != canonicalText(w) {
			return false
		}
	}
	return true
}
