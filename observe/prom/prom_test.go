package prom_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/observe/prom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

var (
	requestKind = observe.Kind{
		Component: "http_server", Action: "request", Help: "Requests served.", Role: observe.Server,
		StartLabels: []string{"method", "route"}, EndLabels: []string{"status"}, Amount: "bytes",
	}
	lockKind  = observe.Kind{Component: "lock", Action: "hold", Help: "Locks held.", StartLabels: []string{"name"}}
	plainKind = observe.Kind{Component: "job", Action: "run", Help: "Jobs run."}
	eventKind = observe.Kind{Component: "breaker", Action: "trip", Help: "Breakers tripped.", Form: observe.Instant, StartLabels: []string{"name"}}
)

func newObserver(t *testing.T, cfg prom.Config, opts ...prom.Option) (*prom.Observer, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if cfg.Namespace == "" {
		cfg.Namespace = "app"
	}
	o, err := prom.New(reg, cfg, opts...)
	require.NoError(t, err)
	return o, reg
}

// do runs one operation of k without work.
func do(t *testing.T, o observe.Observer, k *observe.Kind, start observe.Values, r observe.Result) {
	t.Helper()
	_, end := o.Start(t.Context(), observe.Operation{Kind: k, Values: start})
	end(r)
}

// refusals collects what OnError is told.
type refusals struct {
	mu   sync.Mutex
	errs []error
}

func (r *refusals) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *refusals) all() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.errs
}

func TestConformance(t *testing.T) {
	observetest.Test(t, func(t *testing.T) observe.Observer {
		o, reg := newObserver(t, prom.Config{Settings: prom.Settings{MaxSeries: 7, NativeFactor: 1.1, Quantiles: prom.Quantiles()}})
		t.Cleanup(func() {
			_, err := testutil.GatherAndLint(reg)
			require.NoError(t, err)
		})
		return o
	})
}

func TestMetricsAreVisibleWithoutSetUp(t *testing.T) {
	o, reg := newObserver(t, prom.Config{})
	do(t, o, &eventKind, observe.Values{"billing"}, observe.Result{})
	do(t, o, &eventKind, observe.Values{"billing"}, observe.Result{Outcome: observe.Skipped})
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP app_breaker_trip_total Breakers tripped. Count.
		# TYPE app_breaker_trip_total counter
		app_breaker_trip_total{name="billing",outcome="ok"} 1
		app_breaker_trip_total{name="billing",outcome="skipped"} 1
		# HELP app_observe_dropped_total Operations and readings not shown because their kind, gauge or source was refused.
		# TYPE app_observe_dropped_total counter
		app_observe_dropped_total 0
	`), "app_breaker_trip_total", "app_observe_dropped_total"))
}

func TestDurationsAndAmountsAreHistogramsInBaseUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, reg := newObserver(t, prom.Config{Settings: prom.Settings{Buckets: []float64{0.1, 1}, AmountBuckets: []float64{512, 4096}}})
		_, end := o.Start(t.Context(), observe.Operation{Kind: &requestKind, Values: observe.Values{"GET", "/users/:id"}})
		<-time.After(250 * time.Millisecond)
		end(observe.Result{Outcome: observe.Failed, Values: observe.Values{"500"}, Amount: 1000})
		require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
			# HELP app_http_server_request_duration_seconds Requests served. Duration in seconds.
			# TYPE app_http_server_request_duration_seconds histogram
			app_http_server_request_duration_seconds_bucket{method="GET",outcome="failed",route="/users/:id",status="500",le="0.1"} 0
			app_http_server_request_duration_seconds_bucket{method="GET",outcome="failed",route="/users/:id",status="500",le="1"} 1
			app_http_server_request_duration_seconds_bucket{method="GET",outcome="failed",route="/users/:id",status="500",le="+Inf"} 1
			app_http_server_request_duration_seconds_sum{method="GET",outcome="failed",route="/users/:id",status="500"} 0.25
			app_http_server_request_duration_seconds_count{method="GET",outcome="failed",route="/users/:id",status="500"} 1
			# HELP app_http_server_request_bytes Requests served. Amount of bytes.
			# TYPE app_http_server_request_bytes histogram
			app_http_server_request_bytes_bucket{method="GET",outcome="failed",route="/users/:id",status="500",le="512"} 0
			app_http_server_request_bytes_bucket{method="GET",outcome="failed",route="/users/:id",status="500",le="4096"} 1
			app_http_server_request_bytes_bucket{method="GET",outcome="failed",route="/users/:id",status="500",le="+Inf"} 1
			app_http_server_request_bytes_sum{method="GET",outcome="failed",route="/users/:id",status="500"} 1000
			app_http_server_request_bytes_count{method="GET",outcome="failed",route="/users/:id",status="500"} 1
		`), "app_http_server_request_duration_seconds", "app_http_server_request_bytes"))
	})
}

func TestUnknownAmountIsNotCounted(t *testing.T) {
	o, reg := newObserver(t, prom.Config{})
	do(t, o, &requestKind, observe.Values{"GET", "/"}, observe.Result{Amount: -1})
	require.EqualValues(t, 0, histogram(t, reg, "app_http_server_request_bytes").GetSampleCount())
	require.EqualValues(t, 1, histogram(t, reg, "app_http_server_request_duration_seconds").GetSampleCount())
}

func TestInFlightGaugeReturnsToZero(t *testing.T) {
	o, reg := newObserver(t, prom.Config{})
	inFlight := func() float64 { return value(t, reg, "app_lock_hold_in_flight") }
	hold := func(leave func()) {
		_, end := o.Start(t.Context(), observe.Operation{Kind: &lockKind, Values: observe.Values{"ranking"}})
		outcome := observe.Panicked
		defer func() { end(observe.Result{Outcome: outcome}) }()
		leave()
		outcome = observe.OK
	}
	var insideOne, insideTwo float64
	hold(func() {
		insideOne = inFlight()
		hold(func() { insideTwo = inFlight() })
	})
	require.Equal(t, []float64{1, 2, 0}, []float64{insideOne, insideTwo, inFlight()})

	var wg sync.WaitGroup
	for _, leave := range []func(){func() { panic("no") }, runtime.Goexit} {
		wg.Go(func() {
			defer func() { _ = recover() }()
			hold(leave)
		})
	}
	wg.Wait()
	require.Zero(t, inFlight())
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP app_lock_hold_in_flight Locks held. Under way now.
		# TYPE app_lock_hold_in_flight gauge
		app_lock_hold_in_flight{name="ranking"} 0
	`), "app_lock_hold_in_flight"))
}

func TestInFlightGaugeReturnsToZeroUnderConcurrency(t *testing.T) {
	o, reg := newObserver(t, prom.Config{Settings: prom.Settings{MaxSeries: 5}})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 500 {
				do(t, o, &lockKind, observe.Values{fmt.Sprint((g + i) % 12)}, observe.Result{Outcome: observe.Outcome(i % 3)})
			}
		})
	}
	wg.Wait()
	require.Zero(t, value(t, reg, "app_lock_hold_in_flight"))
	require.EqualValues(t, 16*500, samples(t, reg, "app_lock_hold_duration_seconds"), "no observation is lost")
}

func TestSummaryAndNativeHistogramAreOptIn(t *testing.T) {
	o, reg := newObserver(t, prom.Config{},
		prom.WithKind("lock", "hold", prom.Settings{NativeFactor: 1.1, Quantiles: prom.Quantiles()}))
	do(t, o, &lockKind, observe.Values{"a"}, observe.Result{})
	do(t, o, &plainKind, observe.Values{}, observe.Result{})

	require.NotEmpty(t, histogram(t, reg, "app_lock_hold_duration_seconds").GetPositiveSpan(), "native buckets")
	require.NotEmpty(t, histogram(t, reg, "app_lock_hold_duration_seconds").GetBucket(), "beside classic ones")
	require.Empty(t, histogram(t, reg, "app_job_run_duration_seconds").GetPositiveSpan())
	require.Nil(t, family(t, reg, "app_job_run_duration_summary_seconds"))
	var got []float64
	for _, q := range family(t, reg, "app_lock_hold_duration_summary_seconds").GetMetric()[0].GetSummary().GetQuantile() {
		got = append(got, q.GetQuantile())
	}
	require.Equal(t, []float64{0.5, 0.75, 0.9, 0.99, 0.999}, got)
}

func TestConstantLabelsAreOnEveryMetric(t *testing.T) {
	o, reg := newObserver(t, prom.Config{}, prom.WithConstLabels(map[string]string{"instance_id": "i-1"}))
	require.NoError(t, o.Register(&breakers{{"billing", 1}}))
	do(t, o, &requestKind, observe.Values{"GET", "/"}, observe.Result{})
	do(t, o, &eventKind, observe.Values{"a"}, observe.Result{})
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 7)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			require.Contains(t, labels(m), `instance_id="i-1"`, f.GetName())
		}
	}
}

func TestNewNamesEveryViolation(t *testing.T) {
	_, err := prom.New(nil, prom.Config{
		Namespace: "Web Book",
		Settings: prom.Settings{
			Buckets: []float64{1, 1}, AmountBuckets: []float64{2, math.NaN()}, NativeFactor: 1, Quantiles: []float64{0.5, 1}, MaxSeries: -1,
		},
	}, prom.WithConstLabels(map[string]string{"outcome": "x"}), prom.WithKind("lock", "hold", prom.Settings{MaxSeries: -2}))
	for _, part := range []string{
		"Registerer is nil", `Namespace "Web Book"`, `constant label "outcome"`, "Settings.Buckets [1 1]", "Settings.AmountBuckets [2 NaN]",
		"Settings.NativeFactor 1 ", "Settings.Quantiles: 1 ", "Settings.MaxSeries -1", "WithKind(lock_hold).MaxSeries -2",
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = prom.New(prometheus.NewRegistry(), prom.Config{})
	require.ErrorContains(t, err, `Namespace ""`)
}

func TestSecondObserverOnARegistryIsAnError(t *testing.T) {
	_, reg := newObserver(t, prom.Config{})
	_, err := prom.New(reg, prom.Config{Namespace: "app"})
	require.ErrorContains(t, err, `prom: namespace "app": another Observer on this registry?`)
	require.ErrorAs(t, err, &prometheus.AlreadyRegisteredError{})

	other, err := prom.New(reg, prom.Config{Namespace: "other"})
	require.NoError(t, err, "another namespace is another Observer")
	do(t, other, &plainKind, observe.Values{}, observe.Result{})
	_, err = testutil.GatherAndLint(reg)
	require.NoError(t, err)
}

func TestEqualDeclarationsShareTheirMetrics(t *testing.T) {
	var told refusals
	o, reg := newObserver(t, prom.Config{}, prom.OnError(told.add))
	twin := lockKind
	do(t, o, &lockKind, observe.Values{"a"}, observe.Result{})
	do(t, o, &twin, observe.Values{"a"}, observe.Result{})
	require.Empty(t, told.all())
	require.EqualValues(t, 2, samples(t, reg, "app_lock_hold_duration_seconds"))
}

func TestWhatCannotBeShownIsReportedOnceAndCounted(t *testing.T) {
	otherLabels, collides, badAmount := lockKind, observe.Kind{Component: "lock_hold", Action: "in"}, plainKind
	otherLabels.StartLabels = []string{"somewhere"}
	collides.Component, collides.Action = "foreign", "call"
	badAmount.Action, badAmount.Amount = "walk", "in_flight"
	for name, kind := range map[string]*observe.Kind{
		"no kind":                             nil,
		"invalid kind":                        {Component: "Bad"},
		"same name, other labels":             &otherLabels,
		"name taken by another collector":     &collides,
		"amount that names another metric":    &badAmount,
		"label that is a constant label, too": {Component: "a", Action: "b", StartLabels: []string{"instance_id"}},
		"label that the format reserves":      {Component: "lock_hold", Action: "x", StartLabels: []string{"le"}},
	} {
		t.Run(name, func(t *testing.T) {
			var told refusals
			o, reg := newObserver(t, prom.Config{}, prom.OnError(told.add), prom.WithConstLabels(map[string]string{"instance_id": "i"}))
			require.NoError(t, reg.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: "app_foreign_call_in_flight", Help: "Theirs."})))
			do(t, o, &lockKind, observe.Values{"a"}, observe.Result{})
			for range 3 {
				do(t, o, kind, observe.Values{"a"}, observe.Result{})
			}
			require.Len(t, told.all(), 1)
			require.ErrorIs(t, told.all()[0], prom.ErrRefused)
			require.EqualValues(t, 3, value(t, reg, "app_observe_dropped_total"))
			_, err := reg.Gather()
			require.NoError(t, err, "the scrape stays whole")
		})
	}
}

func TestKindChangedAfterwardsDoesNotPanic(t *testing.T) {
	o, reg := newObserver(t, prom.Config{})
	k := lockKind
	do(t, o, &k, observe.Values{"a"}, observe.Result{})
	k.StartLabels = append(k.StartLabels, "more")
	do(t, o, &k, observe.Values{"b", "c"}, observe.Result{})
	require.EqualValues(t, 2, samples(t, reg, "app_lock_hold_duration_seconds"))
}

func TestKindsDeclaredOnTheFlyAreBounded(t *testing.T) {
	var told refusals
	o, reg := newObserver(t, prom.Config{}, prom.OnError(told.add))
	do(t, o, &lockKind, observe.Values{"a"}, observe.Result{})
	for i := range 1500 {
		do(t, o, &observe.Kind{Component: "fly", Action: fmt.Sprintf("a%d", i)}, observe.Values{}, observe.Result{})
	}
	twin := lockKind
	do(t, o, &twin, observe.Values{"a"}, observe.Result{})
	require.EqualValues(t, 2, samples(t, reg, "app_lock_hold_duration_seconds"), "known kinds go on")
	require.Len(t, told.all(), 1)
	require.ErrorContains(t, told.all()[0], "more than 1024 kinds")
	require.EqualValues(t, 1500-1023, value(t, reg, "app_observe_dropped_total"))
}

func TestOneOperationAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector a sync.Pool drops items at random")
	}
	o, _ := newObserver(t, prom.Config{})
	ctx, cause := t.Context(), errors.New("no")
	for _, k := range []*observe.Kind{&requestKind, &lockKind, &plainKind, &eventKind} {
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			_, end := o.Start(ctx, observe.Operation{Kind: k, Values: observe.Values{"GET", "/users/:id"}})
			end(observe.Result{Outcome: observe.Failed, Err: cause, Values: observe.Values{"500"}, Amount: 100})
		}), k.Component)
	}
}
