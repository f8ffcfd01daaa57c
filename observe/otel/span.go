package otel

import (
	"context"
	"fmt"
	"strings"

	"github.com/bulwark-go/bulwark/observe"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// kind is what we prepare once for an observe.Kind.
type kind struct {
	name      string
	form      observe.Form
	options   []trace.SpanStartOption // the span kind; a slice, so that no call makes one
	startKeys []attribute.Key
	endKeys   []attribute.Key
	amountKey attribute.Key // empty when the kind counts nothing
}

// newKind returns nil for an invalid Kind.
func newKind(declared *observe.Kind) *kind {
	if declared.Validate() != nil {
		return nil
	}
	return &kind{
		name:      declared.Component + " " + declared.Action,
		form:      declared.Form,
		options:   []trace.SpanStartOption{trace.WithSpanKind(spanKinds[declared.Role])},
		startKeys: keys(declared.StartLabels),
		endKeys:   keys(declared.EndLabels),
		amountKey: attribute.Key(declared.Amount),
	}
}

var spanKinds = [...]trace.SpanKind{
	observe.Internal: trace.SpanKindInternal,
	observe.Server:   trace.SpanKindServer,
	observe.Client:   trace.SpanKindClient,
	observe.Producer: trace.SpanKindProducer,
	observe.Consumer: trace.SpanKindConsumer,
}

func keys(names []string) []attribute.Key {
	ks := make([]attribute.Key, len(names))
	for i, n := range names {
		ks[i] = attribute.Key(n)
	}
	return ks
}

// startSpan gives the tracer a fresh slice: a sampler or span processor may keep it.
func (o *Observer) startSpan(ctx context.Context, k *kind, values observe.Values) (context.Context, trace.Span) {
	if len(k.startKeys) == 0 {
		return o.tracer.Start(ctx, k.name, k.options...)
	}
	attrs := appendLabels(make([]attribute.KeyValue, 0, len(k.startKeys)), k.startKeys, values)
	return o.tracer.Start(ctx, k.name, k.options[0], trace.WithAttributes(attrs...))
}

func (k *kind) endAttributes(to []attribute.KeyValue, res observe.Result) []attribute.KeyValue {
	to = append(to, attribute.String(observe.OutcomeLabel, res.Outcome.String()))
	if k.amountKey != "" && res.Amount >= 0 {
		to = append(to, k.amountKey.Int64(res.Amount))
	}
	return appendLabels(to, k.endKeys, res.Values)
}

// appendLabels leaves empty values out: an attribute that says nothing costs as
// much to store as one that does.
func appendLabels(to []attribute.KeyValue, keys []attribute.Key, values observe.Values) []attribute.KeyValue {
	for i, key := range keys {
		if values[i] != "" {
			to = append(to, key.String(strings.ToValidUTF8(values[i], "\uFFFD")))
		}
	}
	return to
}

// run is one recording operation under way. It is pooled together with its End.
type run struct {
	o      *Observer
	kind   *kind
	span   trace.Span
	values observe.Values // of an Instant operation, whose event comes at the end
	end    observe.End    // r.finish, bound once
}

func (o *Observer) run(k *kind, span trace.Span, values observe.Values) observe.End {
	r := o.runs.Get().(*run)
	r.kind, r.span, r.values = k, span, values
	return r.end
}

func (r *run) finish(res observe.Result) {
	k, span, values := r.kind, r.span, r.values
	if span == nil {
		return // ended twice, and luckily before the run served another operation
	}
	r.kind, r.span, r.values = nil, nil, observe.Values{}
	if k.form == observe.Instant {
		attrs := k.endAttributes(appendLabels(nil, k.startKeys, values), res)
		span.AddEvent(k.name, trace.WithAttributes(attrs...))
	} else {
		r.o.finishSpan(span, k, res)
	}
	r.o.runs.Put(r)
}

func (o *Observer) finishSpan(span trace.Span, k *kind, res observe.Result) {
	span.SetAttributes(k.endAttributes(make([]attribute.KeyValue, 0, len(k.endKeys)+2), res)...)
	switch res.Outcome {
	case observe.Failed, observe.Timeout, observe.Panicked:
		span.SetStatus(codes.Error, res.Outcome.String())
		if res.Err != nil {
			o.recordError(span, res.Err)
		}
	}
	span.End()
}

// recordError writes the event that Span.RecordError would, with our own text.
func (o *Observer) recordError(span trace.Span, err error) {
	span.AddEvent("exception", trace.WithAttributes(
		attribute.String("exception.type", fmt.Sprintf("%T", err)),
		attribute.String("exception.message", strings.ToValidUTF8(o.text(err), "\uFFFD")),
	))
}

// text survives an Error method that panics, as that of a nil pointer in an error
// does: an Observer must not break the call that it watches.
func (o *Observer) text(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = "the error's text could not be had"
		}
	}()
	return o.errorText(err)
}
