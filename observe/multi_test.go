package observe_test

import (
	"context"
	"testing"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/stretchr/testify/require"
)

var callKind = observe.Kind{Component: "billing", Action: "call", StartLabels: []string{"peer"}}

type traceKey struct{}

// tracer writes down its calls, and which tracers stand above it in the context.
type tracer struct {
	name string
	log  *[]string
}

func (tr tracer) Start(ctx context.Context, _ observe.Operation) (context.Context, observe.End) {
	above, _ := ctx.Value(traceKey{}).(string)
	*tr.log = append(*tr.log, "start "+above+tr.name)
	return context.WithValue(ctx, traceKey{}, above+tr.name), func(r observe.Result) {
		*tr.log = append(*tr.log, "end "+tr.name+" "+r.Outcome.String())
	}
}

func TestMultiChainsContextsAndEndsInReverse(t *testing.T) {
	var log []string
	m := observe.Multi(tracer{"a", &log}, observe.Multi(tracer{"b", &log}, tracer{"c", &log}))
	for range 2 { // the second time from the pool
		log = nil
		ctx, end := m.Start(t.Context(), observe.Operation{Kind: &callKind})
		require.Equal(t, "abc", ctx.Value(traceKey{}))
		end(observe.Result{Outcome: observe.Degraded})
		require.Equal(t, []string{
			"start a", "start ab", "start abc", "end c degraded", "end b degraded", "end a degraded",
		}, log)
	}
}

func TestMultiDropsNilAndNopAndUnwrapsOne(t *testing.T) {
	var log []string
	one := tracer{"a", &log}
	require.Equal(t, observe.Nop(), observe.Multi())
	require.Equal(t, observe.Nop(), observe.Multi(nil, observe.Nop()))
	require.Equal(t, observe.Observer(one), observe.Multi(nil, one, observe.Nop()))
	require.Equal(t, observe.Observer(one), observe.Multi(observe.Multi(one)))
}

func TestMultiKeepsOverlappingOperationsApart(t *testing.T) {
	rec := observetest.NewRecorder(t)
	m := observe.Multi(rec, observetest.NewRecorder(t))
	_, a := m.Start(t.Context(), observe.Operation{Kind: &callKind, Values: observe.Values{"a"}})
	_, b := m.Start(t.Context(), observe.Operation{Kind: &callKind, Values: observe.Values{"b"}})
	a(observe.Result{Outcome: observe.Failed})
	_, c := m.Start(t.Context(), observe.Operation{Kind: &callKind, Values: observe.Values{"c"}})
	b(observe.Result{Outcome: observe.Timeout})
	c(observe.Result{Outcome: observe.Skipped})

	got := map[string]observe.Outcome{}
	for _, r := range rec.Ended("billing", "call") {
		got[r.Label("peer")] = r.Outcome
	}
	require.Equal(t, map[string]observe.Outcome{"a": observe.Failed, "b": observe.Timeout, "c": observe.Skipped}, got)
}

func TestMultiAllocatesNothingItself(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector a sync.Pool drops items at random")
	}
	m := observe.Multi(silent{}, silent{}, silent{})
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		_, end := m.Start(ctx, observe.Operation{Kind: &callKind, Values: observe.Values{"a"}})
		end(observe.Result{})
	}))
}

// silent is an Observer that costs nothing but isn't Nop.
type silent struct{}

func (silent) Start(ctx context.Context, _ observe.Operation) (context.Context, observe.End) {
	return ctx, func(observe.Result) {}
}

func TestConformance(t *testing.T) {
	t.Run("Nop", func(t *testing.T) {
		observetest.Test(t, func(*testing.T) observe.Observer { return observe.Nop() })
	})
	t.Run("Multi", func(t *testing.T) {
		observetest.Test(t, func(*testing.T) observe.Observer { return observe.Multi(silent{}, silent{}) })
	})
}
