package ioc_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/ioc"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
)

func TestACollectorThatFailsIsLoggedOnceAndOnceWhenItIsBack(t *testing.T) {
	var status, got atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" {
			got.Add(1)
		}
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(collector.Close)
	rec := loggertest.New(t)
	var c ioc.Closers
	provider, _, err := ioc.Tracing(t.Context(), &c, config.Trace{OTLP: collector.URL, Ratio: 1}, "v1", rec.Logger())
	require.NoError(t, err)
	export := func(answer int) {
		status.Store(int64(answer))
		_, span := provider.Tracer("test").Start(t.Context(), "span")
		span.End()
		require.NoError(t, provider.ForceFlush(t.Context()), "said in the log, not on standard error")
	}
	export(http.StatusBadRequest)
	export(http.StatusBadRequest)
	rec.RequireLine(logger.LevelWarn, "traces are lost: the collector fails")
	export(http.StatusOK)
	rec.RequireLine(logger.LevelInfo, "traces are exported again")
	require.Len(t, rec.Records(), 2)
	require.EqualValues(t, 3, got.Load())
	require.NoError(t, c.Close(context.WithoutCancel(t.Context())))
}

// The last spans are flushed at the end: a collector that hangs must leave time for
// what is closed after it, and a clean exit.
func TestACollectorThatHangsDoesNotSpoilTheEnd(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hung.Close)
	t.Cleanup(func() { close(release) })
	rec := loggertest.New(t)
	var c ioc.Closers
	provider, _, err := ioc.Tracing(t.Context(), &c, config.Trace{OTLP: hung.URL, Ratio: 1}, "v1", rec.Logger())
	require.NoError(t, err)
	_, span := provider.Tracer("test").Start(t.Context(), "span")
	span.End()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second) // the app's
	defer cancel()
	require.NoError(t, c.Close(ctx))
	rec.RequireLine(logger.LevelWarn, "traces are lost: the collector fails")
}
