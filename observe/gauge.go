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
	// Cumulative tells that the value only grows while the process lives, so
	// that backends show a counter. The Name of such a Gauge ends in "_total".
	Cumulative bool
}

// Reading is one value of a Gauge.
type Reading struct {
	// Gauge is required.
	Gauge *Gauge
	// Values belong to Gauge.Labels.
	Values Values
	// Value is the state in the unit that the Gauge names.
	Value float64
}

// Source is state that a backend reads when it is asked, at each scrape for
// example: types with a Snapshot method implement it beside. Readings must be
// safe for concurrent use and quick; it must not do I/O.
type Source interface {
	// Readings yields the state of this moment, each Gauge and Values at most once.
	Readings() iter.Seq[Reading]
}
