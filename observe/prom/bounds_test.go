package prom_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/prom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestValuesBeyondTheBoundCollapseIntoOther(t *testing.T) {
	var told refusals
	o, reg := newObserver(t, prom.Config{Settings: prom.Settings{MaxSeries: 2}}, prom.OnError(told.add))
	for _, name := range []string{"a", "b", "c", "d", "c", "a"} {
		do(t, o, &lockKind, observe.Values{name}, observe.Result{})
	}
	do(t, o, &lockKind, observe.Values{"e"}, observe.Result{Outcome: observe.Failed})

	got := map[string]uint64{}
	for _, m := range family(t, reg, "app_lock_hold_duration_seconds").GetMetric() {
		got[strings.Join(labels(m), " ")] = m.GetHistogram().GetSampleCount()
	}
	require.Equal(t, map[string]uint64{
		`name="a" outcome="ok"`:         2,
		`name="b" outcome="ok"`:         1,
		`name="other" outcome="ok"`:     3,
		`name="other" outcome="failed"`: 1, // the failure rate stays right
	}, got)
	require.EqualValues(t, 4, value(t, reg, "app_observe_collapsed_total"))
	require.Len(t, told.all(), 1)
	require.ErrorIs(t, told.all()[0], prom.ErrCollapsed)
	require.ErrorContains(t, told.all()[0], "lock_hold has more than 2")
}

func TestEndValuesBeyondTheBoundCollapse(t *testing.T) {
	o, reg := newObserver(t, prom.Config{}, prom.WithKind("http_server", "request", prom.Settings{MaxSeries: 3}))
	for i := range 10 {
		do(t, o, &requestKind, observe.Values{"GET", "/"}, observe.Result{Values: observe.Values{fmt.Sprint(200 + i)}})
	}
	require.Len(t, family(t, reg, "app_http_server_request_duration_seconds").GetMetric(), 4)
	require.EqualValues(t, 10, samples(t, reg, "app_http_server_request_duration_seconds"))
	require.EqualValues(t, 7, value(t, reg, "app_observe_collapsed_total"))
}

func TestOutcomesBeyondTheBoundCollapse(t *testing.T) {
	o, reg := newObserver(t, prom.Config{Settings: prom.Settings{MaxSeries: 1}})
	for range 2 {
		do(t, o, &lockKind, observe.Values{"a"}, observe.Result{})
		do(t, o, &lockKind, observe.Values{"a"}, observe.Result{Outcome: observe.Failed})
	}
	require.EqualValues(t, 2, value(t, reg, "app_observe_collapsed_total"))
	require.EqualValues(t, 4, samples(t, reg, "app_lock_hold_duration_seconds"))
}

// A hundred thousand hostile values add a bounded number of series, from many
// goroutines at once, and none of the observations is lost.
func TestHostileValuesNeverAddMoreThanTheBound(t *testing.T) {
	const bound, goroutines, each = 100, 8, 12_500
	o, reg := newObserver(t, prom.Config{Settings: prom.Settings{MaxSeries: bound, Buckets: []float64{1}}})
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				url := fmt.Sprintf("/%x", rand.Uint64())
				do(t, o, &requestKind, observe.Values{url[1:5], url}, observe.Result{
					Outcome: observe.Outcome(rand.N(12)), Values: observe.Values{url[5:]},
				})
			}
		})
	}
	wg.Wait()
	families, err := reg.Gather()
	require.NoError(t, err)
	series := map[string]int{}
	for _, f := range families {
		series[f.GetName()] = len(f.GetMetric())
	}
	outcomes := int(observe.Panicked) + 2 // and "unknown"
	require.LessOrEqual(t, series["app_http_server_request_duration_seconds"], bound+outcomes)
	require.LessOrEqual(t, series["app_http_server_request_bytes"], bound+outcomes)
	require.LessOrEqual(t, series["app_http_server_request_in_flight"], bound+1)
	require.EqualValues(t, goroutines*each, samples(t, reg, "app_http_server_request_duration_seconds"))
	require.Zero(t, value(t, reg, "app_http_server_request_in_flight"))
	require.EqualValues(t, goroutines*each-bound, value(t, reg, "app_observe_collapsed_total"))
}

func TestLongAndInvalidValuesAreShownSafely(t *testing.T) {
	o, reg := newObserver(t, prom.Config{})
	do(t, o, &lockKind, observe.Values{strings.Repeat("x", 257)}, observe.Result{})
	do(t, o, &lockKind, observe.Values{"\xff"}, observe.Result{})
	do(t, o, &lockKind, observe.Values{"\xfe"}, observe.Result{})
	got := map[string]uint64{}
	for _, m := range family(t, reg, "app_lock_hold_duration_seconds").GetMetric() {
		got[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleCount()
	}
	require.Equal(t, map[string]uint64{"other": 1, "\uFFFD": 2}, got)
}

// The counts equal those of a plain map that collapses by the documented rule.
func TestSeriesMatchANaiveModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bound := rapid.IntRange(1, 6).Draw(rt, "bound")
		reg := prometheus.NewPedanticRegistry()
		o, err := prom.New(reg, prom.Config{Namespace: "app", Settings: prom.Settings{MaxSeries: bound, Buckets: []float64{1}}})
		require.NoError(rt, err)
		kind := observe.Kind{Component: "c", Action: "a", StartLabels: []string{"s"}, EndLabels: []string{"e"}}

		type key struct{ start, end, outcome string }
		starts, keys, want := map[string]bool{}, map[key]bool{}, map[key]uint64{}
		for range rapid.IntRange(0, 60).Draw(rt, "operations") {
			k := key{rapid.StringMatching(`[a-d]`).Draw(rt, "start"), rapid.StringMatching(`[x-z]`).Draw(rt, "end"), ""}
			outcome := observe.Outcome(rapid.IntRange(0, 2).Draw(rt, "outcome"))
			_, end := o.Start(t.Context(), observe.Operation{Kind: &kind, Values: observe.Values{k.start}})
			end(observe.Result{Outcome: outcome, Values: observe.Values{k.end}})

			k.outcome = outcome.String()
			if starts[k.start] || len(starts) < bound {
				starts[k.start] = true
			} else {
				k.start, k.end = "other", "other"
			}
			if k.start != "other" && !keys[k] {
				if len(keys) < bound {
					keys[k] = true
				} else {
					k.start, k.end = "other", "other"
				}
			}
			want[k]++
		}
		got := map[key]uint64{}
		families, err := reg.Gather()
		require.NoError(rt, err)
		for _, f := range families {
			if f.GetName() != "app_c_a_duration_seconds" {
				continue
			}
			for _, m := range f.GetMetric() {
				l := m.GetLabel() // sorted by name: e, outcome, s
				got[key{l[2].GetValue(), l[0].GetValue(), l[1].GetValue()}] = m.GetHistogram().GetSampleCount()
			}
		}
		require.Equal(rt, want, got)
	})
}
