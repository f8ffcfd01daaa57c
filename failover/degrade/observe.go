package degrade

import (
	"context"
	"iter"
	"strconv"

	"github.com/bulwark-go/bulwark/observe"
)

// Why a fallback is asked: a label.
const (
	whyFailure  = "failure"
	whyExercise = "exercise"
)

var (
	fallbackKind = observe.Kind{
		Component: "degrade", Action: "fallback", Help: "Answers asked of fallbacks.",
		StartLabels: []string{"fallback", "why"},
	}
	silentKind = observe.Kind{
		Component: "degrade", Action: "fallback_silent", Help: "Fallbacks found that have not answered for too long: nobody knows whether they work.",
		Form: observe.Instant, StartLabels: []string{"fallback"},
	}
	levelKind = observe.Kind{
		Component: "degrade", Action: "level_change", Help: "Changes of how much is done without.",
		Form: observe.Instant, StartLabels: []string{"name", "from", "to"},
	}
	switchKind = observe.Kind{
		Component: "degrade", Action: "switch_change", Help: "Changes of shared switches that this instance heard of.",
		Form: observe.Instant, StartLabels: []string{"switch", "to"},
	}
)

var (
	levelGauge = observe.Gauge{
		Component: "degrade", Name: "level",
		Help:   "How much is done without: 0 nothing.",
		Labels: []string{"name"},
	}
	shedGauge = observe.Gauge{
		Component: "degrade", Name: "shed_total", Help: "Calls that were shed.",
		Labels: []string{"name", "criticality"}, Cumulative: true,
	}
	shareGauge = observe.Gauge{
		Component: "degrade", Name: "shed_ratio", Help: "The share of the calls offered to a dimmer that is shed.",
		Labels: []string{"name"},
	}
	switchGauge = observe.Gauge{
		Component: "degrade", Name: "switch_off",
		Help:   "Whether a shared switch is off: 0 no, 1 yes.",
		Labels: []string{"switch"},
	}
	silenceGauge = observe.Gauge{
		Component: "degrade", Name: "fallback_silence_seconds", Help: "For how long a fallback has not answered.",
		Labels: []string{"fallback", "cost"},
	}
)

// reportChange tells o of changes of level.
func reportChange(o observe.Observer) func(Change) {
	return func(c Change) {
		observe.Emit(context.Background(), o, observe.Operation{
			Kind: &levelKind, Values: observe.Values{c.Name, strconv.Itoa(c.From), strconv.Itoa(c.To)},
		}, observe.Result{})
	}
}

// Readings implements [observe.Source].
func (l *Levels) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		if !yield(observe.Reading{Gauge: &levelGauge, Values: observe.Values{l.name}, Value: float64(l.Level())}) {
			return
		}
		for i := range l.shed {
			if !yield(shedReading(l.name, i, l.shed[i].Load())) {
				return
			}
		}
	}
}

func shedReading(name string, class int, n uint64) observe.Reading {
	return observe.Reading{
		Gauge: &shedGauge, Values: observe.Values{name, (Sheddable + Criticality(class)).String()}, Value: float64(n),
	}
}

// Readings implements [observe.Source].
func (d *Dimmer) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		share, _ := d.Shed()
		if !yield(observe.Reading{Gauge: &shareGauge, Values: observe.Values{d.cfg.Load().Name}, Value: share}) {
			return
		}
		for i := range d.shed {
			if !yield(shedReading(d.cfg.Load().Name, i, d.shed[i].Load())) {
				return
			}
		}
	}
}

// Readings implements [observe.Source].
func (s *Switches) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		for _, name := range s.names {
			r := observe.Reading{Gauge: &switchGauge, Values: observe.Values{name}}
			if !s.On(name) {
				r.Value = 1
			}
			if !yield(r) {
				return
			}
		}
	}
}

// report tells of the switches that differ between two answers of the store.
func (s *Switches) report(ctx context.Context, was, is []Order) {
	for i, name := range s.names {
		if before, now := at(was, i).Off, at(is, i).Off; before != now {
			to := "on"
			if now {
				to = "off"
			}
			observe.Emit(context.WithoutCancel(ctx), s.observer,
				observe.Operation{Kind: &switchKind, Values: observe.Values{name, to}}, observe.Result{})
		}
	}
}

// at returns an order of an answer that may be empty.
func at(orders []Order, i int) Order {
	if i < len(orders) {
		return orders[i]
	}
	return Order{}
}

// Readings implements [observe.Source] with each fallback's silence.
func (r *Registry) Readings() iter.Seq[observe.Reading] {
	r.mu.Lock()
	entries := r.entries
	r.mu.Unlock()
	return func(yield func(observe.Reading) bool) {
		for _, e := range entries {
			cfg := e.settings()
			if !yield(observe.Reading{Gauge: &silenceGauge, Values: observe.Values{cfg.Name, cfg.Cost.String()}, Value: e.silence().Seconds()}) {
				return
			}
		}
	}
}
