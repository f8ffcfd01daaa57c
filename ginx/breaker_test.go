package ginx_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

// ending is a way for a request to end.
type ending struct {
	name string
	// h is behind the breaker, front before it.
	h, front gin.HandlerFunc
	ctx      context.Context
	want     circuitbreaker.Outcome
}

func endings(t *testing.T) []ending {
	answer := func(status int) gin.HandlerFunc { return func(c *gin.Context) { c.Status(status) } }
	wrapped := func(err error) gin.HandlerFunc {
		return ginx.Wrap(func(context.Context) (ginx.Result, error) { return ginx.Result{}, err })
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	hurried, stop := context.WithTimeout(t.Context(), time.Nanosecond)
	t.Cleanup(stop)
	<-hurried.Done()
	waits := func(c *gin.Context) { <-c.Request.Context().Done() }
	timeout, err := ginx.Timeout(40 * time.Millisecond)
	require.NoError(t, err)
	inner, err := circuitbreaker.New(circuitbreaker.Config{Name: "inner"})
	require.NoError(t, err)
	require.NoError(t, inner.SetMode(circuitbreaker.ForcedOpen))
	_, open := inner.Allow()
	denies := ginx.RateLimit(says{}, ginx.ByIP())
	const success, failure, neutral = circuitbreaker.Success, circuitbreaker.Failure, circuitbreaker.Neutral
	return []ending{
		{name: "200", h: answer(200), want: success},
		{name: "404", h: answer(404), want: success},
		{name: "429 of the handler", h: answer(429), want: success},
		{name: "business error", h: wrapped(ginx.NewError(501001, "no stock")), want: success},
		{name: "500", h: answer(500), want: failure},
		{name: "503", h: answer(503), want: failure},
		{name: "error", h: wrapped(errAway), want: failure},
		{name: "panic", h: func(*gin.Context) { panic("boom") }, want: failure},
		{name: "panic of a client that left", ctx: gone, h: func(*gin.Context) { panic("boom") }, want: failure},
		{name: "aborted", h: func(*gin.Context) { panic(http.ErrAbortHandler) }, want: failure},
		{name: "goexit", h: func(*gin.Context) { runtime.Goexit() }, want: failure},
		{name: "own timeout", front: timeout, h: waits, want: failure},
		{name: "own timeout with an answer", front: timeout, h: func(c *gin.Context) { waits(c); c.String(200, "") }, want: success},
		{name: "cancel further in", h: wrapped(context.Canceled), want: failure},
		{name: "left", ctx: gone, h: answer(200), want: neutral},
		{name: "left, and failed for it", ctx: gone, h: wrapped(context.Canceled), want: neutral},
		{name: "left in the middle", ctx: gone, h: func(c *gin.Context) { c.String(500, "half") }, want: neutral},
		{name: "left a proxy", ctx: gone, h: func(*gin.Context) { panic(http.ErrAbortHandler) }, want: neutral},
		{name: "no time", ctx: hurried, h: wrapped(context.DeadlineExceeded), want: neutral},
		{name: "no time, no answer", ctx: hurried, h: waits, want: neutral},
		{name: "limit further in", h: denies, want: neutral},
		{name: "limiter fails further in", h: ginx.RateLimit(says{err: errAway}, ginx.ByIP(), ginx.WithFailClosed()), want: neutral},
		{name: "breaker further in", h: ginx.Breaker(inner), want: neutral},
		{name: "breaker deep down", h: wrapped(open), want: neutral},
		{name: "limit deep down", h: wrapped(&ratelimit.LimitedError{}), want: neutral},
	}
}

// serve sends a request from a goroutine of its own, which the handler may end.
func serve(r http.Handler, ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		if ctx != nil {
			req = req.WithContext(ctx)
		}
		r.ServeHTTP(httptest.NewRecorder(), req)
	}()
	<-done
}

func TestEndingsCountAsWhatTheyTell(t *testing.T) {
	for i := range endings(t) {
		for _, with := range []string{"nothing", "log outside", "recovery inside"} {
			synctest.Test(t, func(t *testing.T) {
				e := endings(t)[i] // of the bubble's time
				why := e.name + " with " + with
				// Two failures in a row open it: an ending between two of them tells
				// whether it was a success, a failure or nothing.
				breaker := newBreaker(t, 2)
				var h gin.HandlerFunc
				chain := []gin.HandlerFunc{ginx.Breaker(breaker), func(c *gin.Context) { h(c) }}
				switch with {
				case "log outside":
					log, _ := newLog()
					chain = append([]gin.HandlerFunc{ginx.AccessLog(log), ginx.Recovery()}, chain...)
				case "recovery inside":
					chain = []gin.HandlerFunc{chain[0], ginx.Recovery(), chain[1]}
				}
				if e.front != nil {
					chain = append([]gin.HandlerFunc{e.front}, chain...)
				}
				r := gin.New()
				r.GET("/", chain...)
				fail := func(c *gin.Context) { c.Status(http.StatusInternalServerError) }

				h = e.h
				serve(r, e.ctx)
				h = fail
				serve(r, nil)
				require.Equal(t, e.want == circuitbreaker.Failure, breaker.State() == circuitbreaker.Open, "%s, as a failure", why)
				if e.want == circuitbreaker.Failure {
					return
				}
				h = e.h
				serve(r, e.ctx)
				h = fail
				serve(r, nil)
				require.Equal(t, e.want == circuitbreaker.Neutral, breaker.State() == circuitbreaker.Open, "%s, as nothing", why)
				require.Zero(t, breaker.Snapshot().Misused, why)
			})
		}
	}
}

func newBreaker(t *testing.T, failures int) *circuitbreaker.Breaker {
	t.Helper()
	b, err := circuitbreaker.New(circuitbreaker.Config{Name: "t", Probes: 1, ProbeSuccesses: 1, RampStart: 1},
		circuitbreaker.WithDetector(detect.Consecutive(failures)))
	require.NoError(t, err)
	return b
}

func TestAnOpenBreakerRefusesAndProbesWhenItSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker := newBreaker(t, 1)
		status := http.StatusInternalServerError
		ran := 0
		r := gin.New()
		r.GET("/", ginx.Breaker(breaker), func(c *gin.Context) { ran++; c.Status(status) })
		get(r, "/")
		require.Equal(t, circuitbreaker.Open, breaker.State())
		w := get(r, "/")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, reply{Code: 5, Msg: "service unavailable", Data: []byte("null")}, parse(t, w))
		after, err := strconv.Atoi(w.Header().Get("Retry-After"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, after, 30)
		for range 100 {
			get(r, "/") // refusals change nothing
		}
		require.Equal(t, 1, ran)
		require.EqualValues(t, 1, breaker.Snapshot().Trips)
		time.Sleep(time.Duration(after) * time.Second)
		status = http.StatusOK
		require.Equal(t, http.StatusOK, get(r, "/").Code)
		require.Equal(t, circuitbreaker.Closed, breaker.State())
	})
}

func TestAPanicGoesThroughTheBreaker(t *testing.T) {
	r := gin.New()
	r.GET("/", ginx.Breaker(newBreaker(t, 1)), func(*gin.Context) { panic("boom") })
	require.PanicsWithValue(t, "boom", func() { get(r, "/") })
}

func TestProbesEndHoweverTheirRequestEnds(t *testing.T) {
	for i := range endings(t) {
		synctest.Test(t, func(t *testing.T) {
			e := endings(t)[i]
			breaker := newBreaker(t, 1)
			_, _ = circuitbreaker.Do(t.Context(), breaker, func(context.Context) (int, error) { return 0, errAway })
			time.Sleep(breaker.Snapshot().OpenFor)
			r := gin.New()
			chain := []gin.HandlerFunc{ginx.Breaker(breaker), e.h}
			if e.front != nil {
				chain = append([]gin.HandlerFunc{e.front}, chain...)
			}
			r.GET("/", chain...)
			serve(r, e.ctx)
			require.Zero(t, breaker.Snapshot().ProbesInFlight, e.name)
		})
	}
}

func TestEachRouteHasABreakerOfItsOwn(t *testing.T) {
	group, err := circuitbreaker.NewGroup(3, circuitbreaker.Config{Name: "routes"}, circuitbreaker.WithDetector(detect.Consecutive(1)))
	require.NoError(t, err)
	fail := func(c *gin.Context) { c.Status(http.StatusInternalServerError) }
	r := gin.New()
	r.Use(ginx.BreakerPerRoute(group, ginx.WithSkipRoutes("/health")))
	r.GET("/articles/:id", fail)
	r.POST("/articles/:id", func(c *gin.Context) { c.Status(http.StatusOK) })
	r.GET("/health", fail)
	r.GET("/more", fail)
	get(r, "/articles/1")
	require.Equal(t, http.StatusServiceUnavailable, get(r, "/articles/2").Code, "one template")
	require.Equal(t, http.StatusOK, post(r, "/articles/1", `{}`).Code)
	for range 3 {
		require.Equal(t, http.StatusInternalServerError, get(r, "/health").Code)
	}
	for _, path := range []string{"/x", "/y", "/z"} {
		require.Equal(t, http.StatusNotFound, get(r, path).Code)
	}
	require.Equal(t, 3, group.Len(), "requests that match no route are one")

	full, err := circuitbreaker.NewGroup(1, circuitbreaker.Config{Name: "small"}, circuitbreaker.WithDetector(detect.Consecutive(1)))
	require.NoError(t, err)
	r = gin.New()
	log, lines := newLog()
	r.Use(ginx.AccessLog(log), ginx.BreakerPerRoute(full))
	r.GET("/a", fail)
	r.GET("/b", fail)
	get(r, "/a")
	for range 2 {
		require.Equal(t, http.StatusInternalServerError, get(r, "/b").Code, "no room, no breaker")
	}
	require.Contains(t, lines.all()[2].text("error"), "group is full")
}

func TestAThrottleAndAStandInServeABreakersPlace(t *testing.T) {
	breaker := newBreaker(t, 1)
	require.NoError(t, breaker.SetMode(circuitbreaker.ForcedOpen))
	r := newLimited(t, ginx.Breaker(breaker, ginx.WithDefaultResult(ginx.Result{Data: "yesterday's"})))
	require.JSONEq(t, `"yesterday's"`, string(parse(t, get(r, "/")).Data))
	require.Equal(t, "1", post(r, "/", `{}`).Header().Get("Retry-After"), "not known")
	require.Zero(t, r.ran)

	throttle, err := circuitbreaker.NewThrottle(circuitbreaker.ThrottleConfig{Name: "t"})
	require.NoError(t, err)
	r = newLimited(t, ginx.Breaker(throttle))
	require.Equal(t, http.StatusOK, get(r, "/").Code)
}
