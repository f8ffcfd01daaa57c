package ginx_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

// asked is a limiter that admits all and remembers the keys.
type asked struct{ keys []string }

func (a *asked) Take(_ context.Context, key string, _ int64) (ratelimit.Decision, error) {
	a.keys = append(a.keys, key)
	return ratelimit.Decision{Allowed: true, Limit: 1}, nil
}

func TestClientsCanNotChooseTheirAddress(t *testing.T) {
	lie := map[string][]string{
		"X-Forwarded-For": {"203.0.113.66"}, "X-Real-Ip": {"203.0.113.66"}, "Forwarded": {"for=203.0.113.66"},
		"Cf-Connecting-Ip": {"203.0.113.66"}, "True-Client-Ip": {"203.0.113.66"}, "X-Client-Ip": {"203.0.113.66"},
		"X-Appengine-Remote-Addr": {"203.0.113.66"}, "Client-Ip": {"203.0.113.66"},
	}
	for name, c := range map[string]struct {
		proxies []string
		remote  string
		header  map[string][]string
		want    string
	}{
		"no proxies":                      {nil, "198.51.100.7:1", lie, "ip:198.51.100.7"},
		"not from the proxy":              {[]string{"10.0.0.0/8"}, "198.51.100.7:1", lie, "ip:198.51.100.7"},
		"the proxy appends":               {[]string{"10.0.0.0/8"}, "10.1.1.1:1", map[string][]string{"X-Forwarded-For": {"203.0.113.66, 198.51.100.7"}}, "ip:198.51.100.7"},
		"the proxy adds a line":           {[]string{"10.0.0.0/8"}, "10.1.1.1:1", map[string][]string{"X-Forwarded-For": {"203.0.113.66", "198.51.100.7"}}, "ip:198.51.100.7"},
		"two proxies":                     {[]string{"10.0.0.0/8"}, "10.1.1.1:1", map[string][]string{"X-Forwarded-For": {"203.0.113.66, 198.51.100.7, 10.2.2.2"}}, "ip:198.51.100.7"},
		"rubbish before the address":      {[]string{"10.0.0.0/8"}, "10.1.1.1:1", map[string][]string{"X-Forwarded-For": {"<script>, 198.51.100.7"}}, "ip:198.51.100.7"},
		"an address of the proxy's own":   {[]string{"10.0.0.0/8"}, "10.1.1.1:1", map[string][]string{"X-Forwarded-For": {"10.66.66.66, 198.51.100.7"}}, "ip:198.51.100.7"},
		"mapped, to look like another":    {[]string{"10.0.0.0/8"}, "10.1.1.1:1", map[string][]string{"X-Forwarded-For": {"::ffff:198.51.100.7"}}, "ip:198.51.100.7"},
		"translated, to look like many":   {nil, "[64:ff9b::c633:6407]:1", nil, "ip:198.51.100.7"},
		"not translated, but a neighbour": {nil, "[64:ff9b:1::c633:6407]:1", nil, "ip:64:ff9b:1::/64"},
	} {
		r := gin.New()
		require.NoError(t, r.SetTrustedProxies(c.proxies))
		var got string
		var subject rules.Subject
		r.GET("/", func(c *gin.Context) { got, subject = ginx.ByIP()(c), ginx.SubjectOf(c) })
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.RemoteAddr, req.Header = c.remote, c.header
		do(r, req)
		require.Equal(t, c.want, got, name)
		require.True(t, subject.IP.IsValid(), name)
	}
}

func TestLongKeysAreCutDownAndStayDifferent(t *testing.T) {
	l := &asked{}
	tenant := ginx.By("tenant", func(c *gin.Context) string { return c.GetHeader("X-Tenant") })
	r := newLimited(t, ginx.RateLimit(l, tenant))
	ask := func(value string) string {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("X-Tenant", value)
		require.Equal(t, http.StatusOK, do(r, req).Code)
		return l.keys[len(l.keys)-1]
	}
	short := strings.Repeat("a", 256-len("tenant:"))
	require.Equal(t, "tenant:"+short, ask(short))
	long := strings.Repeat("a", 1<<20)
	require.LessOrEqual(t, len(ask(long)), 256)
	require.Equal(t, ask(long), ask(long))
	require.NotEqual(t, ask(long), ask(long+"a"), "they differ in the end only")
	require.NotEqual(t, ask(long), ask(ask(long)), "a digest as a value is another key")
}

// TestNoSpellingOfAPathEscapes asks for the guarded route in ways that routers, proxies
// and file systems take for the same, while /health is skipped. Whatever gin makes of
// them, no handler of the guarded route may run uncounted.
func TestNoSpellingOfAPathEscapes(t *testing.T) {
	spellings := []string{
		"/secret", "/secret/", "//secret", "/./secret", "/health/../secret", "/health/%2e%2e/secret", "/health%2f..%2fsecret",
		"/SECRET", "/Secret", "/%73ecret", "/secret%00", "/secret%20", "/secret;/health", "/secret?/health", "/secret#/health",
		"/health//secret", "/secret//", `/health\..\secret`, "/secret/.", "/secret/..;/secret", "/health/secret",
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, "get", "BREW"} {
		for bits := range 1 << 5 {
			l, ran := &asked{}, 0
			r := gin.New()
			r.RedirectTrailingSlash, r.RedirectFixedPath = bits&1 > 0, bits&2 > 0
			r.UseRawPath, r.RemoveExtraSlash = bits&4 > 0, bits&8 > 0
			r.HandleMethodNotAllowed = bits&16 > 0
			require.NoError(t, r.SetTrustedProxies(nil))
			r.Use(ginx.RateLimit(l, ginx.ByIP(), ginx.WithSkipRoutes("/health", "")))
			secret := func(*gin.Context) { ran++ }
			r.Any("/secret", secret)
			r.Any("/SECRET", secret)
			r.NoRoute(secret)
			r.NoMethod(secret)
			r.GET("/health", func(*gin.Context) {})
			for _, target := range spellings {
				req := httptest.NewRequest(http.MethodGet, "/", nil)
				req.Method, req.RequestURI = method, target
				u, err := url.ParseRequestURI(target)
				if err != nil {
					continue // net/http answers 400
				}
				req.URL = u
				before := len(l.keys)
				ran = 0
				do(r, req)
				require.Equal(t, ran, len(l.keys)-before, "%s %s, settings %05b", method, target, bits)
			}
			get(r, "/health")
			require.NotContains(t, l.keys[len(l.keys)-1:], "", "health was skipped")
		}
	}
}

func TestARetryAfterThatIsForEverStaysLong(t *testing.T) {
	d := ratelimit.Decision{RetryAfter: math.MaxInt64, Limit: 1}
	w := get(newLimited(t, ginx.RateLimit(says{d: d}, ginx.ByIP())), "/")
	require.Equal(t, "9223372037", w.Header().Get("Retry-After"))
	d.RetryAfter = -time.Second
	w = get(newLimited(t, ginx.RateLimit(says{d: d}, ginx.ByIP())), "/")
	require.Equal(t, "1", w.Header().Get("Retry-After"))
}

func TestANilOptionOrKeyIsLoud(t *testing.T) {
	nobody := ginx.By("x", nil)
	for name, h := range map[string]gin.HandlerFunc{
		"option":   ginx.RateLimit(&asked{}, ginx.ByIP(), nil),
		"by":       ginx.RateLimit(&asked{}, nobody),
		"join":     ginx.RateLimit(&asked{}, ginx.Join(ginx.ByIP(), nobody)),
		"first of": ginx.RateLimit(&asked{}, ginx.FirstOf(ginx.ByUser(), nil)),
	} {
		log, lines := newLog()
		r := newLimited(t, ginx.AccessLog(log), h)
		require.Equal(t, http.StatusInternalServerError, get(r, "/").Code, name)
		require.Contains(t, lines.only(t).text("error"), "nil", name)
		require.Zero(t, r.ran, name)
	}
}

// breaks are functions of the user's that do not return.
var breaks = map[string]func(){
	"panic":  func() { panic("boom") },
	"abort":  func() { panic(http.ErrAbortHandler) },
	"goexit": runtime.Goexit,
}

// TestWhatTheUserPutsInMayBreak lets each function and collaborator of a guard break:
// no handler runs, and what stands further out gets its tickets back.
func TestWhatTheUserPutsInMayBreak(t *testing.T) {
	for how, brk := range breaks {
		for name, h := range map[string]gin.HandlerFunc{
			"key":      ginx.RateLimit(&asked{}, func(*gin.Context) string { brk(); return "" }),
			"skip":     ginx.RateLimit(&asked{}, ginx.ByIP(), ginx.WithSkip(func(*gin.Context) bool { brk(); return true })),
			"limiter":  ginx.RateLimit(breaking{brk}, ginx.ByIP()),
			"refusal":  ginx.RateLimit(says{}, ginx.ByIP(), ginx.WithRefusal(func(*gin.Context, error) { brk() })),
			"acquirer": ginx.Concurrency(breaking{brk}, ginx.ByIP()),
			"gate":     ginx.Breaker(breaking{brk}),
		} {
			l, err := concurrency.New(1)
			require.NoError(t, err)
			breaker := newBreaker(t, 1)
			require.NoError(t, breaker.SetMode(circuitbreaker.ForcedOpen))
			require.NoError(t, breaker.SetMode(circuitbreaker.Automatic))
			r := newLimited(t, ginx.Breaker(breaker), ginx.Concurrency(l, ginx.ByIP()), h)
			serve(r, nil)
			require.Zero(t, r.ran, name+" "+how)
			require.Zero(t, l.Snapshot().InFlight, name+" "+how)
			require.Zero(t, breaker.Snapshot().ProbesInFlight, name+" "+how)
		}
	}
}

type breaking struct{ f func() }

func (b breaking) Take(context.Context, string, int64) (d ratelimit.Decision, err error) {
	b.f()
	return d, nil
}
func (b breaking) Acquire(context.Context, string) (t concurrency.Ticket, err error) {
	b.f()
	return t, nil
}
func (b breaking) Allow() (t circuitbreaker.Ticket, err error) { b.f(); return t, nil }

func TestARefusalAfterTheAnswerBeganWritesNothing(t *testing.T) {
	early := func(c *gin.Context) { c.String(http.StatusOK, "early") }
	for name, opts := range map[string][]ginx.GuardOption{
		"usual":                     nil,
		"stand-in":                  {ginx.WithDefaultResult(ginx.Result{Data: "late"})},
		"own, which writes nothing": {ginx.WithRefusal(func(*gin.Context, error) {})},
	} {
		r := newLimited(t, early, ginx.RateLimit(says{}, ginx.ByIP(), opts...))
		w := get(r, "/")
		require.Equal(t, "early", w.Body.String(), name)
		require.Zero(t, r.ran, name)
	}
}

func TestAnOwnRefusalWritesOnce(t *testing.T) {
	twice := ginx.WithRefusal(func(c *gin.Context, err error) {
		ginx.Abort(c, err)
		c.Next() // runs nothing: the chain is aborted
	})
	r := newLimited(t, ginx.RateLimit(says{}, ginx.ByIP(), twice))
	w := get(r, "/")
	require.Equal(t, reply{Code: 5, Msg: "service unavailable", Data: []byte("null")}, parse(t, w))
	require.Zero(t, r.ran)
}

// refusals are ways for a request to be turned away behind a guard.
func refusals(t *testing.T) map[string]gin.HandlerFunc {
	inner := newBreaker(t, 1)
	require.NoError(t, inner.SetMode(circuitbreaker.ForcedOpen))
	_, open := inner.Allow()
	limited := error(&ratelimit.LimitedError{})
	full, err := concurrency.New(1)
	require.NoError(t, err)
	_, err = full.Acquire(t.Context(), "all")
	require.NoError(t, err)
	all := func(*gin.Context) string { return "all" }
	standIn := ginx.WithDefaultResult(ginx.Result{Data: "stand-in"})
	answers := func(err error) gin.HandlerFunc {
		return ginx.Wrap(func(context.Context) (ginx.Result, error) { return ginx.Result{}, err })
	}
	return map[string]gin.HandlerFunc{
		"limit":                    ginx.RateLimit(says{}, ginx.ByIP()),
		"limit with a stand-in":    ginx.RateLimit(says{}, ginx.ByIP(), standIn),
		"limiter that fails":       ginx.RateLimit(says{err: errAway}, ginx.ByIP(), ginx.WithFailClosed()),
		"breaker":                  ginx.Breaker(inner),
		"breaker with a stand-in":  ginx.Breaker(inner, standIn),
		"concurrency":              ginx.Concurrency(full, all),
		"breaker deep down":        answers(fmt.Errorf("pay: %w", open)),
		"limit deep down":          answers(fmt.Errorf("pay: %w", limited)),
		"bare limit deep down":     answers(fmt.Errorf("pay: %w", ratelimit.ErrLimited)),
		"another package's":        answers(fmt.Errorf("pay: %w", refusedError{true})),
		"deep down, as we say it":  answers(ginx.NewError(503001, "later").WithStatus(503).WithCause(open)),
		"deep down, in gin's list": func(c *gin.Context) { _ = c.AbortWithError(http.StatusInternalServerError, open) },
	}
}

// refusedError is the refusal of a package that knows nothing of others.
type refusedError struct{ refused bool }

func (refusedError) Error() string   { return "refused" }
func (r refusedError) Refused() bool { return r.refused }

func TestRefusalsFurtherInAreNoFailures(t *testing.T) {
	for name, h := range refusals(t) {
		for _, logged := range []bool{false, true} {
			breaker := newBreaker(t, 1)
			chain := []gin.HandlerFunc{ginx.Breaker(breaker), h}
			if logged {
				log, _ := newLog()
				chain = append([]gin.HandlerFunc{ginx.AccessLog(log)}, chain...)
			}
			r := gin.New()
			r.GET("/", chain...)
			get(r, "/")
			require.Equal(t, circuitbreaker.Closed, breaker.State(), name)
		}
	}
	_, open := func() (circuitbreaker.Ticket, error) {
		b := newBreaker(t, 1)
		require.NoError(t, b.SetMode(circuitbreaker.ForcedOpen))
		return b.Allow()
	}()
	for name, h := range map[string]gin.HandlerFunc{
		"only in part": ginx.Wrap(func(context.Context) (ginx.Result, error) {
			return ginx.Result{}, fmt.Errorf("%w: %w", refusedError{false}, open)
		}),
		"the handler's own, after the limiter's store was let pass": func(c *gin.Context) {
			ginx.RateLimit(says{err: open}, ginx.ByIP())(c)
			c.Status(http.StatusInternalServerError)
		},
	} {
		breaker := newBreaker(t, 1)
		r := gin.New()
		r.GET("/", ginx.Breaker(breaker), h)
		get(r, "/")
		require.Equal(t, circuitbreaker.Open, breaker.State(), name)
	}
}

func TestAdaptiveLimitsLearnNothingFromRefusalsAndStreams(t *testing.T) {
	cases := refusals(t)
	cases["event stream"] = ginx.WrapStream(func(_ context.Context, _ struct{}, s *ginx.Stream) error {
		return s.Send(ginx.Event{Data: "tick"})
	})
	cases["hijacked"] = func(c *gin.Context) { hijack(c) }
	for name, h := range cases {
		l := &learner{}
		r := gin.New()
		done := make(chan struct{})
		end := func(c *gin.Context) {
			defer close(done) // no server waits for a connection that was hijacked
			c.Next()
		}
		r.GET("/", end, ginx.Concurrency(l, ginx.ByIP()), h)
		server := httptest.NewServer(r)
		resp, err := server.Client().Get(server.URL)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			require.NoError(t, resp.Body.Close())
		}
		<-done
		server.Close()
		require.Equal(t, []concurrency.Verdict{concurrency.Ignored}, l.verdicts, name)
	}
}

func TestRefusalsFurtherInAnswer503(t *testing.T) {
	for _, err := range []error{ratelimit.ErrLimited, &ratelimit.LimitedError{}, circuitbreaker.ErrOpen, refusedError{true}} {
		r := gin.New()
		r.GET("/", ginx.Wrap(func(context.Context) (ginx.Result, error) { return ginx.Result{}, fmt.Errorf("pay: %w", err) }))
		w := get(r, "/")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, reply{Code: 5, Msg: "service unavailable", Data: []byte("null")}, parse(t, w))
	}
}

// TestAClientThatLeavesMidwayKeepsNothing lets the client of a real connection hang up
// while the answer is being written.
func TestAClientThatLeavesMidwayKeepsNothing(t *testing.T) {
	l, err := concurrency.New(1)
	require.NoError(t, err)
	learn := &learner{}
	breaker := newBreaker(t, 1)
	ended := make(chan error, 1)
	r := gin.New()
	r.Use(ginx.Recovery())
	r.GET("/", ginx.Breaker(breaker), ginx.Concurrency(l, ginx.ByIP()), ginx.Concurrency(learn, ginx.ByIP()), func(c *gin.Context) {
		chunk := []byte(strings.Repeat("x", 1<<16))
		for {
			if _, err := c.Writer.Write(chunk); err != nil {
				ended <- err
				c.Status(http.StatusInternalServerError) // too late for anybody
				return
			}
			c.Writer.Flush()
		}
	})
	server := httptest.NewServer(r)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	_, err = bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Error(t, <-ended)
	server.Close()
	require.Zero(t, l.Snapshot().InFlight)
	require.Equal(t, []concurrency.Verdict{concurrency.Ignored}, learn.verdicts)
	require.Equal(t, circuitbreaker.Closed, breaker.State())
}

// TestAWebSocketHoldsItsTicketWhileItsHandlerRuns upgrades a real connection.
func TestAWebSocketHoldsItsTicketWhileItsHandlerRuns(t *testing.T) {
	l, err := concurrency.New(1)
	require.NoError(t, err)
	breaker := newBreaker(t, 1)
	r := gin.New()
	r.GET("/", ginx.Breaker(breaker), ginx.Concurrency(l, ginx.ByIP()), func(c *gin.Context) {
		conn, rw, err := c.Writer.Hijack()
		if err != nil {
			c.Status(http.StatusInternalServerError)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		_, _ = rw.ReadString('\n') // until the client says goodbye
	})
	server := httptest.NewServer(r)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	require.NoError(t, err)
	status, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, status, "101")
	require.EqualValues(t, 1, l.Snapshot().InFlight)
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	_, err = io.WriteString(conn, "goodbye\n")
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, conn)
	require.Eventually(t, func() bool { return l.Snapshot().InFlight == 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, circuitbreaker.Closed, breaker.State(), "neither is a failure")
	server.Close()
}

func TestEveryMethodIsGuarded(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodTrace} {
		ran := 0
		r := gin.New()
		require.NoError(t, r.SetTrustedProxies(nil))
		r.Use(ginx.RateLimit(says{d: ratelimit.Decision{RetryAfter: time.Second, Limit: 1}}, ginx.ByIP()))
		r.Handle(method, "/", func(*gin.Context) { ran++ })
		w := do(r, httptest.NewRequest(method, "/", nil))
		require.Equal(t, http.StatusTooManyRequests, w.Code, method)
		require.NotEmpty(t, w.Header().Get("Retry-After"), method)
		require.Zero(t, ran, method)
	}
}

func TestSubjectsWithoutAnAddressNeedARuleForAll(t *testing.T) {
	perIP := rules.Rule{Name: "address", Per: []rules.Field{rules.IP}, Rate: ratelimit.PerHour(1)}
	all := rules.Rule{Name: "rest", Rate: ratelimit.PerHour(1)}
	for codes, set := range map[[2]int][]rules.Rule{{200, 200}: {perIP}, {200, 429}: {perIP, all}} {
		s, err := rules.New(set)
		require.NoError(t, err)
		r := newLimited(t, ginx.RateLimitRules(s, ginx.SubjectOf))
		ask := func() int {
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.RemoteAddr = "@"
			return do(r, req).Code
		}
		require.Equal(t, codes, [2]int{ask(), ask()})
	}
}

// A brute-force attack is turned away before anybody looks at a password, for the
// limit by address stands in front of the login.
func TestALimitBeforeTheLoginSparesTheLogin(t *testing.T) {
	var now time.Duration
	logins := 0
	login := func(c *gin.Context) {
		logins++
		ginx.Abort(c, ginx.NewError(401001, "wrong password").WithStatus(http.StatusUnauthorized))
	}
	r := newLimited(t, ginx.RateLimit(bucket(t, ratelimit.PerMinute(3), 3, &now), ginx.ByIP()), login)
	for range 100 {
		post(r, "/", `{}`)
	}
	require.Equal(t, 3, logins)
}
