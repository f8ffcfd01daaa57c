package circuitbreaker

import (
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/internal/keyed"
	"github.com/bulwark-go/bulwark/observe"
)

// ErrFull is wrapped by [Group.Get]'s error for a new key when the group holds as
// many breakers as it may and found none that it could drop.
var ErrFull = errors.New("circuitbreaker: group is full")

// Group keeps a breaker for each key: an upstream, a shard, a method. Break what
// fails alone on its own: one breaker for a sharded target makes an outage of one
// shard an outage of all. The number of breakers is bounded; when it is reached, a
// new key takes the place of one that has not been used for a while, and is closed
// and has not failed lately, or was left as it was for [Config.ForgiveAfter]; there
// is no place for it while there is none such.
//
// A Group is safe for concurrent use. Looking up a known key takes no lock.
type Group struct {
	set      atomic.Pointer[settings]
	mode     atomic.Uint32
	breakers *keyed.Registry[*Breaker]
}

// NewGroup returns an empty group for at most capacity keys, whose breakers share
// cfg and opts. The error names each setting that is missing or out of range.
func NewGroup(capacity int, cfg Config, opts ...Option) (*Group, error) {
	set, err := newSettings(cfg, opts)
	g := &Group{}
	var regErr error
	if g.breakers, regErr = keyed.NewRegistry(capacity, g.create, g.idle); regErr != nil {
		err = errors.Join(err, fmt.Errorf("circuitbreaker: %w", regErr))
	}
	if err != nil {
		return nil, err
	}
	g.set.Store(set)
	return g, nil
}

func (g *Group) create(key string) *Breaker {
	b := newBreaker(key, g.set.Load())
	if mode := Mode(g.mode.Load()); mode != Automatic {
		b.mu.Lock()
		b.machine.mode = mode
		b.machine.begin()
		b.publish()
		b.mu.Unlock()
	}
	return b
}

// quietFor is how long a closed breaker must not have failed to be dropped.
const quietFor = time.Minute

// idle tells whether a breaker may be dropped: one that is closed and has not
// failed lately, so that a new one would be no different, or one that opened and
// that nobody has called for so long that it would be forgiven.
func (g *Group) idle(b *Breaker) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &b.machine
	if m.mode != Mode(g.mode.Load()) {
		return false // an operator's word is not to be lost
	}
	if m.rec == nil {
		return true
	}
	now := m.set.now()
	if m.state == Closed {
		return now-m.rec.failed > quietFor
	}
	return now-max(m.rec.failed, m.since) > max(m.set.ForgiveAfter, m.set.Lease)
}

// Get returns the breaker of key, which it creates on first use. Ask again for each
// call rather than keep it: a breaker that was dropped no longer hears of others'
// calls.
func (g *Group) Get(key string) (*Breaker, error) {
	b, err := g.breakers.Get(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFull, err)
	}
	return b, nil
}

// Len returns the number of breakers.
func (g *Group) Len() int { return g.breakers.Len() }

// Update replaces the settings of all breakers, present and future, as
// [Breaker.Update] does: without detectors given they keep those that the group has.
func (g *Group) Update(cfg Config, detectors ...detect.Spec) error {
	set, err := g.set.Load().updated(cfg, detectors)
	if err != nil {
		return err
	}
	g.set.Store(set)
	for b := range g.all() {
		b.replace(g.set.Load)
	}
	return nil
}

// SetMode sets the mode of all breakers, present and future. Of several changes at a
// time, by listeners too, the last holds for all of them.
func (g *Group) SetMode(mode Mode) error {
	if err := mode.check(); err != nil {
		return err
	}
	g.mode.Store(uint32(mode))
	for b := range g.all() {
		b.setMode(func() Mode { return Mode(g.mode.Load()) })
	}
	return nil
}

// all visits every breaker, those included that are being created with what was
// stored before: Len waits for whoever creates one.
func (g *Group) all() iter.Seq[*Breaker] {
	g.breakers.Len()
	return func(yield func(*Breaker) bool) {
		for _, b := range g.breakers.All() {
			if !yield(b) {
				return
			}
		}
	}
}

// Snapshots iterates over the states of all breakers, in no particular order.
func (g *Group) Snapshots() iter.Seq[Snapshot] {
	return func(yield func(Snapshot) bool) {
		for b := range g.all() {
			if !yield(b.Snapshot()) {
				return
			}
		}
	}
}

var breakersGauge = observe.Gauge{
	Component: "circuitbreaker", Name: "breakers",
	Help:   "Breakers of a group by state.",
	Labels: []string{"name", "state"},
}

// Readings implements [observe.Source] with the number of breakers in each state:
// keys would be labels without bound.
func (g *Group) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		var counts [states]int
		for s := range g.Snapshots() {
			counts[s.State]++
		}
		for state, n := range counts {
			if !yield(observe.Reading{
				Gauge:  &breakersGauge,
				Values: observe.Values{g.set.Load().Name, State(state).String()},
				Value:  float64(n),
			}) {
				return
			}
		}
	}
}
