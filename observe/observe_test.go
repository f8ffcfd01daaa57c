package observe_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/stretchr/testify/require"
)

func TestNopAllocatesNothing(t *testing.T) {
	o := observe.OrNop(nil)
	ctx := t.Context()
	cause := errors.New("no")
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		_, end := o.Start(ctx, observe.Operation{Kind: &callKind, Values: observe.Values{"a", "b", "c", "d"}})
		end(observe.Result{Outcome: observe.Failed, Err: cause, Values: observe.Values{"a", "b"}, Amount: 3})
	}))
}

func TestOrNopKeepsAnObserver(t *testing.T) {
	require.Equal(t, observe.Nop(), observe.OrNop(nil))
	require.Equal(t, observe.Observer(silent{}), observe.OrNop(silent{}))
}

func TestIsNop(t *testing.T) {
	require.True(t, observe.IsNop(nil))
	require.True(t, observe.IsNop(observe.Nop()))
	require.True(t, observe.IsNop(observe.Multi(nil, observe.Nop())))
	require.False(t, observe.IsNop(silent{}))
}

func TestNopKeepsTheContext(t *testing.T) {
	ctx, end := observe.Nop().Start(t.Context(), observe.Operation{Kind: &callKind})
	require.Equal(t, t.Context(), ctx)
	end(observe.Result{})
}

func TestEmitStartsAndEndsOnce(t *testing.T) {
	rec := observetest.NewRecorder(t)
	kind := observe.Kind{Component: "billing", Action: "retry", Form: observe.Instant, EndLabels: []string{"cause"}, Amount: "tries"}
	observe.Emit(t.Context(), rec, observe.Operation{Kind: &kind}, observe.Result{Values: observe.Values{"busy"}, Amount: 3})
	got := rec.Only("billing", "retry")
	require.Equal(t, "busy", got.Label("cause"))
	require.EqualValues(t, 3, got.Amount)
}

func TestOutcomeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want observe.Outcome
	}{
		{nil, observe.OK},
		{errors.New("no"), observe.Failed},
		{fmt.Errorf("call: %w", context.Canceled), observe.Canceled},
		{fmt.Errorf("call: %w", context.DeadlineExceeded), observe.Timeout},
		{errors.Join(context.DeadlineExceeded, context.Canceled), observe.Canceled},
	} {
		require.Equal(t, c.want, observe.OutcomeOf(c.err), "%v", c.err)
	}
}

func TestOutcomeNamesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for o := observe.OK; o <= observe.Panicked; o++ {
		require.NotEqual(t, "unknown", o.String())
		require.False(t, seen[o.String()], "%s", o)
		seen[o.String()] = true
	}
	require.Equal(t, "unknown", (observe.Panicked + 1).String())
	require.Equal(t, "unknown", observe.Outcome(255).String())
}

func BenchmarkNop(b *testing.B) {
	o := observe.Nop()
	ctx := b.Context()
	op := observe.Operation{Kind: &callKind, Values: observe.Values{"a"}}
	b.ReportAllocs()
	for b.Loop() {
		_, end := o.Start(ctx, op)
		end(observe.Result{})
	}
}
