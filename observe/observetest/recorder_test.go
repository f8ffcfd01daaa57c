package observetest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/stretchr/testify/require"
)

var (
	callKind  = observe.Kind{Component: "billing", Action: "call", StartLabels: []string{"peer"}, EndLabels: []string{"code"}}
	eventKind = observe.Kind{Component: "billing", Action: "event", Form: observe.Instant}
)

// fakeTB collects what a Recorder complains about.
type fakeTB struct {
	mu         sync.Mutex
	complaints []string
	cleanups   []func()
}

func (f *fakeTB) Helper() {}
func (f *fakeTB) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.complaints = append(f.complaints, fmt.Sprintf(format, args...))
}
func (f *fakeTB) Fatalf(format string, args ...any) { f.Errorf("fatal: "+format, args...) }
func (f *fakeTB) Cleanup(fn func())                 { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTB) finish() string {
	for _, fn := range f.cleanups {
		fn()
	}
	return strings.Join(f.complaints, "\n")
}

func TestRecorderKeepsOperations(t *testing.T) {
	rec := observetest.NewRecorder(t)
	ctx, outer := rec.Start(t.Context(), observe.Operation{Kind: &callKind, Values: observe.Values{"a"}})
	_, inner := rec.Start(ctx, observe.Operation{Kind: &callKind, Values: observe.Values{"b"}})
	require.Empty(t, rec.Ended("billing", "call"))
	inner(observe.Result{Outcome: observe.Failed, Values: observe.Values{"500"}})
	outer(observe.Result{Values: observe.Values{"200"}})
	observe.Emit(ctx, rec, observe.Operation{Kind: &eventKind}, observe.Result{Amount: 2})

	ended := rec.Ended("billing", "call")
	require.Len(t, ended, 2)
	require.Equal(t, "a", ended[0].Label("peer"))
	require.Equal(t, "200", ended[0].Label("code"))
	require.Equal(t, "", ended[0].Label("nothing"))
	require.Equal(t, -1, ended[0].Parent)
	require.Equal(t, 0, ended[1].Parent)
	require.Equal(t, observe.Failed, ended[1].Outcome)
	require.EqualValues(t, 2, rec.Only("billing", "event").Amount)

	rec.Reset()
	require.Empty(t, rec.Records())
}

func TestRecorderReportsMissingEnd(t *testing.T) {
	tb := &fakeTB{}
	rec := observetest.NewRecorder(tb)
	_, _ = rec.Start(t.Context(), observe.Operation{Kind: &callKind, Values: observe.Values{"a"}})
	require.Empty(t, tb.complaints)
	require.Contains(t, tb.finish(), `billing.call ["a" "" "" ""] never ended`)
}

func TestRecorderReportsSecondEnd(t *testing.T) {
	tb := &fakeTB{}
	rec := observetest.NewRecorder(tb)
	_, end := rec.Start(t.Context(), observe.Operation{Kind: &callKind})
	end(observe.Result{Outcome: observe.Failed})
	end(observe.Result{})
	require.Equal(t, "observetest: billing.call ended twice", tb.finish())
	require.Equal(t, observe.Failed, rec.Only("billing", "call").Outcome, "the first end counts")
}

func TestRecorderReportsSurplusValuesAndBadKinds(t *testing.T) {
	tb := &fakeTB{}
	rec := observetest.NewRecorder(tb)
	_, end := rec.Start(t.Context(), observe.Operation{Kind: &callKind, Values: observe.Values{"a", "surplus at start"}})
	end(observe.Result{Values: observe.Values{"200", "surplus at end"}})
	_, end = rec.Start(t.Context(), observe.Operation{Kind: &observe.Kind{Component: "Bad"}})
	end(observe.Result{})
	got := tb.finish()
	require.Contains(t, got, "surplus at start")
	require.Contains(t, got, "surplus at end")
	require.Contains(t, got, `Component "Bad" is not snake_case`)
}

func TestEndAfterResetIsHarmless(t *testing.T) {
	tb := &fakeTB{}
	rec := observetest.NewRecorder(tb)
	_, end := rec.Start(t.Context(), observe.Operation{Kind: &callKind})
	rec.Reset()
	end(observe.Result{})
	require.Contains(t, tb.finish(), "never ended", "at the Reset")
	require.Empty(t, rec.Records())
}

func TestOnlyEndsTheTestUnlessThereIsOne(t *testing.T) {
	tb := &fakeTB{}
	rec := observetest.NewRecorder(tb)
	rec.Only("billing", "call")
	require.Contains(t, tb.finish(), "fatal: observetest: 0 ended operations of billing.call, want 1")
}

func TestAwaitWaitsForTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := observetest.NewRecorder(t)
		for range 3 {
			_, end := rec.Start(t.Context(), observe.Operation{Kind: &callKind})
			time.AfterFunc(time.Second, func() { end(observe.Result{}) })
		}
		began := time.Now()
		require.Len(t, rec.Await("billing", "call", 3), 3)
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestAwaitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &fakeTB{}
		rec := observetest.NewRecorder(tb)
		require.Empty(t, rec.Await("billing", "call", 1))
		require.Contains(t, tb.finish(), "0 ended operations of billing.call, want 1")
	})
}

func TestConformance(t *testing.T) {
	observetest.Test(t, func(*testing.T) observe.Observer {
		return observetest.NewRecorder(&fakeTB{}) // bears the invalid kinds
	})
}

func ExampleNewRecorder() {
	tb := &fakeTB{} // in a test: t
	rec := observetest.NewRecorder(tb)

	// The code under test:
	_, end := rec.Start(context.Background(), observe.Operation{Kind: &callKind, Values: observe.Values{"eu"}})
	end(observe.Result{Outcome: observe.Timeout, Values: observe.Values{"504"}})

	call := rec.Only("billing", "call")
	fmt.Println(call.Label("peer"), call.Label("code"), call.Outcome)
	// Output: eu 504 timeout
}
