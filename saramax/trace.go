package saramax

import "context"

// Propagator carries the trace of a context through the headers of records. observe/otel
// makes one of OpenTelemetry's; it must be safe for concurrent use.
type Propagator interface {
	// Inject passes the headers of ctx's trace to set.
	Inject(ctx context.Context, set func(key, value string))
	// Extract returns ctx with the trace that the headers behind get tell of; get
	// returns "" for a header that is not there.
	Extract(ctx context.Context, get func(key string) string) context.Context
}

// InjectTrace returns headers with the trace of ctx. It sets and never adds, so that a
// record that is forwarded many times carries one trace, the last. Without a propagator
// it returns headers; it never changes what they hold.
func InjectTrace(ctx context.Context, p Propagator, headers Headers) Headers {
	if p == nil {
		return headers
	}
	p.Inject(ctx, func(key, value string) { headers = headers.With(key, []byte(value)) })
	return headers
}

// ExtractTrace returns ctx with the trace that headers tell of, if p finds one there.
func ExtractTrace(ctx context.Context, p Propagator, headers Headers) context.Context {
	if p == nil {
		return ctx
	}
	return p.Extract(ctx, func(key string) string { return string(headers.Get(key)) })
}
