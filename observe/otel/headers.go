package otel

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

// Headers carries traces through whatever has text headers, without the packages in
// between knowing OpenTelemetry: it is a saramax.Propagator. Make one with
// [NewHeaders]; it is safe for concurrent use.
type Headers struct{ propagator propagation.TextMapPropagator }

// NewHeaders returns Headers in the format of p, as of [propagation.TraceContext]; that
// is also the one without p.
func NewHeaders(p propagation.TextMapPropagator) *Headers {
	if p == nil {
		p = propagation.TraceContext{}
	}
	return &Headers{p}
}

// Inject passes the headers of ctx's trace to set, each once.
func (h *Headers) Inject(ctx context.Context, set func(key, value string)) {
	h.propagator.Inject(ctx, setter(set))
}

// Extract returns ctx with the trace that the headers tell of, which get returns by
// their names, or "".
func (h *Headers) Extract(ctx context.Context, get func(key string) string) context.Context {
	return h.propagator.Extract(ctx, getter(get))
}

type setter func(key, value string)

func (s setter) Get(string) string     { return "" }
func (s setter) Set(key, value string) { s(key, value) }
func (s setter) Keys() []string        { return nil }

type getter func(key string) string

func (g getter) Get(key string) string { return g(key) }
func (g getter) Set(string, string)    {}
func (g getter) Keys() []string        { return nil }
