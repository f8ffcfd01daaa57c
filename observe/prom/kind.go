package prom

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// kind is what we keep for one observe.Kind: its registered vectors, and the
// series in use.
type kind struct {
	declared  observe.Kind // a copy: our label counts must not follow a caller's change
	maxSeries int
	collapsed prometheus.Counter

	// Those that the kind has no use for are nil.
	durations *prometheus.HistogramVec
	summaries *prometheus.SummaryVec
	inFlight  *prometheus.GaugeVec
	counts    *prometheus.CounterVec
	amounts   *prometheus.HistogramVec

	onError func(error)
	starts  index[observe.Values, *start]
	full    atomic.Pointer[start] // the overflow, once starts holds maxSeries

	mu                sync.Mutex // guards what follows, and writes to the indexes
	nStarts, nSeries  int
	overflow          *start
	overflowAnnounced bool
}

// meet is the slow path of Start: it finds or makes what belongs to declared, or
// returns nil when that is refused.
func (o *Observer) meet(declared *observe.Kind) *kind {
	o.mu.Lock()
	k, err := o.meetLocked(declared)
	o.mu.Unlock()
	if err != nil {
		o.onError(err)
	}
	return k
}

func (o *Observer) meetLocked(declared *observe.Kind) (*kind, error) {
	if k, ok := o.kinds.getLocked(declared); ok {
		return k, nil
	}
	if len(o.kinds.all) >= maxKinds {
		return o.meetCrowded(declared)
	}
	k, err := o.find(declared)
	o.kinds.putLocked(declared, k) // nil too: refused once, refused for good
	return k, err
}

// meetCrowded serves kinds that are known by name and refuses all others: someone
// declares kinds on the fly.
func (o *Observer) meetCrowded(declared *observe.Kind) (*kind, error) {
	if declared != nil {
		if k := o.byName[declared.Component+"_"+declared.Action]; k != nil && alike(&k.declared, declared) {
			return k, nil
		}
	}
	if o.crowded {
		return nil, nil
	}
	o.crowded = true
	return nil, fmt.Errorf("%w: more than %d kinds: declare each Kind once, at package level", ErrRefused, maxKinds)
}

// find returns the kind of that name, or makes and registers it. Two equal
// declarations share one.
func (o *Observer) find(declared *observe.Kind) (*kind, error) {
	if err := declared.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	name := declared.Component + "_" + declared.Action
	if k := o.byName[name]; k != nil {
		if !alike(&k.declared, declared) {
			return nil, fmt.Errorf("%w: kind %s.%s differs from the one known as %s", ErrRefused, declared.Component, declared.Action, name)
		}
		return k, nil
	}
	k := &kind{declared: *declared, onError: o.onError}
	k.declared.StartLabels = slices.Clone(declared.StartLabels)
	k.declared.EndLabels = slices.Clone(declared.EndLabels)
	metrics, err := o.vectors(k, name)
	if err == nil {
		err = o.reg.Register(metrics)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: kind %s: %w", ErrRefused, name, err)
	}
	k.collapsed = o.collapsed.WithLabelValues(declared.Component, declared.Action)
	o.byName[name] = k
	return k, nil
}

func alike(a, b *observe.Kind) bool {
	return a.Component == b.Component && a.Action == b.Action && a.Help == b.Help &&
		a.Form == b.Form && a.Amount == b.Amount &&
		slices.Equal(a.StartLabels, b.StartLabels) && slices.Equal(a.EndLabels, b.EndLabels)
}

// vectors makes the kind's vectors, and returns them for registration.
func (o *Observer) vectors(k *kind, name string) (group, error) {
	d := &k.declared
	s := o.perKind[name].or(o.settings)
	k.maxSeries = s.MaxSeries
	labels := slices.Concat(d.StartLabels, d.EndLabels, []string{observe.OutcomeLabel})
	var metrics group
	if d.Form == observe.Timed {
		k.durations = o.histogram(name+"_duration_seconds", help(d, "Duration in seconds."), s.Buckets, s.NativeFactor, labels)
		k.inFlight = prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: o.namespace, Name: name + "_in_flight", Help: help(d, "Under way now."), ConstLabels: o.constLabels,
		}, d.StartLabels)
		metrics = append(metrics, k.durations, k.inFlight)
		if len(s.Quantiles) > 0 {
			k.summaries = prometheus.NewSummaryVec(prometheus.SummaryOpts{
				Namespace: o.namespace, Name: name + "_duration_summary_seconds", Help: help(d, "Duration in seconds."),
				Objectives: s.objectives(), ConstLabels: o.constLabels,
			}, labels)
			metrics = append(metrics, k.summaries)
		}
	} else {
		k.counts = prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: o.namespace, Name: name + "_total", Help: help(d, "Count."), ConstLabels: o.constLabels,
		}, labels)
		metrics = append(metrics, k.counts)
	}
	if d.Amount != "" {
		if slices.Contains([]string{"duration_seconds", "duration_summary_seconds", "in_flight", "total"}, d.Amount) {
			return nil, errors.New("Amount " + d.Amount + " names another metric of the kind")
		}
		k.amounts = o.histogram(name+"_"+d.Amount, help(d, "Amount of "+d.Amount+"."), s.amountBuckets(d.Amount), s.NativeFactor, labels)
		metrics = append(metrics, k.amounts)
	}
	return metrics, nil
}

func (o *Observer) histogram(name, help string, buckets []float64, nativeFactor float64, labels []string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: o.namespace, Name: name, Help: help, ConstLabels: o.constLabels, Buckets: buckets,
		// The bounds that Prometheus recommends to keep a native histogram small.
		NativeHistogramBucketFactor: nativeFactor, NativeHistogramMaxBucketNumber: 160,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

func help(d *observe.Kind, what string) string {
	if d.Help == "" {
		return what
	}
	return d.Help + " " + what
}
