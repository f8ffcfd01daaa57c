package observe

import "iter"

// Gauge describes one sort of state that can be read at any time: a breaker's
// state, a queue's depth, a consumer's lag. Declare one package-level Gauge per
// sort and never change it.
type Gauge struct {
	// Component names the package or boundary in snake_case: "circuitbreaker".
	Component string
	// Name names what is measured, with its base unit where it has one, in
	// snake_case: "state", "lag_seconds", "pool_connections".
	Name string
	// Help is one sentence for people who meet the metric.
	Help string
	// Labels are the keys of [Reading.Values], at most [MaxLabels].
	Labels []string
}

// Reading is one value of a Gauge.
type Reading struct {
	// Gauge is required.
	Gauge *Gauge
	// Values belong to Gauge.Labels.
	Values Values
	Value  float64
}

// Source is state that a backend reads when it is asked, at each scrape for
// example: types with a Snapshot method implement it beside. Readings must be
// safe for concurrent use and quick; it must not do I/O.
type Source interface {
	Readings() iter.Seq[Reading]
}
