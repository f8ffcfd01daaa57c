package otel_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/otel"
	"github.com/bulwark-go/bulwark/saramax"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

func ExampleNewHeaders() {
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	headers := saramax.InjectTrace(ctx, otel.NewHeaders(nil), nil) // saramax.WithProducerTrace does that
	fmt.Println(headers[0].Key, string(headers[0].Value))
	// Output: traceparent 00-01000000000000000000000000000000-0200000000000000-01
}

func TestTraceGoesThroughHeadersOnce(t *testing.T) {
	o, spans := newObserver(t)
	h := otel.NewHeaders(propagation.TraceContext{})
	var headers saramax.Headers
	for range 3 {
		ctx, end := o.Start(saramax.ExtractTrace(t.Context(), h, headers), observe.Operation{Kind: &callKind})
		headers = saramax.InjectTrace(ctx, h, headers)
		require.Len(t, headers, 1)
		end(observe.Result{})
	}
	ended := spans.Ended()
	require.Equal(t, ended[0].SpanContext().TraceID(), ended[2].SpanContext().TraceID())
	require.Equal(t, ended[0].SpanContext().SpanID(), ended[1].Parent().SpanID())
	require.Equal(t, ended[1].SpanContext().SpanID(), ended[2].Parent().SpanID())
}
