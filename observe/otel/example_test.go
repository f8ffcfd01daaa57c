package otel_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

var sendKind = observe.Kind{Component: "sms", Action: "send", Role: observe.Client, StartLabels: []string{"provider"}}

func ExampleNew() {
	spans := tracetest.NewSpanRecorder() // in a service: an exporter
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	observer, err := otel.New(provider)
	if err != nil {
		panic(err)
	}

	_, end := observer.Start(context.Background(), observe.Operation{Kind: &sendKind, Values: observe.Values{"ali"}})
	end(observe.Result{Outcome: observe.Failed, Err: errors.New("provider is down")})

	for _, span := range spans.Ended() {
		fmt.Println(span.Name(), span.SpanKind(), span.Status().Code)
		for _, a := range span.Attributes() {
			fmt.Println(a.Key, a.Value.String())
		}
	}
	// Output:
	// sms send client Error
	// provider ali
	// outcome failed
}
