package circuitbreaker

import (
	"iter"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// Snapshot is a breaker's state at one moment, for dashboards and tests.
type Snapshot struct {
	// Name is the breaker's, or its group's, and Key the one in the group.
	Name, Key string
	State     State
	Mode      Mode
	// Generation counts changes of state, mode and settings.
	Generation uint64
	// For is how long the breaker has been in State.
	For time.Duration
	// OpenFor is how much longer it stays open; 0 unless it is Open.
	OpenFor time.Duration
	// Share is the share of calls that the breaker lets pass by itself, whatever
	// the mode: 1 when Closed, 0 when Open or HalfOpen.
	Share float64
	// ProbesInFlight is how many probes are under way.
	ProbesInFlight int
	// Reason is what made the breaker open last, in words.
	Reason string
	// Trips is how often it has opened.
	Trips uint64
	// Lost is how many probes never answered.
	Lost uint64
	// Stale is how many results came from an earlier generation and were ignored.
	// Those of quick successes on a very busy breaker are ignored uncounted.
	Stale uint64
	// Misused is how many tickets were ended a second time.
	Misused uint64
	// Shadowed is how many calls only [Shadow] let pass.
	Shadowed uint64
	// ListenerPanics is how many panics of listeners were contained.
	ListenerPanics uint64
}

// Snapshot returns the breaker's state now.
func (b *Breaker) Snapshot() Snapshot {
	b.mu.Lock()
	defer b.unlock()
	m := &b.machine
	now := m.set.now()
	m.tick(now)
	s := Snapshot{
		Name: m.set.Name, Key: b.key, State: m.state, Mode: m.mode, Generation: uint64(m.gen),
		For: now - m.since, Share: m.share(),
	}
	if r := m.rec; r != nil {
		s.Reason, s.Trips, s.Lost = r.reason, r.trips, r.lost
		s.Stale, s.Misused, s.Shadowed, s.ListenerPanics = r.counts.stale, r.counts.misused, r.counts.shadowed, r.events.Panicked()
		if m.state == Open {
			s.OpenFor = max(r.until-now, 0)
		}
		if m.state == HalfOpen {
			s.ProbesInFlight = r.probing.busy()
		}
	}
	return s
}

// share is what the machine lets pass by itself.
func (m *machine) share() float64 {
	switch m.state {
	case Closed:
		return 1
	case Ramping:
		return m.rec.ramp.fraction()
	default:
		return 0
	}
}

var (
	stateGauge = observe.Gauge{
		Component: "circuitbreaker", Name: "state",
		Help:   "Where the breaker stands: 0 closed, 1 open, 2 half-open, 3 ramping.",
		Labels: []string{"name"},
	}
	modeGauge = observe.Gauge{
		Component: "circuitbreaker", Name: "mode",
		Help:   "What an operator made of the breaker: 0 automatic, 1 forced open, 2 forced closed, 3 shadow.",
		Labels: []string{"name"},
	}
	shareGauge = observe.Gauge{
		Component: "circuitbreaker", Name: "share_ratio",
		Help:   "Share of calls that the breaker lets pass by itself.",
		Labels: []string{"name"},
	}
)

// Readings implements [observe.Source].
func (b *Breaker) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		s := b.Snapshot()
		name := observe.Values{s.Name}
		_ = yield(observe.Reading{Gauge: &stateGauge, Values: name, Value: float64(s.State)}) &&
			yield(observe.Reading{Gauge: &modeGauge, Values: name, Value: float64(s.Mode)}) &&
			yield(observe.Reading{Gauge: &shareGauge, Values: name, Value: s.Share})
	}
}
