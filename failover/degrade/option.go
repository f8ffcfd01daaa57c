package degrade

import (
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// Option configures [NewLevels].
type Option interface{ apply(*Levels) }

type optionFunc func(*Levels)

func (f optionFunc) apply(l *Levels) { f(l) }

// DimmerOption configures [NewDimmer].
type DimmerOption interface{ applyDimmer(*Dimmer) }

type dimmerOption func(*Dimmer)

func (f dimmerOption) applyDimmer(d *Dimmer) { f(d) }

// FallbackOption configures [NewFallback].
type FallbackOption interface{ applyFallback(*fallback) }

// SwitchOption configures [NewSwitches].
type SwitchOption interface{ applySwitches(*Switches) }

// RegistryOption configures [NewRegistry].
type RegistryOption interface{ applyRegistry(*Registry) }

// SignalOption is what [WithSignal] returns.
type SignalOption struct{ signal signal }

func (o SignalOption) apply(l *Levels)       { l.signals = append(l.signals, o.signal) }
func (o SignalOption) applyDimmer(d *Dimmer) { d.signals = append(d.signals, o.signal) }

// WithSignal adds a measure of load: f returns the share that is in use of what there
// is, such as waiting time over its bound, calls in flight over their limit, or
// processor time over the quota; and false while it does not know. The highest counts.
// f is called by Run and Measure, of [Levels] and of a [Dimmer].
func WithSignal(name string, f func() (load float64, known bool)) SignalOption {
	return SignalOption{signal{name, f}}
}

// ObserverOption is what [WithObserver] returns.
type ObserverOption struct{ observer observe.Observer }

func (o ObserverOption) apply(l *Levels) {
	if !observe.IsNop(o.observer) {
		l.listeners = append(l.listeners, reportChange(o.observer))
	}
}
func (o ObserverOption) applyFallback(f *fallback) { f.observer = observe.OrNop(o.observer) }
func (o ObserverOption) applySwitches(s *Switches) { s.observer = observe.OrNop(o.observer) }
func (o ObserverOption) applyRegistry(r *Registry) { r.observer = observe.OrNop(o.observer) }

// WithObserver reports to o: every change of [Levels], every use of a [Fallback], every
// change of [Switches] that this instance hears of, and what a [Registry] has to
// complain about.
func WithObserver(o observe.Observer) ObserverOption { return ObserverOption{o} }

// OnChange calls f after every change of level, in their order, without any lock held.
func OnChange(f func(Change)) Option {
	return optionFunc(func(l *Levels) { l.listeners = append(l.listeners, f) })
}

// WithClock sets the clock of [Levels]; [time.Now] without it. Run keeps to real time.
func WithClock(now func() time.Time) Option { return optionFunc(func(l *Levels) { l.now = now }) }

// WithRand sets where a [Dimmer] has chance from, for calls without a [WithSubject]: a
// function that returns numbers in [0, 1), safe for concurrent use; that of math/rand
// without it.
func WithRand(f func() float64) DimmerOption { return dimmerOption(func(d *Dimmer) { d.rand = f }) }

// signal is a measure of load.
type signal struct {
	name string
	load func() (float64, bool)
}

// highest returns the highest load that is known; an empty name if none is.
func highest(signals []signal) (most float64, name string) {
	for _, s := range signals {
		if load, known := s.load(); known && (name == "" || load > most) {
			most, name = load, s.name
		}
	}
	return most, name
}

func (v *violations) signals(signals []signal) {
	for i, s := range signals {
		v.require(s.load != nil, "WithSignal", fmt.Sprintf("%q", s.name), "given a function")
		v.require(s.name != "", "WithSignal", i, "given a name")
	}
}
