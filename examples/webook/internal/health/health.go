// Package health watches the components that the app stands on, and remembers what
// it saw, so that asking costs nothing however many ask.
package health

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

const (
	period  = 2 * time.Second
	timeout = time.Second
)

// Component is something the app stands on.
type Component struct {
	// Name is short and fixed: it is a metric label.
	Name string
	// Detail is for people: which kind, at which address. It holds no secret.
	Detail string
	// Required components make the app unready while they are down; without the
	// others it goes on with less.
	Required bool
	// Ping returns nil when the component answers. Its context ends after 1 s.
	Ping func(context.Context) error
}

// Status is what was last seen of a component.
type Status struct {
	Name, Detail string
	Required     bool
	Up           bool
	// Latency is how long the last answer took.
	Latency time.Duration
	// Since is when Up last changed, at first when it was first seen.
	Since time.Time
	// Err is why it is down; nil when it is up.
	Err error
}

// Monitor pings each component every 2 s. Its methods are safe for concurrent use.
type Monitor struct {
	components []Component
	log        logger.Logger

	mu       sync.Mutex
	statuses []Status
}

// New returns a Monitor that has seen nothing yet: see [Monitor.Check] and
// [Monitor.Run]. It logs each change between up and down once.
func New(log logger.Logger, components ...Component) *Monitor {
	m := &Monitor{components: components, log: log, statuses: make([]Status, len(components))}
	for i, c := range components {
		m.statuses[i] = Status{Name: c.Name, Detail: c.Detail, Required: c.Required}
	}
	return m
}

// Check pings every component once, all at the same time.
func (m *Monitor) Check(ctx context.Context) {
	var all sync.WaitGroup
	for i := range m.components {
		all.Go(func() { m.check(ctx, i) })
	}
	all.Wait()
}

// Run checks until ctx ends. A component that hangs delays nobody else's check.
func (m *Monitor) Run(ctx context.Context) {
	var all sync.WaitGroup
	for i := range m.components {
		all.Go(func() { m.watch(ctx, i) })
	}
	all.Wait()
}

func (m *Monitor) watch(ctx context.Context, i int) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.check(ctx, i)
		}
	}
}

func (m *Monitor) check(ctx context.Context, i int) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begin := time.Now()
	err := m.components[i].Ping(limited)
	if ctx.Err() != nil {
		return // we are stopping: its failure says nothing
	}
	m.record(i, time.Now(), time.Since(begin), err)
}

func (m *Monitor) record(i int, now time.Time, latency time.Duration, err error) {
	m.mu.Lock()
	s := &m.statuses[i]
	first, changed := s.Since.IsZero(), s.Up != (err == nil)
	if first || changed {
		s.Since = now
	}
	s.Up, s.Latency, s.Err = err == nil, latency, err
	m.mu.Unlock()

	name := logger.String("component", m.components[i].Name)
	switch {
	case err != nil && (first || changed):
		m.log.Error("component down", name, logger.Err(err))
	case changed && !first:
		m.log.Info("component up again", name)
	}
}

// Statuses returns what was last seen, in the order of the components.
func (m *Monitor) Statuses() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Status(nil), m.statuses...)
}

// Ready returns the names of the required components that are down: none means
// ready.
func (m *Monitor) Ready() (down []string) {
	for _, s := range m.Statuses() {
		if s.Required && !s.Up {
			down = append(down, s.Name)
		}
	}
	return down
}

var up = observe.Gauge{
	Component: "component", Name: "up",
	Help: "1 while the component answers its health check, else 0.", Labels: []string{"name"},
}

// Readings tells for each component whether it is up. It implements
// [observe.Source].
func (m *Monitor) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		for _, s := range m.Statuses() {
			reading := observe.Reading{Gauge: &up, Values: observe.Values{s.Name}}
			if s.Up {
				reading.Value = 1
			}
			if !yield(reading) {
				return
			}
		}
	}
}
