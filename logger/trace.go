package logger

import "context"

// The keys under which every adapter writes what [Entry] carries beside the
// message, so that lines of HTTP, gRPC, SQL and jobs join on the same names.
const (
	KeyTrace  = "trace_id"
	KeySpan   = "span_id"
	KeyModule = "module"
)

type traceKey struct{}

type traceIDs struct{ trace, span string }

// ContextWithTrace returns a context whose lines carry the given ids: for work
// without a tracer, such as a job that names its run. A trace that [WithTrace]'s
// function finds goes first.
func ContextWithTrace(ctx context.Context, traceID, spanID string) context.Context {
	return context.WithValue(ctx, traceKey{}, &traceIDs{traceID, spanID})
}

// TraceFromContext returns the ids that [ContextWithTrace] stored; both are empty
// where there are none.
func TraceFromContext(ctx context.Context) (traceID, spanID string) {
	if ids, ok := ctx.Value(traceKey{}).(*traceIDs); ok {
		return ids.trace, ids.span
	}
	return "", ""
}
