package ginx_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/observe/prom"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// counter is an Observer that counts operations by their labels, as a metrics
// backend does.
type counter struct {
	mu       sync.Mutex
	inFlight int
	series   map[[2]observe.Values]int
}

func (o *counter) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inFlight++
	return ctx, func(r observe.Result) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.inFlight--
		if o.series == nil {
			o.series = make(map[[2]observe.Values]int)
		}
		o.series[[2]observe.Values{op.Values, r.Values}]++
	}
}

func TestObserveReportsEachRequest(t *testing.T) {
	rec := observetest.NewRecorder(t)
	r := gin.New()
	r.Use(ginx.Observe(rec), ginx.Recovery())
	cause := errors.New("why")
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, tc := range []struct {
		name    string
		h       gin.HandlerFunc
		status  string
		code    string
		outcome observe.Outcome
	}{
		{"fine", wrap(ginx.Result{}, nil), "2xx", "0", observe.OK},
		{"business", wrap(ginx.Result{}, ginx.NewError(401003, "x").WithCause(cause)), "2xx", "401003", observe.OK},
		{"system", wrap(ginx.Result{}, ginx.NewError(501001, "x").WithCause(cause)), "2xx", "501001", observe.Failed},
		{"unknown", wrap(ginx.Result{}, cause), "5xx", "5", observe.Failed},
		{"limited", wrap(ginx.Result{}, ginx.NewError(4, "x").WithStatus(429)), "4xx", "4", observe.Rejected},
		{"timeout", wrap(ginx.Result{}, context.DeadlineExceeded), "5xx", "5", observe.Timeout},
		{"gone", wrap(ginx.Result{}, context.Canceled), "4xx", "4", observe.Canceled},
		{"untyped", func(c *gin.Context) { c.Status(302) }, "3xx", "", observe.OK},
		{"panic", func(*gin.Context) { panic("x") }, "5xx", "5", observe.Panicked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec.Reset()
			r.GET("/"+tc.name+"/:id", tc.h)
			req := httptest.NewRequest(http.MethodGet, "/"+tc.name+"/17", nil)
			if tc.name == "gone" {
				req = req.WithContext(gone)
			}
			do(r, req)
			got := rec.Only("http_server", "request")
			require.Equal(t, "GET", got.Label("method"))
			require.Equal(t, "/"+tc.name+"/:id", got.Label("route"))
			require.Equal(t, tc.status, got.Label("status"))
			require.Equal(t, tc.code, got.Label("code"))
			require.Equal(t, tc.outcome, got.Outcome)
			if tc.outcome == observe.Failed {
				require.ErrorIs(t, got.Err, cause)
			}
		})
	}
}

func TestExactStatusIsAnOption(t *testing.T) {
	rec := observetest.NewRecorder(t)
	r := gin.New()
	r.Use(ginx.Observe(rec, ginx.WithExactStatus()))
	get(r, "/missing")
	require.Equal(t, "404", rec.Only("http_server", "request").Label("status"))
}

func TestMethodsOfOurOwnAreOneLabel(t *testing.T) {
	rec := observetest.NewRecorder(t)
	r := gin.New()
	r.Use(ginx.Observe(rec))
	r.Handle("BREW", "/pot", wrap(ginx.Result{}, nil))
	r.PATCH("/pot", wrap(ginx.Result{}, nil))
	for _, method := range []string{"BREW", "PATCH"} {
		do(r, httptest.NewRequest(method, "/pot", nil))
	}
	ended := rec.Ended("http_server", "request")
	require.Equal(t, "other", ended[0].Label("method"))
	require.Equal(t, "PATCH", ended[1].Label("method"))
}

func TestPanickedErrorsKeepTheirCause(t *testing.T) {
	rec := observetest.NewRecorder(t)
	r := gin.New()
	r.Use(ginx.Observe(rec), ginx.Recovery())
	cause := errors.New("cause")
	r.GET("/", func(*gin.Context) { panic(cause) })
	get(r, "/")
	require.ErrorIs(t, rec.Only("http_server", "request").Err, cause)
}

func TestHandlersRunUnderTheObserversContext(t *testing.T) {
	rec := observetest.NewRecorder(t)
	inner := observe.Kind{Component: "test", Action: "inner", Help: "Work of a handler.", Form: observe.Instant}
	r := gin.New()
	r.Use(ginx.Observe(rec))
	r.GET("/", ginx.Wrap(func(ctx context.Context) (ginx.Result, error) {
		observe.Emit(ctx, rec, observe.Operation{Kind: &inner}, observe.Result{})
		return ginx.Result{}, nil
	}))
	get(r, "/")
	require.Equal(t, 0, rec.Only("test", "inner").Parent)
}

func TestClientsCanNotMakeSeries(t *testing.T) {
	const seed = 5
	random := rand.New(rand.NewPCG(seed, seed))
	o := &counter{}
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.NoRoute(ginx.NotFound())
	r.NoMethod(ginx.MethodNotAllowed())
	r.Use(ginx.Observe(o))
	r.POST("/known", wrap(ginx.Result{}, nil))
	methods := []string{"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"}
	total := sized(5000, 100_000)
	for i := range total {
		method := methods[random.IntN(len(methods))]
		if random.IntN(3) == 0 {
			method = fmt.Sprintf("M%d", random.Uint32())
		}
		req := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/%x/%d?q=%d", random.Uint64(), i, i), nil)
		req.Method = method
		if random.IntN(10) == 0 && method != "POST" {
			req.URL.Path = "/known"
		}
		do(r, req)
	}
	require.LessOrEqual(t, len(o.series), 2)
	sum := 0
	for _, n := range o.series {
		sum += n
	}
	require.Equal(t, total, sum)
}

func TestMetricsOfPrometheusStayFewAndTrue(t *testing.T) {
	registry := prometheus.NewRegistry()
	o, err := prom.New(registry, prom.Config{Namespace: "app"})
	require.NoError(t, err)
	r := gin.New()
	r.Use(ginx.Observe(o), ginx.Recovery())
	r.NoRoute(ginx.NotFound())
	r.GET("/users/:id", wrap(ginx.Result{}, nil))
	r.GET("/panic", func(*gin.Context) { panic("x") })
	for i := range 300 {
		get(r, fmt.Sprintf("/users/%d", i))
		get(r, fmt.Sprintf("/scan/%d.php", i))
	}
	get(r, "/panic")
	families, err := registry.Gather()
	require.NoError(t, err)
	seen := map[string]int{}
	for _, f := range families {
		seen[f.GetName()] = len(f.GetMetric())
		if f.GetName() == "app_http_server_request_in_flight" {
			for _, m := range f.GetMetric() {
				require.Zero(t, m.GetGauge().GetValue())
			}
		}
	}
	require.Equal(t, 3, seen["app_http_server_request_duration_seconds"])
	require.Equal(t, 3, seen["app_http_server_request_in_flight"])
}

func TestBusinessCodesStayFew(t *testing.T) {
	o := &counter{}
	r := gin.New()
	r.Use(ginx.Observe(o))
	code := 0
	r.GET("/", ginx.Wrap(func(context.Context) (ginx.Result, error) { return ginx.Result{Code: code}, nil }))
	for code = range 5000 {
		get(r, "/")
	}
	require.LessOrEqual(t, len(o.series), 300)
}

func TestInFlightReturnsToZero(t *testing.T) {
	o := &counter{}
	r := gin.New()
	r.Use(ginx.Observe(o))
	during := -1
	r.GET("/fine", func(*gin.Context) { during = o.inFlight })
	r.GET("/panic", func(*gin.Context) { panic("x") })
	r.GET("/abort", func(*gin.Context) { panic(http.ErrAbortHandler) })
	get(r, "/fine")
	require.Equal(t, 1, during)
	require.PanicsWithValue(t, "x", func() { get(r, "/panic") })
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { get(r, "/abort") })
	require.Zero(t, o.inFlight)
}

func TestHandlersThatEndTheirGoroutineAreCounted(t *testing.T) {
	rec := observetest.NewRecorder(t)
	log, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(log), ginx.Observe(rec), ginx.Recovery())
	r.GET("/", func(*gin.Context) { runtime.Goexit() })
	var wg sync.WaitGroup
	wg.Go(func() { get(r, "/") })
	wg.Wait()
	require.Equal(t, observe.Panicked, rec.Only("http_server", "request").Outcome)
	require.EqualValues(t, 500, lines.only(t).num("status"))
}

func TestObservingNobodyCostsNothing(t *testing.T) {
	for name, h := range map[string]gin.HandlerFunc{"nil": ginx.Observe(nil), "nop": ginx.Observe(observe.Nop())} {
		t.Run(name, func(t *testing.T) {
			c := &gin.Context{}
			require.Zero(t, testing.AllocsPerRun(100, func() { h(c) }))
		})
	}
}
