package prom

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// DefaultMaxSeries is enough for a hundred routes with five statuses each. With
// the default buckets it is some nine thousand time series for one kind: a lot,
// but nothing that brings a server down.
const DefaultMaxSeries = 500

// Config configures [New].
type Config struct {
	// Namespace begins every metric name, in snake_case: the service, usually. Required.
	Namespace string
	// Settings hold for every kind that [WithKind] does not set apart.
	Settings Settings
}

// Settings say how the metrics of a kind look. A zero field has the default it
// documents, or in [WithKind] the value from [Config].
type Settings struct {
	// Buckets are the upper bounds of the duration histogram, in seconds, rising.
	// The default has three steps per decade from half a millisecond, a cache
	// read, to ten seconds, a time-out.
	Buckets []float64
	// AmountBuckets are the upper bounds of the amount histogram, rising. The
	// default is 64 B to 64 MiB in factors of four for an amount named bytes,
	// and three steps per decade from 1 to 10 000 for any other.
	AmountBuckets []float64
	// NativeFactor adds a native histogram beside the classic one, with buckets
	// that grow by this factor at most: 1.1 is usual. It must be above 1; the
	// default, 0, adds none, because it makes each observation dearer and serves
	// only Prometheus servers that are told to scrape it.
	NativeFactor float64
	// Quantiles adds a summary beside the histogram of a Timed kind, named
	// <...>_duration_summary_seconds, with these objectives, between 0 and 1; see
	// [Quantiles]. The default is none: quantiles of several instances cannot be
	// added up, and each observation takes a lock.
	Quantiles []float64
	// MaxSeries bounds the combinations of label values. The default is
	// [DefaultMaxSeries].
	MaxSeries int
}

// Quantiles returns the usual objectives for Settings.Quantiles, each with a
// tenth of its distance to 1 as allowed error.
func Quantiles() []float64 { return []float64{0.5, 0.75, 0.9, 0.99, 0.999} }

// Option configures [New].
type Option interface{ apply(*Observer) }

type optionFunc func(*Observer)

func (f optionFunc) apply(o *Observer) { f(o) }

// WithConstLabels adds labels with fixed values to every metric, such as
// instance_id. Leave them out where the scraping server adds its own target
// labels.
func WithConstLabels(labels map[string]string) Option {
	return optionFunc(func(o *Observer) { o.constLabels = maps.Clone(labels) })
}

// WithKind sets one kind apart, by its names.
func WithKind(component, action string, s Settings) Option {
	return optionFunc(func(o *Observer) { o.perKind[component+"_"+action] = s })
}

// OnError sets the callback that learns of what can't be shown: [ErrRefused] or
// [ErrCollapsed], wrapped with the reason, once per kind, gauge or source. It runs
// on the path of the operation, without locks held; it must be quick, and log.
func OnError(f func(error)) Option {
	return optionFunc(func(o *Observer) {
		if f != nil {
			o.onError = f
		}
	})
}

var defaultBuckets = []float64{
	.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
}

var defaultSettings = Settings{Buckets: defaultBuckets, MaxSeries: DefaultMaxSeries}

// or fills the zero fields of s from d.
func (s Settings) or(d Settings) Settings {
	if s.Buckets == nil {
		s.Buckets = d.Buckets
	}
	if s.AmountBuckets == nil {
		s.AmountBuckets = d.AmountBuckets
	}
	if s.NativeFactor == 0 {
		s.NativeFactor = d.NativeFactor
	}
	if s.Quantiles == nil {
		s.Quantiles = d.Quantiles
	}
	if s.MaxSeries == 0 {
		s.MaxSeries = d.MaxSeries
	}
	return s
}

// configure checks cfg and the options, and takes copies.
func (o *Observer) configure(cfg Config) error {
	var errs []error
	if o.reg == nil {
		errs = append(errs, errors.New("prom: Registerer is nil"))
	}
	if !observe.ValidName(cfg.Namespace) {
		errs = append(errs, fmt.Errorf("prom: Namespace %q is not snake_case", cfg.Namespace))
	}
	for name := range o.constLabels {
		if !observe.ValidName(name) || name == observe.OutcomeLabel {
			errs = append(errs, fmt.Errorf("prom: constant label %q is not snake_case, or reserved", name))
		}
	}
	errs = append(errs, cfg.Settings.violations("Settings")...)
	for name, s := range o.perKind {
		errs = append(errs, s.violations("WithKind("+name+")")...)
		o.perKind[name] = s.clone()
	}
	o.settings = cfg.Settings.or(defaultSettings).clone()
	return errors.Join(errs...)
}

func (s Settings) clone() Settings {
	s.Buckets = slices.Clone(s.Buckets)
	s.AmountBuckets = slices.Clone(s.AmountBuckets)
	s.Quantiles = slices.Clone(s.Quantiles)
	return s
}

func (s Settings) violations(where string) []error {
	var errs []error
	add := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("prom: "+where+"."+format, args...))
	}
	if !rising(s.Buckets) {
		add("Buckets %v do not rise", s.Buckets)
	}
	if !rising(s.AmountBuckets) {
		add("AmountBuckets %v do not rise", s.AmountBuckets)
	}
	if s.NativeFactor != 0 && !(s.NativeFactor > 1 && !math.IsInf(s.NativeFactor, 1)) {
		add("NativeFactor %v is not above 1", s.NativeFactor)
	}
	for _, q := range s.Quantiles {
		if !(q > 0 && q < 1) {
			add("Quantiles: %v is not between 0 and 1", q)
		}
	}
	if s.MaxSeries < 0 {
		add("MaxSeries %d is negative", s.MaxSeries)
	}
	return errs
}

// rising tells whether bounds rise strictly and are numbers; NaN fails every
// comparison.
func rising(bounds []float64) bool {
	for i, b := range bounds {
		if math.IsNaN(b) || i > 0 && !(b > bounds[i-1]) {
			return false
		}
	}
	return true
}

func (s Settings) amountBuckets(amount string) []float64 {
	switch {
	case s.AmountBuckets != nil:
		return s.AmountBuckets
	case amount == "bytes":
		return prometheus.ExponentialBuckets(64, 4, 11)
	default:
		return []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}
	}
}

func (s Settings) objectives() map[float64]float64 {
	m := make(map[float64]float64, len(s.Quantiles))
	for _, q := range s.Quantiles {
		m[q] = (1 - q) / 10
	}
	return m
}
