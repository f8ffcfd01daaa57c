package otel_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/observe/otel"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

var callKind = observe.Kind{
	Component: "sms", Action: "send", Role: observe.Client,
	StartLabels: []string{"provider"}, EndLabels: []string{"code"}, Amount: "parts",
}

var retryKind = observe.Kind{Component: "sms", Action: "retry", Form: observe.Instant, StartLabels: []string{"provider"}}

func newObserver(t *testing.T, opts ...otel.Option) (*otel.Observer, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.Background())) })
	o, err := otel.New(provider, opts...)
	require.NoError(t, err)
	return o, spans
}

func TestConformance(t *testing.T) {
	t.Run("recording", func(t *testing.T) {
		observetest.Test(t, func(t *testing.T) observe.Observer {
			o, _ := newObserver(t)
			return o
		})
	})
	t.Run("not sampled", func(t *testing.T) {
		observetest.Test(t, func(t *testing.T) observe.Observer {
			o, err := otel.New(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))
			require.NoError(t, err)
			return o
		})
	})
}

func TestNewRefusesNilProvider(t *testing.T) {
	_, err := otel.New(nil)
	require.EqualError(t, err, "otel: TracerProvider is nil")
}

func TestSpanCarriesNameKindLabelsOutcomeAndAmount(t *testing.T) {
	o, spans := newObserver(t)
	_, end := o.Start(t.Context(), observe.Operation{Kind: &callKind, Values: observe.Values{"ali"}})
	end(observe.Result{Values: observe.Values{"200"}, Amount: 2})

	require.Len(t, spans.Ended(), 1)
	span := spans.Ended()[0]
	require.Equal(t, "sms send", span.Name())
	require.Equal(t, trace.SpanKindClient, span.SpanKind())
	require.Equal(t, codes.Unset, span.Status().Code)
	require.ElementsMatch(t, []attribute.KeyValue{
		attribute.String("provider", "ali"), attribute.String("code", "200"),
		attribute.String("outcome", "ok"), attribute.Int64("parts", 2),
	}, span.Attributes())
}

func TestRolesBecomeSpanKinds(t *testing.T) {
	want := map[observe.Role]trace.SpanKind{
		observe.Internal: trace.SpanKindInternal, observe.Server: trace.SpanKindServer,
		observe.Client: trace.SpanKindClient, observe.Producer: trace.SpanKindProducer,
		observe.Consumer: trace.SpanKindConsumer,
	}
	for role, kind := range want {
		o, spans := newObserver(t)
		k := observe.Kind{Component: "a", Action: "b", Role: role}
		_, end := o.Start(t.Context(), observe.Operation{Kind: &k})
		end(observe.Result{})
		require.Equal(t, kind, spans.Ended()[0].SpanKind())
	}
}

func TestOnlyFailuresSetErrorStatusAndRecordTheError(t *testing.T) {
	cause := errors.New("provider said no")
	for outcome := observe.OK; outcome <= observe.Panicked; outcome++ {
		t.Run(outcome.String(), func(t *testing.T) {
			o, spans := newObserver(t)
			_, end := o.Start(t.Context(), observe.Operation{Kind: &callKind})
			end(observe.Result{Outcome: outcome, Err: cause, Amount: -1})

			span := spans.Ended()[0]
			require.Contains(t, span.Attributes(), attribute.String("outcome", outcome.String()))
			switch outcome {
			case observe.Failed, observe.Timeout, observe.Panicked:
				require.Equal(t, sdktrace.Status{Code: codes.Error, Description: outcome.String()}, span.Status())
				require.Len(t, span.Events(), 1)
				require.Equal(t, "exception", span.Events()[0].Name)
				require.Contains(t, span.Events()[0].Attributes, attribute.String("exception.message", cause.Error()))
				require.Contains(t, span.Events()[0].Attributes, attribute.String("exception.type", "*errors.errorString"))
			default:
				require.Equal(t, codes.Unset, span.Status().Code)
				require.Empty(t, span.Events())
			}
			for _, a := range span.Attributes() {
				require.NotEqual(t, attribute.Key("parts"), a.Key, "an unknown amount is left out")
			}
		})
	}
}

func TestErrorTextCanBeMasked(t *testing.T) {
	o, spans := newObserver(t, otel.WithErrorText(func(error) string { return "masked" }))
	_, end := o.Start(t.Context(), observe.Operation{Kind: &callKind})
	end(observe.Result{Outcome: observe.Failed, Err: errors.New("a secret")})
	require.Contains(t, spans.Ended()[0].Events()[0].Attributes, attribute.String("exception.message", "masked"))
}

type brokenError struct{ text *string }

func (e brokenError) Error() string { return *e.text }

func TestErrorWhoseTextPanicsStillEndsTheSpan(t *testing.T) {
	o, spans := newObserver(t)
	_, end := o.Start(t.Context(), observe.Operation{Kind: &callKind})
	end(observe.Result{Outcome: observe.Failed, Err: brokenError{}})
	require.Len(t, spans.Ended(), 1)
}

func TestNestedOperationsAreParentAndChild(t *testing.T) {
	o, spans := newObserver(t)
	ctx, outer := o.Start(t.Context(), observe.Operation{Kind: &callKind})
	_, inner := o.Start(ctx, observe.Operation{Kind: &callKind})
	inner(observe.Result{})
	outer(observe.Result{})

	require.Len(t, spans.Ended(), 2)
	child, parent := spans.Ended()[0], spans.Ended()[1]
	require.Equal(t, parent.SpanContext().SpanID(), child.Parent().SpanID())
	require.Equal(t, parent.SpanContext().TraceID(), child.SpanContext().TraceID())
}

func TestInstantOperationIsAnEventOnTheCurrentSpan(t *testing.T) {
	o, spans := newObserver(t)
	observe.Emit(t.Context(), o, observe.Operation{Kind: &retryKind}, observe.Result{}) // no span: nothing
	ctx, end := o.Start(t.Context(), observe.Operation{Kind: &callKind})
	observe.Emit(ctx, o, observe.Operation{Kind: &retryKind, Values: observe.Values{"ali"}}, observe.Result{Outcome: observe.Rejected})
	end(observe.Result{})

	require.Len(t, spans.Ended(), 1, "an event makes no span")
	events := spans.Ended()[0].Events()
	require.Len(t, events, 1)
	require.Equal(t, "sms retry", events[0].Name)
	require.ElementsMatch(t, []attribute.KeyValue{
		attribute.String("provider", "ali"), attribute.String("outcome", "rejected"),
	}, events[0].Attributes)
}

func TestKindsDeclaredOnTheFlyStillMakeSpans(t *testing.T) {
	o, spans := newObserver(t)
	const n = 3000 // beyond what is kept
	for range n {
		k := callKind
		_, end := o.Start(t.Context(), observe.Operation{Kind: &k})
		end(observe.Result{})
	}
	require.Len(t, spans.Ended(), n)
}

func TestTraceIDs(t *testing.T) {
	var trace logger.TraceFunc = otel.TraceIDs
	traceID, spanID := trace(t.Context())
	require.Empty(t, traceID)
	require.Empty(t, spanID)

	o, spans := newObserver(t)
	ctx, end := o.Start(t.Context(), observe.Operation{Kind: &callKind})
	traceID, spanID = trace(ctx)
	end(observe.Result{})
	sc := spans.Ended()[0].SpanContext()
	require.Equal(t, sc.TraceID().String(), traceID)
	require.Equal(t, sc.SpanID().String(), spanID)

	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { trace(ctx) }), 1.0)
	require.Zero(t, testing.AllocsPerRun(100, func() { trace(context.Background()) }))
}

func TestNoopProviderCostsNoMoreThanItsSpan(t *testing.T) {
	o, err := otel.New(noop.NewTracerProvider())
	require.NoError(t, err)
	k := observe.Kind{Component: "a", Action: "b"}
	tracer, ctx := noop.NewTracerProvider().Tracer("t"), t.Context()
	bare := testing.AllocsPerRun(100, func() { tracer.Start(ctx, "a b", trace.WithSpanKind(trace.SpanKindInternal)) })
	ours := testing.AllocsPerRun(100, func() {
		_, end := o.Start(ctx, observe.Operation{Kind: &k})
		end(observe.Result{})
	})
	require.LessOrEqual(t, ours, bare)
}
