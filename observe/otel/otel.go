// Package otel turns what packages report to an [observe.Observer] into
// OpenTelemetry traces.
//
//	observer, err := otel.New(tracerProvider)
//	observer = observe.Multi(metrics, observer)
//	log := logger.New(core, logger.WithTrace(otel.TraceIDs))
//
// A Timed operation is a span named "component action" with the span kind of its
// Role; labels are attributes under their own names, beside "outcome" and the
// kind's amount. Failed, Timeout and Panicked set the status to Error and record
// the error; every other outcome leaves the status unset, since a caller who went
// away or a limiter that refused is no fault of the operation. An Instant
// operation is an event on the span of its context, and nothing where there is
// none.
package otel

import (
	"context"
	"encoding/hex"
	"errors"
	"sync"

	"github.com/bulwark-go/bulwark/observe"
	"go.opentelemetry.io/otel/trace"
)

// scope names the instrumentation in every span.
const scope = "github.com/bulwark-go/bulwark/observe/otel"

// maxKinds bounds the descriptions kept for callers that declare Kinds on the fly,
// against the contract; beyond it they are made anew for each operation.
const maxKinds = 1024

// Observer is an [observe.Observer] that makes spans. Make one with [New]; it is
// safe for concurrent use.
type Observer struct {
	tracer    trace.Tracer
	errorText func(error) string

	kinds sync.Map // *observe.Kind → *kind
	mu    sync.Mutex
	known int // entries of kinds, guarded by mu

	runs sync.Pool // of *run
}

// Option configures [New].
type Option interface{ apply(*Observer) }

type optionFunc func(*Observer)

func (f optionFunc) apply(o *Observer) { f(o) }

// WithErrorText sets what a span says about an error; the default is its Error
// method. Error texts of databases and providers repeat values, personal data
// among them, so a service that masks its logs passes the same masking here.
func WithErrorText(text func(error) string) Option {
	return optionFunc(func(o *Observer) {
		if text != nil {
			o.errorText = text
		}
	})
}

// New returns an Observer that makes its spans with provider. It fails when
// provider is nil: the global one is never taken silently.
func New(provider trace.TracerProvider, opts ...Option) (*Observer, error) {
	if provider == nil {
		return nil, errors.New("otel: TracerProvider is nil")
	}
	o := &Observer{tracer: provider.Tracer(scope), errorText: error.Error}
	for _, opt := range opts {
		opt.apply(o)
	}
	o.runs.New = func() any {
		r := &run{o: o}
		r.end = r.finish
		return r
	}
	return o, nil
}

// Start implements [observe.Observer].
func (o *Observer) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	k := o.kind(op.Kind)
	if k == nil {
		return ctx, ignore
	}
	if k.form == observe.Instant {
		span := trace.SpanFromContext(ctx)
		if !span.IsRecording() {
			return ctx, ignore
		}
		return ctx, o.run(k, span, op.Values)
	}
	ctx, span := o.startSpan(ctx, k, op.Values)
	if !span.IsRecording() {
		return ctx, ignore // not sampled: ending such a span does nothing
	}
	return ctx, o.run(k, span, op.Values)
}

func ignore(observe.Result) {}

// kind returns the description of declared, nil for an invalid one.
func (o *Observer) kind(declared *observe.Kind) *kind {
	if k, ok := o.kinds.Load(declared); ok {
		return k.(*kind)
	}
	k := newKind(declared)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known < maxKinds {
		if _, loaded := o.kinds.LoadOrStore(declared, k); !loaded {
			o.known++
		}
	}
	return k
}

// TraceIDs returns the trace and span id of ctx in lower-case hex, both empty when
// ctx carries no valid span. It is a logger.TraceFunc and costs one allocation.
func TraceIDs(ctx context.Context) (traceID, spanID string) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return "", ""
	}
	t, s := sc.TraceID(), sc.SpanID()
	var buf [2*len(t) + 2*len(s)]byte
	hex.Encode(buf[:2*len(t)], t[:])
	hex.Encode(buf[2*len(t):], s[:])
	ids := string(buf[:])
	return ids[:2*len(t)], ids[2*len(t):]
}
