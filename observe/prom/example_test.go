package prom_test

import (
	"context"
	"fmt"
	"iter"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/prom"
	"github.com/prometheus/client_golang/prometheus"
)

var sentKind = observe.Kind{
	Component: "sms", Action: "sent", Help: "Messages sent.",
	Form: observe.Instant, StartLabels: []string{"provider"},
}

func ExampleNew() {
	registry := prometheus.NewRegistry() // in a service: served by promhttp
	observer, err := prom.New(registry, prom.Config{Namespace: "webook"},
		prom.WithConstLabels(map[string]string{"instance_id": "i-1"}),
		prom.OnError(func(err error) { fmt.Println(err) })) // in a service: log it
	if err != nil {
		panic(err)
	}

	observe.Emit(context.Background(), observer,
		observe.Operation{Kind: &sentKind, Values: observe.Values{"ali"}}, observe.Result{})

	families, _ := registry.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			fmt.Println(f.GetName(), m.GetCounter().GetValue())
		}
	}
	// Output:
	// webook_observe_collapsed_total 0
	// webook_observe_dropped_total 0
	// webook_sms_sent_total 1
}

var depthGauge = observe.Gauge{Component: "queue", Name: "depth", Help: "Messages waiting."}

// queue has state worth watching.
type queue struct{ waiting []string }

func (q *queue) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		yield(observe.Reading{Gauge: &depthGauge, Value: float64(len(q.waiting))})
	}
}

func ExampleObserver_Register() {
	registry := prometheus.NewRegistry()
	observer, err := prom.New(registry, prom.Config{Namespace: "webook"})
	if err != nil {
		panic(err)
	}
	q := &queue{waiting: []string{"a", "b"}}
	if err := observer.Register(q); err != nil {
		panic(err)
	}
	defer observer.Unregister(q)

	families, _ := registry.Gather()
	for _, f := range families {
		if f.GetName() == "webook_queue_depth" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output: webook_queue_depth 2
}
