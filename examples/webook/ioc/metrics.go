package ioc

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe/prom"
)

// Metrics returns a registry of our own, with what the Go runtime, the process and
// the build tell, and the observer that turns what packages report into metrics.
func Metrics(log logger.Logger) (*prometheus.Registry, *prom.Observer, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	observer, err := prom.New(registry, prom.Config{Namespace: "webook"},
		prom.OnError(func(err error) { log.Error("metrics", logger.Err(err)) }))
	return registry, observer, err
}

// Operators returns the handler of the operators' port.
func Operators(registry *prometheus.Registry, probes *Probes) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	mux.HandleFunc("GET /healthz", probes.Alive)
	mux.HandleFunc("GET /readyz", probes.Ready)
	return mux
}
