// Package prom turns what packages report to an [observe.Observer] into
// Prometheus metrics. Nothing has to be declared: a kind's metrics are registered
// when its first operation starts.
//
//	observer, err := prom.New(registry, prom.Config{Namespace: "webook"})
//	limiter = ratelimit.Observe(limiter, "api", observer)
//
// A Timed kind of component "http_server" and action "request" becomes
//
//	webook_http_server_request_duration_seconds   histogram by start and end labels and outcome
//	webook_http_server_request_in_flight          gauge by start labels
//	webook_http_server_request_<amount>           histogram, if the kind counts an amount
//
// and an Instant kind webook_<component>_<action>_total, a counter, beside its
// amount. The label "outcome" is one of [observe.Outcome]'s names. State comes from
// each [observe.Source] given to [Observer.Register], read at every scrape, as
// webook_<component>_<name>.
//
// # Bounded series
//
// Each kind keeps at most Settings.MaxSeries combinations of label values. What
// comes later is counted under the value "other" in every label but the outcome,
// and webook_observe_collapsed_total tells how often. A caller that puts
// unbounded values into labels costs precision, never memory.
//
// # When something is wrong
//
// Nothing here panics on the request path. A kind that is invalid, or whose
// metrics collide with others on the registry, is left out:
// webook_observe_dropped_total counts its operations, and the callback of
// [OnError] is told once.
package prom

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/prometheus/client_golang/prometheus"
)

var (
	// ErrRefused is what [OnError] learns of a kind, gauge or source that is not
	// shown at all, wrapped with the reason.
	ErrRefused = errors.New("prom: refused")
	// ErrCollapsed is what [OnError] learns, once, of a kind or gauge that
	// outgrew its MaxSeries.
	ErrCollapsed = errors.New("prom: too many label values")
)

// maxKinds bounds what callers can make us keep by declaring Kinds or Gauges on
// the fly, against the contract: no program has a thousand sorts of operation.
const maxKinds = 1024

// Observer is an [observe.Observer] over a Prometheus registry. Make one with
// [New]; it is safe for concurrent use.
type Observer struct {
	reg         prometheus.Registerer
	namespace   string
	constLabels prometheus.Labels
	settings    Settings
	perKind     map[string]Settings
	onError     func(error)
	origin      time.Time // durations are differences of readings against it

	dropped   prometheus.Counter
	collapsed *prometheus.CounterVec

	kinds   index[*observe.Kind, *kind] // by address: the fast path; written under mu
	mu      sync.Mutex
	byName  map[string]*kind // by <component>_<action>
	crowded bool             // maxKinds was reached and reported

	runs    sync.Pool // of *run
	sources sources
}

// New returns an Observer whose metrics appear on reg. It fails when cfg or an
// option is wrong, naming each field and value, and when another Observer already
// uses the namespace on reg with the same constant labels.
func New(reg prometheus.Registerer, cfg Config, opts ...Option) (*Observer, error) {
	o := &Observer{
		reg:       reg,
		namespace: cfg.Namespace,
		perKind:   make(map[string]Settings),
		onError:   func(error) {},
		origin:    time.Now(),
		byName:    make(map[string]*kind),
	}
	for _, opt := range opts {
		opt.apply(o)
	}
	if err := o.configure(cfg); err != nil {
		return nil, err
	}
	o.runs.New = func() any {
		r := &run{o: o}
		r.end = r.finish
		return r
	}
	o.sources.init(o)
	if err := o.registerOwn(); err != nil {
		return nil, fmt.Errorf("prom: namespace %q: another Observer on this registry? %w", o.namespace, err)
	}
	return o, nil
}

// registerOwn registers the metrics about this Observer itself, which is also
// what makes a second one on the same registry fail early.
func (o *Observer) registerOwn() error {
	o.dropped = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: o.namespace, Subsystem: "observe", Name: "dropped_total", ConstLabels: o.constLabels,
		Help: "Operations and readings not shown because their kind, gauge or source was refused.",
	})
	o.collapsed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: o.namespace, Subsystem: "observe", Name: "collapsed_total", ConstLabels: o.constLabels,
		Help: "Operations counted under the label value other because their kind has too many label values.",
	}, []string{"component", "action"})
	if err := o.reg.Register(group{o.dropped, o.collapsed}); err != nil {
		return err
	}
	return o.reg.Register(&o.sources)
}

// Start implements [observe.Observer].
func (o *Observer) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	k, ok := o.kinds.get(op.Kind)
	if !ok {
		k = o.meet(op.Kind)
	}
	if k == nil {
		o.dropped.Inc()
		return ctx, ignore
	}
	r := o.runs.Get().(*run)
	r.begin(k.start(op.Values))
	return ctx, r.end
}

func ignore(observe.Result) {}

// group registers several collectors as one: all or none.
type group []prometheus.Collector

// Describe implements [prometheus.Collector].
func (g group) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range g {
		c.Describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (g group) Collect(ch chan<- prometheus.Metric) {
	for _, c := range g {
		c.Collect(ch)
	}
}
