package ioc_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/ioc"
	"github.com/bulwark-go/bulwark/logger"
)

// What is cut off must be so before the database is closed under it, not after.
func TestRequestsThatOutliveTheDrainAreCutOffByShutdown(t *testing.T) {
	var c ioc.Closers
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	s, err := ioc.Listen(t.Context(), &c, "test", "127.0.0.1:0", logger.Logger{})
	require.NoError(t, err)
	begun, cut := make(chan struct{}), make(chan struct{})
	s.Handle(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(cut)
	}))
	go func() { _ = s.Serve() }()
	answered := make(chan error, 1)
	go func() { _, err := http.Get("http://" + s.Addr()); answered <- err }()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, s.Shutdown(ctx), "http.shutdown")
	select {
	case <-cut:
	case <-time.After(3 * time.Second):
		t.Fatal("the request still runs")
	}
	require.Error(t, <-answered)
}
