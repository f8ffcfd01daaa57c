package prom_test

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/prom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

var (
	stateGauge = observe.Gauge{Component: "breaker", Name: "state", Help: "0 closed, 1 open.", Labels: []string{"name"}}
	tripsGauge = observe.Gauge{Component: "breaker", Name: "trips_total", Help: "Trips.", Cumulative: true}
)

type breaker struct {
	name  string
	state float64
}

// breakers is a source over a list.
type breakers []breaker

func (b *breakers) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		for _, one := range *b {
			if !yield(observe.Reading{Gauge: &stateGauge, Values: observe.Values{one.name}, Value: one.state}) {
				return
			}
		}
	}
}

// readings is a source that is not comparable.
type readings []observe.Reading

func (r readings) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		for _, one := range r {
			if !yield(one) {
				return
			}
		}
	}
}

func TestSourcesAreReadAtEachScrape(t *testing.T) {
	o, reg := newObserver(t, prom.Config{})
	src := &breakers{{"billing", 1}}
	require.NoError(t, o.Register(src))
	require.NoError(t, o.Register(&readings{{Gauge: &tripsGauge, Value: 7}}))
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP app_breaker_state 0 closed, 1 open.
		# TYPE app_breaker_state gauge
		app_breaker_state{name="billing"} 1
		# HELP app_breaker_trips_total Trips.
		# TYPE app_breaker_trips_total counter
		app_breaker_trips_total 7
	`), "app_breaker_state", "app_breaker_trips_total"))

	*src = append(*src, breaker{"sms", 0})
	require.Len(t, family(t, reg, "app_breaker_state").GetMetric(), 2)

	require.True(t, o.Unregister(src))
	require.False(t, o.Unregister(src))
	require.Nil(t, family(t, reg, "app_breaker_state"))
	require.NoError(t, o.Register(src), "a source may come back")
}

func TestRegisterRefusesWhatItCannotFindAgain(t *testing.T) {
	o, _ := newObserver(t, prom.Config{})
	src := &breakers{}
	require.EqualError(t, o.Register(nil), "prom: source is nil")
	require.ErrorContains(t, o.Register(readings{}), "not comparable")
	require.NoError(t, o.Register(src))
	require.ErrorContains(t, o.Register(src), "registered already")
	require.False(t, o.Unregister(nil))
	require.False(t, o.Unregister(readings{}))
}

func TestBadReadingsLeaveTheScrapeWhole(t *testing.T) {
	otherLabels := stateGauge
	otherLabels.Labels = []string{"somewhere"}
	foreign := observe.Gauge{Component: "foreign", Name: "depth"}
	many := readings{}
	for i := range 600 {
		many = append(many, observe.Reading{Gauge: &stateGauge, Values: observe.Values{fmt.Sprint(i)}})
	}
	for name, bad := range map[string]observe.Source{
		"no gauge":                        &readings{{}},
		"invalid gauge":                   &readings{{Gauge: &observe.Gauge{Component: "X"}}},
		"same name, other labels":         &readings{{Gauge: &otherLabels}},
		"name taken by another collector": &readings{{Gauge: &foreign}},
		"read twice":                      &readings{{Gauge: &stateGauge, Values: observe.Values{"billing"}}},
		"shown alike": &readings{
			{Gauge: &stateGauge, Values: observe.Values{"\xff"}}, {Gauge: &stateGauge, Values: observe.Values{"\xfe"}},
		},
		"too many": &many,
		"panics":   panicking{},
	} {
		t.Run(name, func(t *testing.T) {
			var told refusals
			o, reg := newObserver(t, prom.Config{}, prom.OnError(told.add))
			require.NoError(t, reg.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: "app_foreign_depth", Help: "Theirs."})))
			require.NoError(t, o.Register(&breakers{{"billing", 1}}))
			require.NoError(t, o.Register(bad))
			for range 3 {
				_, err := reg.Gather()
				require.NoError(t, err)
			}
			require.Len(t, told.all(), 1)
			require.True(t, errors.Is(told.all()[0], prom.ErrRefused) || errors.Is(told.all()[0], prom.ErrCollapsed))
			require.GreaterOrEqual(t, value(t, reg, "app_observe_dropped_total"), 3.0)
			require.LessOrEqual(t, len(family(t, reg, "app_breaker_state").GetMetric()), prom.DefaultMaxSeries)
			require.Contains(t, labels(family(t, reg, "app_breaker_state").GetMetric()[0])[0], "name=")
		})
	}
}

type panicking struct{}

func (panicking) Readings() iter.Seq[observe.Reading] { panic("no state") }

func TestGaugesDeclaredOnTheFlyAreBounded(t *testing.T) {
	var told refusals
	o, reg := newObserver(t, prom.Config{}, prom.OnError(told.add))
	fly := readings{}
	for i := range 1500 {
		fly = append(fly, observe.Reading{Gauge: &observe.Gauge{Component: "fly", Name: fmt.Sprintf("g%d", i)}})
	}
	require.NoError(t, o.Register(&fly))
	families, err := reg.Gather()
	require.NoError(t, err)
	require.LessOrEqual(t, len(families), 1024+2)
	require.Len(t, told.all(), 1)
	require.ErrorContains(t, told.all()[0], "more than 1024 gauges")
}

func TestSourcesMayComeAndGoDuringScrapes(t *testing.T) {
	o, reg := newObserver(t, prom.Config{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 50 {
				src := &breakers{{fmt.Sprint("b", g), 1}}
				if err := o.Register(src); err != nil {
					t.Error(err)
				}
				if _, err := reg.Gather(); err != nil {
					t.Error(err)
				}
				o.Unregister(src)
			}
		})
	}
	wg.Wait()
	require.Nil(t, family(t, reg, "app_breaker_state"))
}
