package ginx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/gin-gonic/gin"
)

// hello is a handler that always succeeds.
var hello = ginx.Wrap(func(context.Context) (ginx.Result, error) { return ginx.Result{Data: "hello"}, nil })

// ask sends a request and prints the status and some of the headers of its answer.
func ask(r http.Handler, method, path string, headers ...string) {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	fmt.Print(w.Code)
	for _, key := range headers {
		fmt.Printf(" %s: %s;", key, w.Header().Get(key))
	}
	fmt.Println()
}

func ExampleRateLimit() {
	limiter, err := ratelimit.NewFixedWindow(ratelimit.PerHour(2))
	if err != nil {
		panic(err)
	}
	r := gin.New()
	if err := r.SetTrustedProxies(nil); err != nil { // the clients come to us directly
		panic(err)
	}
	r.Use(ginx.RateLimit(limiter, ginx.ByIP(), ginx.WithPolicyName("per-address"), ginx.WithSkipRoutes("/health")))
	r.GET("/", hello)
	for range 3 {
		ask(r, "GET", "/", "RateLimit-Policy")
	}
	// Output:
	// 200 RateLimit-Policy: "per-address";q=2;w=3600;
	// 200 RateLimit-Policy: "per-address";q=2;w=3600;
	// 429 RateLimit-Policy: "per-address";q=2;w=3600;
}

func ExampleRateLimitRules() {
	set, err := rules.New([]rules.Rule{
		{Name: "login", Match: rules.Match{Method: "POST /login"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(1)},
		{Name: "default", Per: []rules.Field{rules.IP}, Rate: ratelimit.PerSecond(100)},
	})
	if err != nil {
		panic(err)
	}
	r := gin.New()
	r.Use(ginx.RateLimitRules(set, ginx.SubjectOf)) // set.Replace changes the limits of a running server
	r.GET("/", hello)
	r.POST("/login", hello)
	for range 2 {
		ask(r, "GET", "/")
		ask(r, "POST", "/login")
	}
	// Output:
	// 200
	// 200
	// 200
	// 429
}

func ExampleJoin() {
	perUserAndRoute := ginx.Join(ginx.FirstOf(ginx.ByUser(), ginx.ByIP()), ginx.ByRoute())
	r := gin.New()
	r.GET("/articles/:id", func(c *gin.Context) { fmt.Println(perUserAndRoute(c)) })
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/articles/7", nil))
	// Output: 12:ip:192.0.2.123:route:GET /articles/:id
}

func ExampleWithRefusal() {
	limiter, err := ratelimit.NewTokenBucket(ratelimit.PerHour(1))
	if err != nil {
		panic(err)
	}
	tooFast := ginx.NewError(429001, "you write faster than we can read").WithStatus(http.StatusTooManyRequests)
	r := gin.New()
	r.GET("/", ginx.RateLimit(limiter, ginx.ByIP(), ginx.WithRefusal(func(c *gin.Context, err error) {
		if limited, ok := errors.AsType[*ratelimit.LimitedError](err); ok {
			fmt.Println("at once:", limited.Decision.Limit)
		}
		ginx.Abort(c, tooFast.WithCause(err))
	})), hello)
	ask(r, "GET", "/")
	ask(r, "GET", "/")
	// Output:
	// 200
	// at once: 1
	// 429
}

func ExampleConcurrency() {
	limiter, err := concurrency.New(1)
	if err != nil {
		panic(err)
	}
	r := gin.New()
	r.Use(ginx.Concurrency(limiter, ginx.ByIP()))
	r.GET("/", hello)
	r.GET("/report", func(c *gin.Context) {
		ask(r, "GET", "/", "Retry-After") // while this one runs
		c.Status(http.StatusOK)
	})
	ask(r, "GET", "/report")
	// Output:
	// 503 Retry-After: 1;
	// 200
}

func ExampleBreaker() {
	breaker, err := circuitbreaker.New(circuitbreaker.Config{Name: "search", OpenFor: 10 * time.Second},
		circuitbreaker.WithDetector(detect.Consecutive(2)))
	if err != nil {
		panic(err)
	}
	r := gin.New()
	r.GET("/search", ginx.Breaker(breaker), ginx.Wrap(func(context.Context) (ginx.Result, error) {
		return ginx.Result{}, errors.New("connection refused")
	}))
	for range 3 {
		ask(r, "GET", "/search")
	}
	// Output:
	// 500
	// 500
	// 503
}

func ExampleBreakerPerRoute() {
	group, err := circuitbreaker.NewGroup(200, circuitbreaker.Config{Name: "routes"},
		circuitbreaker.WithDetector(detect.Consecutive(1)))
	if err != nil {
		panic(err)
	}
	r := gin.New()
	r.Use(ginx.BreakerPerRoute(group))
	r.GET("/", hello)
	r.GET("/search/:word", func(c *gin.Context) { c.Status(http.StatusBadGateway) })
	ask(r, "GET", "/search/a")
	ask(r, "GET", "/search/b")
	ask(r, "GET", "/")
	// Output:
	// 502
	// 503
	// 200
}
