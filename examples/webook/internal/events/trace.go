package events

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/bulwark-go/bulwark/saramax"
)

// Linked returns handle with the span of each batch linked to the spans that produced
// its records. A batch has records of many traces, so it can be a part of none of
// them; a link says where it came from.
func Linked[T any](p saramax.Propagator, handle func(context.Context, []saramax.Record[T]) []saramax.Verdict) func(context.Context, []saramax.Record[T]) []saramax.Verdict {
	return func(ctx context.Context, batch []saramax.Record[T]) []saramax.Verdict {
		if span := trace.SpanFromContext(ctx); span.IsRecording() {
			for _, r := range batch {
				from := trace.SpanContextFromContext(saramax.ExtractTrace(context.Background(), p, r.Headers))
				if from.IsSampled() {
					span.AddLink(trace.Link{SpanContext: from})
				}
			}
		}
		return handle(ctx, batch)
	}
}
