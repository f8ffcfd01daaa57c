// Package ginx_test measures what ginx adds to gin: the wrapper over a handler
// written by hand that does the same, and the middleware over none.
package ginx_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

type request struct {
	Title string   `json:"title" binding:"required"`
	Body  string   `json:"body"`
	Tags  []string `json:"tags"`
}

type article struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
}

const body = `{"title":"Hello","body":"Some text that is a little longer than the title","tags":["a","b"]}`

type claims struct{ UserID int64 }

func login(c *gin.Context) { ginx.SetClaims(c, claims{7}) }

// byHand is what people write without a wrapper.
func byHand(c *gin.Context) {
	var req request
	if err := c.ShouldBindJSON(&req); err != nil {
		c.JSON(http.StatusBadRequest, ginx.Result{Code: 4, Msg: "bad request"})
		return
	}
	c.JSON(http.StatusOK, ginx.Result{Data: article{1, req.Title}})
}

func byHandClaims(c *gin.Context) {
	if _, ok := ginx.ClaimsOf[claims](c); !ok {
		c.AbortWithStatus(http.StatusUnauthorized)
		return
	}
	byHand(c)
}

func typed(_ context.Context, req request) (ginx.Result, error) {
	return ginx.Result{Data: article{1, req.Title}}, nil
}

func typedClaims(ctx context.Context, req request, _ claims) (ginx.Result, error) {
	return typed(ctx, req)
}

// writer keeps nothing, so that the numbers are gin's and ours.
type writer struct{ header http.Header }

func (w *writer) Header() http.Header               { return w.header }
func (w *writer) WriteHeader(int)                   {}
func (w *writer) Write(p []byte) (int, error)       { return len(p), nil }
func (w *writer) WriteString(s string) (int, error) { return len(s), nil }

func engine(h ...gin.HandlerFunc) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.POST("/articles/:id", h...)
	return r
}

func run(b *testing.B, r http.Handler) {
	req := httptest.NewRequest(http.MethodPost, "/articles/1", nil)
	req.Header.Set("Content-Type", "application/json")
	req.ContentLength = int64(len(body))
	reader := strings.NewReader(body)
	closer := io.NopCloser(reader)
	w := &writer{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		req.Body = closer
		r.ServeHTTP(w, req)
	}
}

func BenchmarkWrapper(b *testing.B) {
	b.Run("by-hand", func(b *testing.B) { run(b, engine(byHand)) })
	b.Run("ginx", func(b *testing.B) { run(b, engine(ginx.WrapBody(typed))) })
	b.Run("by-hand-claims", func(b *testing.B) { run(b, engine(login, byHandClaims)) })
	b.Run("ginx-claims", func(b *testing.B) { run(b, engine(login, ginx.WrapBodyClaims(typedClaims))) })
}

// BenchmarkBodySize shows that the difference does not grow with the body.
func BenchmarkBodySize(b *testing.B) {
	for name, size := range map[string]int{"1KiB": 1 << 10, "32KiB": 32 << 10, "512KiB": 512 << 10} {
		text := `{"title":"` + strings.Repeat("a", size) + `"}`
		for kind, h := range map[string]gin.HandlerFunc{"by-hand": byHand, "ginx": ginx.WrapBody(typed)} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				r := engine(h)
				req := httptest.NewRequest(http.MethodPost, "/articles/1", nil)
				req.Header.Set("Content-Type", "application/json")
				req.ContentLength = int64(len(text))
				reader := strings.NewReader(text)
				closer := io.NopCloser(reader)
				w := &writer{header: http.Header{}}
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					reader.Reset(text)
					req.Body = closer
					r.ServeHTTP(w, req)
				}
			})
		}
	}
}

// discard is a logging back end that costs as little as one can.
type discard struct{}

func (discard) Enabled(logger.Level) bool              { return true }
func (d discard) With([]logger.Field) logger.Core      { return d }
func (discard) Write(_ logger.Entry, _ []logger.Field) {}

// silence is one that wants no line.
type silence struct{ discard }

func (silence) Enabled(logger.Level) bool { return false }

// watcher is the cheapest Observer that listens.
type watcher struct{}

func (watcher) Start(ctx context.Context, _ observe.Operation) (context.Context, observe.End) {
	return ctx, func(observe.Result) {}
}

func BenchmarkMiddleware(b *testing.B) {
	answer := func(c *gin.Context) { c.Status(http.StatusNoContent) }
	log := logger.New(discard{})
	for _, m := range []struct {
		name string
		h    []gin.HandlerFunc
	}{
		{"bare", nil},
		{"gin-logger", []gin.HandlerFunc{gin.LoggerWithWriter(io.Discard)}},
		{"access-log", []gin.HandlerFunc{ginx.AccessLog(log)}},
		{"access-log-below-level", []gin.HandlerFunc{ginx.AccessLog(logger.New(silence{}))}},
		{"access-log-bodies", []gin.HandlerFunc{ginx.AccessLog(log, ginx.WithRequestBody(), ginx.WithResponseBody())}},
		{"observe", []gin.HandlerFunc{ginx.Observe(watcher{})}},
		{"observe-nop", []gin.HandlerFunc{ginx.Observe(observe.Nop())}},
		{"recovery", []gin.HandlerFunc{ginx.Recovery()}},
	} {
		b.Run(m.name, func(b *testing.B) { run(b, engine(append(m.h, answer)...)) })
	}
}

// BenchmarkGuards measures what asking a limiter or breaker adds to a request, the
// limiter's own work included, and what a refusal costs.
func BenchmarkGuards(b *testing.B) {
	answer := func(c *gin.Context) { c.Status(http.StatusNoContent) }
	wide, err := ratelimit.NewTokenBucket(ratelimit.Rate{Count: 1e9, Per: time.Second})
	require.NoError(b, err)
	shut, err := rules.New([]rules.Rule{{Name: "all", Blocked: true}})
	require.NoError(b, err)
	running, err := concurrency.New(100)
	require.NoError(b, err)
	breaker, err := circuitbreaker.New(circuitbreaker.Config{Name: "b"})
	require.NoError(b, err)
	group, err := circuitbreaker.NewGroup(100, circuitbreaker.Config{Name: "g"})
	require.NoError(b, err)
	for _, m := range []struct {
		name string
		h    []gin.HandlerFunc
	}{
		{"bare", nil},
		{"key-by-ip", []gin.HandlerFunc{func(c *gin.Context) { ginx.ByIP()(c) }}},
		{"rate-limit-by-ip", []gin.HandlerFunc{ginx.RateLimit(wide, ginx.ByIP())}},
		{"rate-limit-by-route-without-headers", []gin.HandlerFunc{ginx.RateLimit(wide, ginx.ByRoute(), ginx.WithoutRateHeaders())}},
		{"rate-limit-refusal", []gin.HandlerFunc{ginx.RateLimitRules(shut, ginx.SubjectOf)}},
		{"concurrency-by-route", []gin.HandlerFunc{ginx.Concurrency(running, ginx.ByRoute())}},
		{"breaker", []gin.HandlerFunc{ginx.Breaker(breaker)}},
		{"breaker-per-route", []gin.HandlerFunc{ginx.BreakerPerRoute(group)}},
	} {
		b.Run(m.name, func(b *testing.B) { run(b, engine(append(m.h, answer)...)) })
	}
}
