// Package observe_test compares observers with what one writes by hand.
//
//	cd bench && GOWORK=off go test ./observe -bench . -count 6
package observe_test

import (
	"context"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/observe"
	obsotel "github.com/bulwark-go/bulwark/observe/otel"
	"github.com/bulwark-go/bulwark/observe/prom"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

var requestKind = observe.Kind{
	Component: "http_server", Action: "request", Help: "Requests.", Role: observe.Server,
	StartLabels: []string{"method", "route"}, EndLabels: []string{"status"},
}

func run(b *testing.B, o observe.Observer) {
	ctx := context.Background()
	op := observe.Operation{Kind: &requestKind, Values: observe.Values{"GET", "/users/:id"}}
	res := observe.Result{Values: observe.Values{"200"}}
	b.ReportAllocs()
	for b.Loop() {
		_, end := o.Start(ctx, op)
		end(res)
	}
}

func runParallel(b *testing.B, o observe.Observer) {
	op := observe.Operation{Kind: &requestKind, Values: observe.Values{"GET", "/users/:id"}}
	res := observe.Result{Values: observe.Values{"200"}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, end := o.Start(context.Background(), op)
			end(res)
		}
	})
}

var (
	sink      time.Time
	observers = []observe.Observer{observe.Nop()} // where the compiler does not look
)

// BenchmarkNop stands beside time.Now, so that its figure can be scaled to a machine.
func BenchmarkNop(b *testing.B) {
	b.Run("time.Now", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sink = time.Now()
		}
	})
	b.Run("empty loop", func(b *testing.B) {
		for b.Loop() {
		}
	})
	b.Run("observe.Nop", func(b *testing.B) { run(b, observe.Nop()) })
	b.Run("guarded by IsNop", func(b *testing.B) {
		o := observers[0]
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			if observe.IsNop(o) {
				continue
			}
			_, end := o.Start(ctx, observe.Operation{Kind: &requestKind, Values: observe.Values{"GET", "/users/:id"}})
			end(observe.Result{Values: observe.Values{"200"}})
		}
	})
}

// byHand is the usual middleware: a histogram and an in-flight gauge.
type byHand struct {
	durations *prometheus.HistogramVec
	inFlight  *prometheus.GaugeVec
}

func newByHand() byHand {
	h := byHand{
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "d", Help: "d", Buckets: []float64{
			.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
		}}, []string{"method", "route", "status", "outcome"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "f", Help: "f"}, []string{"method", "route"}),
	}
	prometheus.NewRegistry().MustRegister(h.durations, h.inFlight)
	return h
}

func (h byHand) observe(method, route, status, outcome string) {
	began := time.Now()
	g := h.inFlight.WithLabelValues(method, route)
	g.Inc()
	g.Dec()
	h.durations.WithLabelValues(method, route, status, outcome).Observe(time.Since(began).Seconds())
}

func newProm(b *testing.B) *prom.Observer {
	o, err := prom.New(prometheus.NewRegistry(), prom.Config{Namespace: "app"})
	if err != nil {
		b.Fatal(err)
	}
	return o
}

func BenchmarkProm(b *testing.B) {
	b.Run("by hand", func(b *testing.B) {
		h := newByHand()
		b.ReportAllocs()
		for b.Loop() {
			h.observe("GET", "/users/:id", "200", "ok")
		}
	})
	b.Run("observe/prom", func(b *testing.B) { run(b, newProm(b)) })
	b.Run("by hand, parallel", func(b *testing.B) {
		h := newByHand()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				h.observe("GET", "/users/:id", "200", "ok")
			}
		})
	})
	b.Run("observe/prom, parallel", func(b *testing.B) { runParallel(b, newProm(b)) })
}

func spanByHand(b *testing.B, tracer trace.Tracer) {
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		_, span := tracer.Start(ctx, "http_server request", trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("method", "GET"), attribute.String("route", "/users/:id")))
		span.SetAttributes(attribute.String("status", "200"), attribute.String("outcome", "ok"))
		span.SetStatus(codes.Unset, "")
		span.End()
	}
}

func BenchmarkOTel(b *testing.B) {
	for _, c := range []struct {
		name     string
		provider trace.TracerProvider
	}{
		{"sampled", sdktrace.NewTracerProvider()},
		{"not sampled", sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))},
		{"noop", noop.NewTracerProvider()},
	} {
		b.Run(c.name+"/by hand", func(b *testing.B) { spanByHand(b, c.provider.Tracer("bench")) })
		b.Run(c.name+"/observe/otel", func(b *testing.B) {
			o, err := obsotel.New(c.provider)
			if err != nil {
				b.Fatal(err)
			}
			run(b, o)
		})
	}
}

func BenchmarkMulti(b *testing.B) {
	p := newProm(b)
	b.Run("prom", func(b *testing.B) { run(b, p) })
	b.Run("Multi of prom and prom", func(b *testing.B) { run(b, observe.Multi(p, newProm(b))) })
}
