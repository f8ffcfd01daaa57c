package observetest

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/stretchr/testify/require"
)

// Test checks that what factory makes keeps the contract of [observe.Observer].
// factory is called once for each part of the suite and registers its own clean-up
// with t. Run the suite with the race detector. A Recorder that fails the test for
// invalid Kinds must be given a TB that bears it.
func Test(t *testing.T, factory func(t *testing.T) observe.Observer) {
	t.Helper()
	parts := []struct {
		name string
		run  func(*testing.T, observe.Observer)
	}{
		{"derives the context from the caller's", derivesContext},
		{"never cancels the context", neverCancels},
		{"takes every role, form and outcome", everyRoleFormAndOutcome},
		{"nests operations", nests},
		{"bears ends out of order", endsOutOfOrder},
		{"bears odd values", oddValues},
		{"bears invalid and conflicting kinds", badKinds},
		{"leaves kinds as they are", leavesKinds},
		{"ends after a panic and after Goexit", endsAfterPanicAndGoexit},
		{"is safe for concurrent use", concurrent},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.run(t, factory(t)) })
	}
}

func suiteKind() *observe.Kind {
	return &observe.Kind{
		Component: "suite", Action: "call", Help: "Calls made by the suite.",
		StartLabels: []string{"name"}, EndLabels: []string{"code"}, Amount: "items",
	}
}

type suiteKey struct{}

func derivesContext(t *testing.T, o observe.Observer) {
	for _, form := range []observe.Form{observe.Timed, observe.Instant} {
		k := suiteKind()
		k.Form = form
		k.Action = []string{"call", "event"}[form]
		parent, cancel := context.WithCancel(context.WithValue(t.Context(), suiteKey{}, "kept"))
		ctx, end := o.Start(parent, observe.Operation{Kind: k})
		require.NotNil(t, ctx, "context")
		require.NotNil(t, end, "End")
		require.Equal(t, "kept", ctx.Value(suiteKey{}), "the caller's values must be visible")
		require.NoError(t, ctx.Err())
		cancel()
		require.ErrorIs(t, ctx.Err(), context.Canceled, "the caller's cancellation must reach the operation")
		end(observe.Result{Outcome: observe.Canceled, Err: ctx.Err()})
	}
}

func neverCancels(t *testing.T, o observe.Observer) {
	ctx, end := o.Start(context.Background(), observe.Operation{Kind: suiteKind()})
	end(observe.Result{Outcome: observe.Failed, Err: errors.New("no")})
	require.NoError(t, ctx.Err(), "work that outlives the operation keeps its context")
}

func everyRoleFormAndOutcome(t *testing.T, o observe.Observer) {
	errs := []error{nil, errors.New("no")}
	for role := observe.Internal; role <= observe.Consumer; role++ {
		for form := observe.Timed; form <= observe.Instant; form++ {
			k := suiteKind()
			k.Role, k.Form = role, form
			k.Action = "role" + string('0'+rune(role)) + "form" + string('0'+rune(form))
			for outcome := observe.OK; outcome <= observe.Panicked+1; outcome++ { // one beyond the last
				for _, err := range errs {
					observe.Emit(t.Context(), o, observe.Operation{Kind: k}, observe.Result{Outcome: outcome, Err: err})
				}
			}
		}
	}
}

func nests(t *testing.T, o observe.Observer) {
	k := suiteKind()
	ctx, outer := o.Start(t.Context(), observe.Operation{Kind: k, Values: observe.Values{"outer"}})
	ctx, inner := o.Start(ctx, observe.Operation{Kind: k, Values: observe.Values{"inner"}})
	require.NoError(t, ctx.Err())
	inner(observe.Result{})
	outer(observe.Result{})
}

func endsOutOfOrder(t *testing.T, o observe.Observer) {
	k := suiteKind()
	ctx, first := o.Start(t.Context(), observe.Operation{Kind: k})
	_, second := o.Start(ctx, observe.Operation{Kind: k})
	first(observe.Result{})
	_, third := o.Start(t.Context(), observe.Operation{Kind: k})
	second(observe.Result{})
	third(observe.Result{})
}

func oddValues(t *testing.T, o observe.Observer) {
	k := suiteKind()
	odd := []string{"", "\xff\xfe", strings.Repeat("long", 10_000), "a\nb", "\x00", `"quoted"`, "电话"}
	for _, v := range odd {
		values := observe.Values{v, v, v, v} // more than the kind declares
		for _, amount := range []int64{-1, 0, 1 << 62} {
			_, end := o.Start(t.Context(), observe.Operation{Kind: k, Values: values})
			end(observe.Result{Values: values, Amount: amount})
		}
	}
}

func badKinds(t *testing.T, o observe.Observer) {
	same := suiteKind()
	otherLabels := suiteKind()
	otherLabels.StartLabels = []string{"somewhere"}
	kinds := []*observe.Kind{
		nil,
		{},
		{Component: "Not Snake", Action: "call"},
		{Component: "suite", Action: "twice", StartLabels: []string{"a", "a"}},
		{Component: "suite", Action: "many", StartLabels: []string{"a", "b", "c", "d", "e"}},
		{Component: "suite", Action: "form", Form: 99, Role: 99},
		{Component: "suite", Action: "reserved", EndLabels: []string{observe.OutcomeLabel}},
		suiteKind(), same, otherLabels,
	}
	for _, k := range kinds {
		for range 2 {
			ctx, end := o.Start(t.Context(), observe.Operation{Kind: k, Values: observe.Values{"v"}})
			require.NotNil(t, ctx)
			require.NotNil(t, end)
			end(observe.Result{})
		}
	}
}

func leavesKinds(t *testing.T, o observe.Observer) {
	k := suiteKind()
	observe.Emit(t.Context(), o, observe.Operation{Kind: k}, observe.Result{})
	require.True(t, reflect.DeepEqual(k, suiteKind()), "the Kind was changed to %+v", k)
}

func endsAfterPanicAndGoexit(t *testing.T, o observe.Observer) {
	run := func(leave func()) {
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			_, end := o.Start(t.Context(), observe.Operation{Kind: suiteKind()})
			defer func() { end(observe.Result{Outcome: observe.Panicked}) }()
			leave()
		})
		wg.Wait()
	}
	run(func() { panic("no") })
	run(runtime.Goexit)
}

func concurrent(t *testing.T, o observe.Observer) {
	kinds := []*observe.Kind{suiteKind(), suiteKind(), suiteKind()}
	kinds[1].Action, kinds[2].Action = "other", "event"
	kinds[2].Form = observe.Instant
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				value := string('a' + rune((g+i)%26))
				_, end := o.Start(t.Context(), observe.Operation{Kind: kinds[i%3], Values: observe.Values{value}})
				res := observe.Result{Outcome: observe.Outcome(i % 8), Values: observe.Values{value}, Amount: int64(i)}
				if i%16 > 0 {
					end(res)
					continue
				}
				wg.Go(func() { end(res) }) // an End may be called from any goroutine
			}
		})
	}
	wg.Wait()
}
