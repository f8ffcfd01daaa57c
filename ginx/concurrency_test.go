package ginx_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

func TestRequestsBeyondTheConcurrencyLimitAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := concurrency.New(2)
		require.NoError(t, err)
		release := make(chan struct{})
		r := gin.New()
		r.GET("/", ginx.Concurrency(l, ginx.ByIP()), func(*gin.Context) { <-release })
		var running sync.WaitGroup
		for range 2 {
			running.Go(func() { get(r, "/") })
		}
		synctest.Wait()
		require.EqualValues(t, 2, l.Snapshot().InFlight)
		w := get(r, "/")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		require.Equal(t, reply{Code: 5, Msg: "too busy", Data: []byte("null")}, parse(t, w))
		close(release)
		running.Wait()
		require.Zero(t, l.Snapshot().InFlight)
		require.Equal(t, http.StatusOK, get(r, "/").Code)
	})
}

func TestTicketsComeBackHoweverARequestEnds(t *testing.T) {
	l, err := concurrency.New(1)
	require.NoError(t, err)
	r := gin.New()
	r.Use(ginx.Recovery(), ginx.Concurrency(l, ginx.ByIP()))
	r.GET("/return", func(*gin.Context) {})
	r.GET("/panic", func(*gin.Context) { panic("boom") })
	r.GET("/abort", func(c *gin.Context) { c.AbortWithStatus(http.StatusTeapot) })
	r.GET("/goexit", func(*gin.Context) { runtime.Goexit() })
	for _, path := range []string{"/return", "/panic", "/abort", "/goexit", "/return"} {
		done := make(chan *httptest.ResponseRecorder, 1)
		go func() {
			w := httptest.NewRecorder()
			defer func() { done <- w }()
			r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		}()
		require.NotEqual(t, http.StatusServiceUnavailable, (<-done).Code, path)
		require.Zero(t, l.Snapshot().InFlight, path)
	}
}

// learner is an acquirer that notes how its tickets end.
type learner struct{ verdicts []concurrency.Verdict }

func (l *learner) Acquire(context.Context, string) (concurrency.Ticket, error) {
	return concurrency.NewTicket(ratelimit.Decision{}, func(v concurrency.Verdict) { l.verdicts = append(l.verdicts, v) }), nil
}

func TestAdaptiveLimitsLearnFromWhatTells(t *testing.T) {
	answer := func(status int) gin.HandlerFunc { return func(c *gin.Context) { c.Status(status) } }
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithTimeout(t.Context(), -1)
	defer stop()
	for name, c := range map[string]struct {
		ctx  context.Context
		h    gin.HandlerFunc
		want concurrency.Verdict
	}{
		"success":  {t.Context(), answer(200), concurrency.Done},
		"overload": {t.Context(), answer(503), concurrency.Dropped},
		"timeout":  {t.Context(), answer(504), concurrency.Dropped},
		"late":     {late, answer(200), concurrency.Dropped},
		"mistake":  {t.Context(), answer(400), concurrency.Ignored},
		"failure":  {t.Context(), answer(500), concurrency.Ignored},
		"left":     {gone, answer(200), concurrency.Ignored},
		"panic":    {t.Context(), func(*gin.Context) { panic("boom") }, concurrency.Ignored},
	} {
		l := &learner{}
		r := gin.New()
		r.GET("/", ginx.Recovery(), ginx.Concurrency(l, ginx.ByIP()), c.h)
		do(r, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(c.ctx))
		require.Equal(t, []concurrency.Verdict{c.want}, l.verdicts, name)
	}
}

func TestARequestThatLeavesTheQueueIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := concurrency.NewBulkheads(map[string]concurrency.Budget{"all": {Limit: 1, Queue: 5}})
		require.NoError(t, err)
		ran, release := 0, make(chan struct{})
		all := func(*gin.Context) string { return "all" }
		r := gin.New()
		r.GET("/", ginx.Concurrency(b, all), func(*gin.Context) { ran++; <-release })
		var running sync.WaitGroup
		running.Go(func() { get(r, "/") })
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		var w *httptest.ResponseRecorder
		running.Go(func() { w = do(r, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)) })
		synctest.Wait()
		leave()
		synctest.Wait()
		require.Equal(t, ginx.StatusClientClosedRequest, w.Code)
		close(release)
		running.Wait()
		require.Equal(t, 1, ran)
		require.Zero(t, b.Snapshot()["all"].InFlight)
	})
}

type brokenAcquirer struct{}

func (brokenAcquirer) Acquire(context.Context, string) (concurrency.Ticket, error) {
	return concurrency.Ticket{}, errAway
}

func TestAFailingAcquirerFollowsThePolicy(t *testing.T) {
	r := newLimited(t, ginx.Concurrency(brokenAcquirer{}, ginx.ByIP()))
	require.Equal(t, http.StatusOK, get(r, "/").Code)
	r = newLimited(t, ginx.Concurrency(brokenAcquirer{}, ginx.ByIP(), ginx.WithFailClosed()))
	require.Equal(t, http.StatusServiceUnavailable, get(r, "/").Code)
	r = newLimited(t, ginx.Concurrency(brokenAcquirer{}, ginx.ByUser()))
	require.Equal(t, http.StatusBadRequest, get(r, "/").Code)
}
