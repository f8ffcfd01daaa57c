package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/console"
	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

var requests = observe.Kind{
	Component: "http_server", Action: "request", Role: observe.Server,
	StartLabels: []string{"method", "route"}, EndLabels: []string{"status", "code"},
}

type core struct{}

func (core) Enabled(logger.Level) bool          { return true }
func (c core) With([]logger.Field) logger.Core  { return c }
func (core) Write(logger.Entry, []logger.Field) {}

func request(rates *console.Rates, route, status string) {
	_, end := rates.Start(context.Background(), observe.Operation{Kind: &requests, Values: observe.Values{"GET", route}})
	end(observe.Result{Values: observe.Values{status}})
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func newPage(build console.Build, monitor *health.Monitor, rates *console.Rates, recent *console.Recent) (*console.Console, error) {
	return console.New(console.Sources{
		Build: build, Health: monitor, Rates: rates, Recent: recent, Breakers: &console.Breakers{},
	}, logger.Secret{}, logger.Logger{})
}

func TestThePageShowsWhatIs(t *testing.T) {
	rates, recent := console.NewRates(), &console.Recent{}
	monitor := health.New(logger.Logger{},
		health.Component{Name: "redis", Detail: "at 10.0.0.1:6379", Ping: func(context.Context) error { return errors.New("refused <here>") }},
		health.Component{Name: "sql", Ping: func(context.Context) error { return nil }})
	monitor.Check(t.Context())
	request(rates, "/users/:id", "2xx")
	log := logger.New(recent.Wrap(core{})).With(logger.String("svc", "webook"))
	log.Error("request failed", logger.String("route", "/<script>"), logger.Err(errors.New("no rows")))
	log.Warn("only a warning")
	page, err := newPage(console.Build{Version: "v1.2.3", Revision: "abc"}, monitor, rates, recent)
	require.NoError(t, err)

	w := get(t, page, "/console")
	require.Equal(t, http.StatusOK, w.Code)
	body := w.Body.String()
	for _, want := range []string{
		"v1.2.3", "abc", "1 down", "redis", "at 10.0.0.1:6379", "refused &lt;here&gt;", "GET /users/:id",
		"request failed", "svc=webook", "route=/&lt;script&gt;", "error=no rows",
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "only a warning")
	require.NotContains(t, body, "<script>")
	require.Contains(t, get(t, page, "/console/live").Body.String(), "GET /users/:id")
}

func TestThePageRunsOnlyItsOwnScript(t *testing.T) {
	page, err := newPage(console.Build{}, health.New(logger.Logger{}), console.NewRates(), &console.Recent{})
	require.NoError(t, err)
	for _, path := range []string{"/console", "/console/live", "/console/style.css", "/console/live.js"} {
		w := get(t, page, path)
		require.Equal(t, http.StatusOK, w.Code, path)
		policy := w.Header().Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'")
		require.NotContains(t, policy, "unsafe")
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		body := strings.ToLower(w.Body.String())
		require.NotContains(t, body, " onclick=")
		require.NotContains(t, body, " style=")
	}
}

func TestThePageOnlyReads(t *testing.T) {
	page, err := newPage(console.Build{}, health.New(logger.Logger{}), console.NewRates(), &console.Recent{})
	require.NoError(t, err)
	for _, path := range []string{"/console/console.go", "/console/page.html", "/console/x", "/console/../console.go"} {
		require.NotEqual(t, http.StatusOK, get(t, page, path).Code, path)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest(method, "/console", nil))
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	}
}

func TestRatesForgetAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rates := console.NewRates()
		for range 3 {
			request(rates, "/a", "2xx")
		}
		request(rates, "/b", "4xx")
		request(rates, "/b", "5xx")
		time.Sleep(time.Second)
		request(rates, "/b", "2xx")
		routes := rates.Routes(time.Now())
		require.Len(t, routes, 2)
		require.Equal(t, "GET /a", routes[0].Route)
		require.EqualValues(t, 3, routes[1].Requests)
		require.EqualValues(t, 1, routes[1].ClientErrors)
		require.EqualValues(t, 1, routes[1].ServerErrors)

		time.Sleep(time.Second)
		seconds, sum := rates.Seconds(time.Now())
		require.EqualValues(t, 6, sum.Requests)
		require.EqualValues(t, 5, seconds[58])
		require.EqualValues(t, 1, seconds[59])

		time.Sleep(58 * time.Second)
		require.Len(t, rates.Routes(time.Now()), 1, "/a is a minute old")
		time.Sleep(time.Second)
		require.Empty(t, rates.Routes(time.Now()))
		time.Sleep(3 * time.Second) // 64 s after the first requests their slot comes round again
		request(rates, "/a", "2xx")
		require.Len(t, rates.Routes(time.Now()), 1)
		require.EqualValues(t, 1, rates.Routes(time.Now())[0].Requests, "an old slot is emptied before it is used again")
	})
}

func TestRatesRememberDurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rates := console.NewRates()
		for _, d := range []time.Duration{10 * time.Millisecond, 30 * time.Millisecond} {
			_, end := rates.Start(t.Context(), observe.Operation{Kind: &requests, Values: observe.Values{"GET", "/a"}})
			time.Sleep(d)
			end(observe.Result{})
		}
		a := rates.Routes(time.Now())[0]
		require.Equal(t, 20*time.Millisecond, a.Mean())
		require.Equal(t, 30*time.Millisecond, a.Slowest)
	})
}

func TestABusinessFailureCountsByItsCode(t *testing.T) {
	rates := console.NewRates()
	for _, code := range []string{"0", "401003", "501001", ""} {
		_, end := rates.Start(t.Context(), observe.Operation{Kind: &requests, Values: observe.Values{"POST", "/a"}})
		end(observe.Result{Values: observe.Values{"2xx", code}})
	}
	_, end := rates.Start(t.Context(), observe.Operation{Kind: &requests, Values: observe.Values{"other", "unmatched"}})
	end(observe.Result{Values: observe.Values{"4xx", "4"}})
	routes := rates.Routes(time.Now())
	require.EqualValues(t, 4, routes[0].Requests)
	require.EqualValues(t, 1, routes[0].ClientErrors)
	require.EqualValues(t, 1, routes[0].ServerErrors)
	require.Equal(t, "no such route", routes[1].Route)
	require.EqualValues(t, 1, routes[1].ClientErrors)
}

func TestRatesIgnoreWhatIsNoRequest(t *testing.T) {
	rates := console.NewRates()
	query := observe.Kind{Component: "sql", Action: "query", Role: observe.Client}
	_, end := rates.Start(t.Context(), observe.Operation{Kind: &query})
	end(observe.Result{})
	require.Empty(t, rates.Routes(time.Now()))
}

func TestRatesHoldABoundedNumberOfRoutes(t *testing.T) {
	rates := console.NewRates()
	for i := range 1000 {
		request(rates, fmt.Sprintf("/%d", i), "2xx")
	}
	require.LessOrEqual(t, len(rates.Routes(time.Now())), 201)
	_, sum := rates.Seconds(time.Now())
	require.EqualValues(t, 1000, sum.Requests)
}

func TestOnlyTheLastErrorsAreKept(t *testing.T) {
	recent := &console.Recent{}
	log := logger.New(recent.Wrap(core{}))
	for i := range 120 {
		log.Error("failed", logger.Int("i", i), logger.String("text", strings.Repeat("界", 1000)))
	}
	problems := recent.Problems()
	require.Len(t, problems, 50)
	require.True(t, strings.HasPrefix(problems[0].Detail, "i=119"))
	require.True(t, strings.HasPrefix(problems[49].Detail, "i=70"))
	require.Less(t, len(problems[0].Detail), 410)
	require.True(t, strings.HasSuffix(problems[0].Detail, "…"))
}

func TestNilErrorsAndOddFieldsDoNotBreakTheLog(t *testing.T) {
	recent := &console.Recent{}
	log := logger.New(recent.Wrap(core{}))
	log.Error("odd", logger.Err(nil), logger.Any("any", make(chan int)), logger.Group("g", logger.Int("x", 1)),
		logger.Duration("took", time.Second), logger.Uint64("n", 1<<63))
	require.Equal(t, "took=1s  n=9223372036854775808", recent.Problems()[0].Detail)
}
