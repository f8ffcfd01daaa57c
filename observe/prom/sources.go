package prom

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// Register shows the state that source holds, read at each scrape, until
// [Observer.Unregister]. It fails for a source that is nil, registered already,
// or of a type that Go cannot compare (use a pointer). Where two sources yield the
// same Gauge with the same values, the one registered first is shown.
func (o *Observer) Register(source observe.Source) error {
	if source == nil {
		return errors.New("prom: source is nil")
	}
	if !reflect.ValueOf(source).Comparable() {
		return fmt.Errorf("prom: source %T is not comparable: register a pointer", source)
	}
	o.sources.mu.Lock()
	defer o.sources.mu.Unlock()
	if slices.Contains(o.sources.list, source) {
		return fmt.Errorf("prom: source %T is registered already", source)
	}
	o.sources.list = append(o.sources.list, source)
	return nil
}

// Unregister ends what [Observer.Register] began and tells whether it had. A scrape
// that is under way may still read source.
func (o *Observer) Unregister(source observe.Source) bool {
	if source == nil || !reflect.ValueOf(source).Comparable() {
		return false
	}
	o.sources.mu.Lock()
	defer o.sources.mu.Unlock()
	i := slices.Index(o.sources.list, source)
	if i < 0 {
		return false
	}
	o.sources.list = slices.Delete(slices.Clone(o.sources.list), i, i+1) // a scrape may be walking the old list
	return true
}

// sources is the collector behind Register. It describes nothing beforehand, so
// that the registry accepts whatever gauges turn up; each gauge's description is
// registered by itself when it does.
type sources struct {
	o *Observer

	mu      sync.Mutex
	list    []observe.Source
	gauges  map[*observe.Gauge]*gauge // nil for one that was refused
	byName  map[string]*gauge
	told    map[any]bool // sources and gauges already reported to onError
	crowded bool         // maxKinds was reached and reported
}

// gauge is what we keep for one observe.Gauge.
type gauge struct {
	declared  observe.Gauge // a copy, as in kind
	desc      *prometheus.Desc
	valueType prometheus.ValueType
	maxSeries int
}

func (s *sources) init(o *Observer) {
	s.o = o
	s.gauges = make(map[*observe.Gauge]*gauge)
	s.byName = make(map[string]*gauge)
	s.told = make(map[any]bool)
}

// Describe implements [prometheus.Collector].
func (s *sources) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (s *sources) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	list := s.list[:len(s.list):len(s.list)]
	s.mu.Unlock()
	scrape := scrape{s: s, ch: ch, seen: make(map[*gauge]map[observe.Values]bool)}
	for _, source := range list {
		scrape.read(source)
	}
}

// scrape is one run of Collect.
type scrape struct {
	s    *sources
	ch   chan<- prometheus.Metric
	seen map[*gauge]map[observe.Values]bool
}

// read survives a source that panics: it would end the process, as the registry
// collects on goroutines of its own.
func (c *scrape) read(source observe.Source) {
	defer func() {
		if p := recover(); p != nil {
			c.s.drop(source, fmt.Errorf("%w: source %T panicked: %v", ErrRefused, source, p))
		}
	}()
	for reading := range source.Readings() {
		c.show(reading)
	}
}

func (c *scrape) show(reading observe.Reading) {
	g := c.s.meet(reading.Gauge)
	if g == nil {
		c.s.o.dropped.Inc()
		return
	}
	n := len(g.declared.Labels)
	values := reading.Values
	trim(&values, n)
	labels := shown(nil, values, n)
	copy(values[:], labels) // two values may be shown as one: that is twice, too
	seen := c.seen[g]
	switch {
	case seen[values]:
		c.s.drop(reading.Gauge, fmt.Errorf("%w: gauge %s: values %q read twice", ErrRefused, g.desc, values[:n]))
		return
	case len(seen) >= g.maxSeries:
		// State cannot be added up, so there is no "other" to show it under.
		c.s.drop(reading.Gauge, fmt.Errorf("%w: gauge %s has more than %d combinations", ErrCollapsed, g.desc, g.maxSeries))
		return
	case seen == nil:
		seen = make(map[observe.Values]bool)
		c.seen[g] = seen
	}
	seen[values] = true
	m, err := prometheus.NewConstMetric(g.desc, g.valueType, reading.Value, labels...)
	if err != nil {
		c.s.drop(reading.Gauge, fmt.Errorf("%w: gauge %s: %w", ErrRefused, g.desc, err))
		return
	}
	c.ch <- m
}

// drop counts a reading that is not shown, and reports the first of each culprit.
func (s *sources) drop(culprit any, err error) {
	s.o.dropped.Inc()
	s.mu.Lock()
	told := s.told[culprit]
	if len(s.told) < maxKinds {
		s.told[culprit] = true
	}
	s.mu.Unlock()
	if !told {
		s.o.onError(err)
	}
}

// meet finds or makes what belongs to declared; nil when that is refused.
func (s *sources) meet(declared *observe.Gauge) *gauge {
	s.mu.Lock()
	g, err := s.meetLocked(declared)
	s.mu.Unlock()
	if err != nil {
		s.o.onError(err)
	}
	return g
}

func (s *sources) meetLocked(declared *observe.Gauge) (*gauge, error) {
	if g, ok := s.gauges[declared]; ok {
		return g, nil
	}
	if len(s.gauges) >= maxKinds {
		if s.crowded {
			return nil, nil
		}
		s.crowded = true
		return nil, fmt.Errorf("%w: more than %d gauges: declare each Gauge once, at package level", ErrRefused, maxKinds)
	}
	g, err := s.find(declared)
	s.gauges[declared] = g
	return g, err
}

func (s *sources) find(declared *observe.Gauge) (*gauge, error) {
	if err := declared.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	name := declared.Component + "_" + declared.Name
	if g := s.byName[name]; g != nil {
		if !alikeGauge(&g.declared, declared) {
			return nil, fmt.Errorf("%w: gauge %s.%s differs from the one known as %s", ErrRefused, declared.Component, declared.Name, name)
		}
		return g, nil
	}
	g := &gauge{declared: *declared, valueType: prometheus.GaugeValue, maxSeries: s.o.perKind[name].or(s.o.settings).MaxSeries}
	g.declared.Labels = slices.Clone(declared.Labels)
	if declared.Cumulative {
		g.valueType = prometheus.CounterValue
	}
	help := declared.Help
	if help == "" {
		help = declared.Component + " " + declared.Name + "."
	}
	g.desc = prometheus.NewDesc(prometheus.BuildFQName(s.o.namespace, "", name), help, g.declared.Labels, s.o.constLabels)
	if err := s.o.reg.Register(claim{g.desc}); err != nil {
		return nil, fmt.Errorf("%w: gauge %s: %w", ErrRefused, name, err)
	}
	s.byName[name] = g
	return g, nil
}

func alikeGauge(a, b *observe.Gauge) bool {
	return a.Component == b.Component && a.Name == b.Name && a.Help == b.Help &&
		a.Cumulative == b.Cumulative && slices.Equal(a.Labels, b.Labels)
}

// claim reserves a description on the registry; the metrics come from sources.
type claim struct{ desc *prometheus.Desc }

// Describe implements [prometheus.Collector].
func (c claim) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements [prometheus.Collector].
func (c claim) Collect(chan<- prometheus.Metric) {}
