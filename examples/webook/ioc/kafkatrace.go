package ioc

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

// inRecords carries traces through the headers of Kafka's records.
type inRecords struct{ text propagation.TextMapPropagator }

// Inject implements saramax.Propagator.
func (p inRecords) Inject(ctx context.Context, set func(key, value string)) {
	p.text.Inject(ctx, setter(set))
}

// Extract implements saramax.Propagator.
func (p inRecords) Extract(ctx context.Context, get func(key string) string) context.Context {
	return p.text.Extract(ctx, getter(get))
}

type setter func(key, value string)

func (set setter) Set(key, value string) { set(key, value) }
func (setter) Get(string) string         { return "" }
func (setter) Keys() []string            { return nil }

type getter func(key string) string

func (get getter) Get(key string) string { return get(key) }
func (getter) Set(string, string)        {}
func (getter) Keys() []string            { return nil }
