package prom_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// family gathers and returns the metrics of one name, nil when there are none.
func family(t *testing.T, reg prometheus.Gatherer, name string) *dto.MetricFamily {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f
		}
	}
	return nil
}

// value sums the values of the gauges or counters of one name.
func value(t *testing.T, reg prometheus.Gatherer, name string) (sum float64) {
	t.Helper()
	f := family(t, reg, name)
	require.NotNil(t, f, name)
	for _, m := range f.GetMetric() {
		sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return sum
}

// samples sums the sample counts of the histograms of one name.
func samples(t *testing.T, reg prometheus.Gatherer, name string) (sum uint64) {
	t.Helper()
	for _, m := range family(t, reg, name).GetMetric() {
		sum += m.GetHistogram().GetSampleCount()
	}
	return sum
}

func histogram(t *testing.T, reg prometheus.Gatherer, name string) *dto.Histogram {
	t.Helper()
	f := family(t, reg, name)
	require.NotNil(t, f, name)
	require.Len(t, f.GetMetric(), 1)
	return f.GetMetric()[0].GetHistogram()
}

func labels(m *dto.Metric) (all []string) {
	for _, l := range m.GetLabel() {
		all = append(all, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	return all
}
