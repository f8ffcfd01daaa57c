// Package observetest helps to test what reports to an [observe.Observer], and
// what implements one.
//
// A package that reports is tested with a [Recorder]: it keeps every operation,
// and fails the test when an operation never ends, ends twice, or is of a Kind
// that backends would refuse.
//
//	rec := observetest.NewRecorder(t)
//	limiter := ratelimit.Observe(base, "api", rec)
//	...
//	took := rec.Only("ratelimit", "take")
//	require.Equal(t, observe.Rejected, took.Outcome)
//
// A package that implements an Observer runs the conformance suite: see [Test].
package observetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// TB is the part of [testing.TB] that a Recorder needs.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Record is one operation that a [Recorder] saw.
type Record struct {
	observe.Operation
	// Result is how it ended; zero while it is under way.
	observe.Result
	// Ended tells whether it has ended.
	Ended bool
	// Parent is the index, in [Recorder.Records], of the operation under whose
	// context this one started; -1 for none.
	Parent int
}

// Label returns the value of a start or end label by its name. Asking for a label
// that the Kind does not declare gives "".
func (r Record) Label(name string) string {
	if i := slices.Index(r.Kind.StartLabels, name); i >= 0 {
		return r.Operation.Values[i]
	}
	if i := slices.Index(r.Kind.EndLabels, name); i >= 0 {
		return r.Result.Values[i]
	}
	return ""
}

// Recorder is an [observe.Observer] that keeps everything it is told. It is safe
// for concurrent use. Its methods that take a component and an action select by
// the names in the Kind, since packages rarely export their Kinds.
type Recorder struct {
	t TB

	mu      sync.Mutex
	records []*Record
	changed chan struct{} // closed and replaced whenever an operation ends
}

// awaitLimit bounds [Recorder.Await]: long enough for a slow machine under the
// race detector, short enough to tell which wait hung before the test binary's
// own time limit does.
const awaitLimit = 30 * time.Second

type contextKey struct{ rec *Recorder }

// NewRecorder returns a Recorder that reports misuse to t: at once what happens
// at once, and at the end of the test each operation that has not ended.
func NewRecorder(t TB) *Recorder {
	r := &Recorder{t: t, changed: make(chan struct{})}
	t.Cleanup(r.checkEnds)
	return r
}

// Start implements [observe.Observer].
func (r *Recorder) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	r.t.Helper()
	if !r.check(op) {
		return ctx, func(observe.Result) {}
	}
	rec := &Record{Operation: op, Parent: -1}
	if parent, ok := ctx.Value(contextKey{r}).(int); ok {
		rec.Parent = parent
	}
	r.mu.Lock()
	i := len(r.records)
	r.records = append(r.records, rec)
	r.mu.Unlock()
	return context.WithValue(ctx, contextKey{r}, i), func(res observe.Result) { r.finish(rec, res) }
}

// check reports an operation that backends would refuse or cut.
func (r *Recorder) check(op observe.Operation) bool {
	r.t.Helper()
	if err := op.Kind.Validate(); err != nil {
		r.t.Errorf("observetest: operation of an invalid Kind: %v", err)
		return false
	}
	if n := len(op.Kind.StartLabels); hasSurplus(op.Values, n) {
		r.t.Errorf("observetest: %s has values %q for %d start labels", name(op.Kind), op.Values, n)
	}
	return true
}

func (r *Recorder) finish(rec *Record, res observe.Result) {
	r.t.Helper()
	r.mu.Lock()
	twice := rec.Ended
	if !twice {
		rec.Result, rec.Ended = res, true
		close(r.changed)
		r.changed = make(chan struct{})
	}
	kind := rec.Kind
	r.mu.Unlock()
	if twice {
		r.t.Errorf("observetest: %s ended twice", name(kind))
	}
	if n := len(kind.EndLabels); hasSurplus(res.Values, n) {
		r.t.Errorf("observetest: %s ended with values %q for %d end labels", name(kind), res.Values, n)
	}
}

func (r *Recorder) checkEnds() {
	r.t.Helper()
	for _, rec := range r.Records() {
		if !rec.Ended {
			r.t.Errorf("observetest: %s %q never ended", name(rec.Kind), rec.Operation.Values)
		}
	}
}

// Records returns a copy of everything seen so far, in the order of the starts.
func (r *Recorder) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Record, len(r.records))
	for i, rec := range r.records {
		all[i] = *rec
	}
	return all
}

// Ended returns the ended operations of one kind, in the order of their starts.
func (r *Recorder) Ended(component, action string) []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended(component, action)
}

func (r *Recorder) ended(component, action string) []Record {
	var found []Record
	for _, rec := range r.records {
		if rec.Ended && rec.Kind.Component == component && rec.Kind.Action == action {
			found = append(found, *rec)
		}
	}
	return found
}

// Only returns the one ended operation of a kind; it ends the test when there is
// none or more than one.
func (r *Recorder) Only(component, action string) Record {
	r.t.Helper()
	found := r.Ended(component, action)
	if len(found) != 1 {
		r.t.Fatalf("observetest: %d ended operations of %s.%s, want 1; all: %s", len(found), component, action, r)
		return Record{}
	}
	return found[0]
}

// Await waits until at least n operations of a kind have ended and returns them.
// It ends the test when that takes half a minute.
func (r *Recorder) Await(component, action string, n int) []Record {
	r.t.Helper()
	limit := time.NewTimer(awaitLimit)
	defer limit.Stop()
	for {
		r.mu.Lock()
		found, changed := r.ended(component, action), r.changed
		r.mu.Unlock()
		if len(found) >= n {
			return found
		}
		select {
		case <-changed:
		case <-limit.C:
			r.t.Fatalf("observetest: %d ended operations of %s.%s, want %d; all: %s", len(found), component, action, n, r)
			return found
		}
	}
}

// Reset forgets everything seen so far. Operations under way are not waited for,
// and must have ended: one that has not is reported.
func (r *Recorder) Reset() {
	r.t.Helper()
	r.checkEnds()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = nil
}

// String lists the operations, one a line, for failure messages.
func (r *Recorder) String() string {
	var lines []byte
	for _, rec := range r.Records() {
		state := "in flight"
		if rec.Ended {
			state = rec.Outcome.String()
		}
		lines = fmt.Appendf(lines, "\n\t%s %q: %s %q", name(rec.Kind), rec.Operation.Values, state, rec.Result.Values)
	}
	return string(lines)
}

func name(k *observe.Kind) string { return k.Component + "." + k.Action }

// hasSurplus tells whether a value stands behind the first n places.
func hasSurplus(v observe.Values, n int) bool {
	for _, s := range v[n:] {
		if s != "" {
			return true
		}
	}
	return false
}
