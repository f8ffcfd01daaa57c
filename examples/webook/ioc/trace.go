package ioc

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/mask"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/otel"
)

// ServiceName is what traces and logs call this app.
const ServiceName = "webook"

// exportTimeout bounds one export with all its retries. At the end of the app the one
// under way and the last one must fit into the time that is left for closing.
const exportTimeout = 2 * time.Second

// Tracing returns the tracer provider: batching to the collector that cfg names,
// or, without one, only making the ids that join log lines. The observer makes
// spans of what packages report.
func Tracing(ctx context.Context, c *Closers, cfg config.Trace, version string, log logger.Logger) (*sdktrace.TracerProvider, *otel.Observer, error) {
	about := resource.NewSchemaless(semconv.ServiceName(ServiceName), semconv.ServiceVersion(version))
	opts := []sdktrace.TracerProviderOption{sdktrace.WithResource(about)}
	if cfg.OTLP == "" {
		opts = append(opts, sdktrace.WithSampler(sdktrace.NeverSample()))
	} else {
		endpoint, err := url.JoinPath(cfg.OTLP, "v1", "traces")
		if err != nil {
			return nil, nil, fmt.Errorf("trace.otlp: %w", err)
		}
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
		if err != nil {
			return nil, nil, fmt.Errorf("trace.otlp: %w", err)
		}
		sampler := sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.Ratio))
		opts = append(opts, sdktrace.WithBatcher(&exports{SpanExporter: exporter, log: log}), sdktrace.WithSampler(sampler))
	}
	provider := sdktrace.NewTracerProvider(opts...)
	c.Add("tracing", provider.Shutdown)
	text := func(err error) string { return mask.String(err.Error()) }
	observer, err := otel.New(provider, otel.WithErrorText(text))
	return provider, observer, err
}

// Propagator reads and writes the W3C headers traceparent and baggage.
func Propagator() propagation.TextMapPropagator {
	return propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
}

// exports says in our log when the collector goes and when it is back. By itself
// OpenTelemetry writes each failure to standard error, in a form of its own.
type exports struct {
	sdktrace.SpanExporter
	log     logger.Logger
	failing bool // exports never overlap
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e *exports) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch failed := err != nil; {
	case failed && !e.failing:
		e.log.Warn("traces are lost: the collector fails", logger.Err(err))
	case !failed && e.failing:
		e.log.Info("traces are exported again")
	}
	e.failing = err != nil
	return nil // it has been said
}

// InTraces returns an observer that reports to next only what is part of a trace:
// what polls in the background would begin one each time.
func InTraces(next observe.Observer) observe.Observer { return inTraces{next} }

type inTraces struct{ next observe.Observer }

// Start implements [observe.Observer].
func (o inTraces) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	if !oteltrace.SpanContextFromContext(ctx).IsValid() {
		return ctx, func(observe.Result) {}
	}
	return o.next.Start(ctx, op)
}
