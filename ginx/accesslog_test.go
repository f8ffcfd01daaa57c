package ginx_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

func TestAccessLogTellsWhatHappened(t *testing.T) {
	log, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(log, ginx.WithHeaders("User-Agent", "Authorization")))
	r.POST("/users/:id", func(c *gin.Context) {
		// As otelgin does: the span lives in the context of the handlers only.
		outer := c.Request
		c.Request = outer.WithContext(context.WithValue(outer.Context(), traceKey{}, "trace-1"))
		defer func() { c.Request = outer }()
		ginx.SetUser(c, "10086123")
		c.Next()
	}, ginx.WrapBody(func(context.Context, struct{}) (ginx.Result, error) {
		return ginx.Result{}, fmt.Errorf("save: %w", ginx.NewError(402001, "no such article").WithCause(errors.New("row 7")))
	}))
	req := jsonRequest("/users/9?token=abc", strings.NewReader(`{}`))
	req.Header.Set("User-Agent", "test/1")
	req.Header.Set("Authorization", "Bearer abcdefgh.secret.token")
	req.Header.Set("X-Other", "never")
	w := do(r, req)

	l := lines.only(t)
	require.Equal(t, "http request", l.Message)
	require.Equal(t, logger.LevelWarn, l.Level)
	require.Equal(t, "trace-1", l.TraceID)
	require.Equal(t, "POST", l.text("method"))
	require.Equal(t, "/users/:id", l.text("route"))
	require.Equal(t, "/users/9", l.text("path"))
	require.EqualValues(t, 200, l.num("status"))
	require.EqualValues(t, 402001, l.num("code"))
	require.Equal(t, "192.0.2.1", l.text("ip"))
	require.EqualValues(t, 2, l.num("request_bytes"))
	require.EqualValues(t, w.Body.Len(), l.num("response_bytes"))
	require.Equal(t, "save: no such article (code 402001): row 7", l.text("error"))
	require.Equal(t, "test/1", l.text("header.user-agent"))
	require.NotContains(t, l.text("header.authorization"), "secret")
	require.NotContains(t, l.text("user"), "10086123")
	require.NotEmpty(t, l.text("user"))
	require.False(t, l.has("header.x-other"))
	for key, f := range l.fields {
		require.NotContains(t, f.Text, "abc", key)
	}
	require.False(t, l.has("request_body"))
	require.False(t, l.has("response_body"))
}

func TestLevelsFollowWhoseMistakeItWas(t *testing.T) {
	log, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(log, ginx.WithQuietRoutes("/healthz")))
	answers := map[string]struct {
		level logger.Level
		h     gin.HandlerFunc
	}{
		"/ok":        {logger.LevelInfo, wrap(ginx.Result{}, nil)},
		"/healthz":   {logger.LevelDebug, wrap(ginx.Result{}, nil)},
		"/code":      {logger.LevelWarn, wrap(ginx.Result{Code: 401002}, nil)},
		"/business":  {logger.LevelWarn, wrap(ginx.Result{}, ginx.NewError(401002, "x"))},
		"/validate":  {logger.LevelWarn, wrap(ginx.Result{}, ginx.InvalidField("a", "b"))},
		"/limited":   {logger.LevelWarn, wrap(ginx.Result{}, ginx.NewError(4, "x").WithStatus(429))},
		"/system":    {logger.LevelError, wrap(ginx.Result{}, ginx.NewError(501001, "x"))},
		"/syscode":   {logger.LevelError, wrap(ginx.Result{Code: 5}, nil)},
		"/unknown":   {logger.LevelError, wrap(ginx.Result{}, errors.New("x"))},
		"/untyped":   {logger.LevelError, func(c *gin.Context) { c.Status(503) }},
		"/untyped4":  {logger.LevelWarn, func(c *gin.Context) { c.Status(403) }},
		"/ginerrors": {logger.LevelWarn, func(c *gin.Context) { _ = c.Error(errors.New("render: broken")) }},
	}
	for path, a := range answers {
		r.GET(path, a.h)
	}
	for path, a := range answers {
		get(r, path)
		all := lines.all()
		require.Equal(t, a.level, all[len(all)-1].Level, path)
	}
	require.Len(t, lines.all(), len(answers))
}

// A proxy ends that way when its client leaves in the middle of a download.
func TestClientThatLeftMidAnswerIsNoErrorOfOurs(t *testing.T) {
	log, lines := newLog()
	for _, left := range []bool{true, false} {
		ctx, leave := context.WithCancel(t.Context())
		r := gin.New()
		r.Use(ginx.AccessLog(log))
		r.GET("/", func(c *gin.Context) {
			c.String(http.StatusOK, "half")
			if left {
				leave()
			}
			panic(http.ErrAbortHandler)
		})
		require.Panics(t, func() { do(r, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)) })
		leave()
	}
	require.Equal(t, logger.LevelInfo, lines.all()[0].Level)
	require.Equal(t, logger.LevelError, lines.all()[1].Level, "the answer was cut by us")
}

func wrap(res ginx.Result, err error) gin.HandlerFunc {
	return ginx.Wrap(func(context.Context) (ginx.Result, error) { return res, err })
}

func TestFailuresLeaveOneLineWhicheverLogsAreInstalled(t *testing.T) {
	for name, install := range map[string]func(*gin.Engine, logger.Logger){
		"access":         func(r *gin.Engine, l logger.Logger) { r.Use(ginx.AccessLog(l)) },
		"error":          func(r *gin.Engine, l logger.Logger) { r.Use(ginx.ErrorLog(l)) },
		"access, error":  func(r *gin.Engine, l logger.Logger) { r.Use(ginx.AccessLog(l), ginx.ErrorLog(l)) },
		"error, access":  func(r *gin.Engine, l logger.Logger) { r.Use(ginx.ErrorLog(l), ginx.AccessLog(l)) },
		"access, access": func(r *gin.Engine, l logger.Logger) { r.Use(ginx.AccessLog(l), ginx.AccessLog(l)) },
		"error, error":   func(r *gin.Engine, l logger.Logger) { r.Use(ginx.ErrorLog(l), ginx.ErrorLog(l)) },
		"recovery in":    func(r *gin.Engine, l logger.Logger) { r.Use(ginx.AccessLog(l), ginx.ErrorLog(l), ginx.Recovery()) },
		"recovery out":   func(r *gin.Engine, l logger.Logger) { r.Use(ginx.Recovery(), ginx.ErrorLog(l), ginx.AccessLog(l)) },
	} {
		t.Run(name, func(t *testing.T) {
			log, lines := newLog()
			r := gin.New()
			install(r, log)
			r.GET("/fail", wrap(ginx.Result{}, errors.New("broken")))
			r.GET("/fine", wrap(ginx.Result{}, nil))
			get(r, "/fail")
			require.Equal(t, "broken", lines.only(t).text("error"))
			get(r, "/fine")
			fine := 1
			if strings.Contains(name, "access") || strings.Contains(name, "recovery") {
				fine = 2
			}
			require.Len(t, lines.all(), fine)
			if strings.Contains(name, "recovery") {
				r.GET("/panic", func(*gin.Context) { panic("boom") })
				require.Equal(t, http.StatusInternalServerError, get(r, "/panic").Code)
				require.Len(t, lines.all(), 3)
				last := lines.all()[2]
				require.Equal(t, "panic: boom", last.text("error"))
				require.Contains(t, last.text("stack"), "accesslog_test.go")
				require.EqualValues(t, 500, last.num("status"))
			}
		})
	}
}

// opaque is a response writer that does not tell what it wraps.
type opaque struct{ gin.ResponseWriter }

func TestOutcomesAreSeenThroughWritersThatHideThem(t *testing.T) {
	hide := func(c *gin.Context) { c.Writer = &opaque{c.Writer} }
	for name, install := range map[string]func(*gin.Engine, logger.Logger, observe.Observer){
		"one side": func(r *gin.Engine, l logger.Logger, o observe.Observer) {
			r.Use(ginx.AccessLog(l), ginx.Observe(o), hide)
		},
		"both sides": func(r *gin.Engine, l logger.Logger, o observe.Observer) {
			r.Use(ginx.Observe(o), hide, ginx.AccessLog(l))
		},
		"two logs": func(r *gin.Engine, l logger.Logger, o observe.Observer) {
			r.Use(ginx.AccessLog(l), ginx.Observe(o), hide, ginx.AccessLog(l))
		},
	} {
		t.Run(name, func(t *testing.T) {
			log, lines := newLog()
			rec := observetest.NewRecorder(t)
			r := gin.New()
			install(r, log, rec)
			r.Use(ginx.Recovery())
			r.GET("/fail", wrap(ginx.Result{}, ginx.NewError(501001, "x")))
			r.GET("/panic", func(*gin.Context) { panic("x") })
			get(r, "/fail")
			require.Equal(t, "x (code 501001)", lines.only(t).text("error"))
			require.EqualValues(t, 501001, lines.only(t).num("code"))
			require.Equal(t, "501001", rec.Only("http_server", "request").Label("code"))
			rec.Reset()
			get(r, "/panic")
			require.Len(t, lines.all(), 2)
			require.Equal(t, "panic: x", lines.all()[1].text("error"))
			require.Equal(t, observe.Panicked, rec.Only("http_server", "request").Outcome)
		})
	}
}

// secretMark is in every cause, so that a leak is easy to see.
const secretMark = "internal-detail"

// tree builds a random error tree and returns the *ginx.Error that the edge must
// find, nil for none: errors.As goes depth first.
func tree(r *rand.Rand, depth int) (public *ginx.Error, err error) {
	kind := r.IntN(6)
	if depth == 0 {
		kind = r.IntN(2)
	}
	switch kind {
	case 0:
		return nil, errors.New(secretMark)
	case 1:
		e := ginx.NewError(r.IntN(999_999), fmt.Sprintf("public %d", r.IntN(100)))
		e.HTTPStatus = []int{0, 0, 400, 403, 404, 409, 429, 503, 99}[r.IntN(9)]
		return e, e
	case 2:
		_, inner := tree(r, depth-1)
		e := ginx.NewError(400_000+r.IntN(99_999), "public outer").WithCause(inner)
		return e, e
	case 3:
		ea, a := tree(r, depth-1)
		eb, b := tree(r, depth-1)
		if ea == nil {
			ea = eb
		}
		return ea, errors.Join(a, b)
	default:
		e, inner := tree(r, depth-1)
		return e, fmt.Errorf(secretMark+" layer: %w", inner)
	}
}

func TestEachErrorTreeGivesOneLineAndLeaksNothing(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	log, lines := newLog()
	var next error
	r := gin.New()
	r.Use(ginx.AccessLog(log), ginx.ErrorLog(log), ginx.Recovery(), func(c *gin.Context) {
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), traceKey{}, "t"))
	})
	r.GET("/things/:id", ginx.Wrap(func(context.Context) (ginx.Result, error) { return ginx.Result{Data: secretMark}, next }))
	for i := range 1000 {
		want, err := tree(random, 5)
		next = err
		w := get(r, "/things/1")
		got := parse(t, w)
		require.NotContains(t, w.Body.String(), secretMark)
		code, status, msg := ginx.CodeSystem, 500, "system error"
		if want != nil {
			code, status, msg = want.Code, want.HTTPStatus, want.Msg
			if code == 0 {
				code = ginx.CodeSystem
			}
			switch status {
			case 0:
				status = 200
			case 99:
				status = 500
			}
		}
		require.Equal(t, reply{Code: code, Msg: msg, Data: []byte("null")}, got)
		require.Equal(t, status, w.Code)

		all := lines.all()
		require.Len(t, all, i+1)
		l := all[i]
		require.Equal(t, "/things/:id", l.text("route"))
		require.Equal(t, "t", l.TraceID)
		require.EqualValues(t, status, l.num("status"))
		require.EqualValues(t, code, l.num("code"))
		require.True(t, strings.HasPrefix(err.Error(), l.text("error")) && l.text("error") != "")
	}
}

func TestLinesAreBounded(t *testing.T) {
	log, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(log, ginx.WithHeaders("X-Long"), ginx.WithRequestBody(), ginx.WithResponseBody()))
	long := strings.Repeat("é", 5000)
	r.NoRoute(func(c *gin.Context) {
		_, _ = c.GetRawData()
		_ = c.Error(errors.New(long))
		c.Data(200, "application/json", []byte(`"`+long+`"`))
	})
	req := jsonRequest("/x", strings.NewReader(`"`+long+`"`))
	req.URL.Path = "/" + long
	req.Method = strings.Repeat("M", 500)
	req.Header.Set("X-Long", long)
	do(r, req)
	l := lines.only(t)
	for key, limit := range map[string]int{
		"path": 1024, "request_body": 2048, "response_body": 2048, "header.x-long": 256, "error": 4096, "method": 32,
	} {
		require.LessOrEqual(t, len(l.text(key)), limit, key)
		require.Greater(t, len(l.text(key)), limit-4, key)
		if key != "request_body" && key != "response_body" {
			require.True(t, strings.ToValidUTF8(l.text(key), "?") == l.text(key), "%s is cut within a character", key)
		}
	}
	require.True(t, l.has("request_body_truncated"))
	require.True(t, l.has("response_body_truncated"))
	require.Equal(t, "unmatched", l.text("route"))
}

func TestUsersAreMasked(t *testing.T) {
	for id, want := range map[string]string{
		"7": "***", "12345": "***", "10086123": "10***23", "用户甲乙丙丁戊": "用户***丁戊",
		"+8613812345678": "", "ann.lee@example.com": "",
	} {
		log, lines := newLog()
		r := gin.New()
		r.Use(ginx.AccessLog(log))
		r.GET("/", func(c *gin.Context) { ginx.SetUser(c, id) })
		get(r, "/")
		got := lines.only(t).text("user")
		if want != "" {
			require.Equal(t, want, got)
		}
		require.NotContains(t, got, id)
		require.NotEmpty(t, got)
	}
}

func TestPathsAreMaskedAndQueriesLeftOut(t *testing.T) {
	log, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(log, ginx.WithPathBytes(25)))
	get(r, "/users/13812345678/and/more?token=abcdef")
	path := lines.only(t).text("path")
	require.NotContains(t, path, "13812345678")
	require.NotContains(t, path, "token")
	require.NotContains(t, path, "more")
	require.Contains(t, path, "/users/")
}

// brokenError is an error whose nil pointer can not speak.
type brokenError struct{ text string }

func (e *brokenError) Error() string { return e.text }

func TestErrorsThatCanNotSpeakAreLogged(t *testing.T) {
	log, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(log))
	var none *brokenError
	r.GET("/", wrap(ginx.Result{}, none))
	require.Equal(t, http.StatusInternalServerError, get(r, "/").Code)
	require.Contains(t, lines.only(t).text("error"), "*ginx_test.brokenError: its Error method panics")
}

func TestBodiesAreNotReadForTheLogsSake(t *testing.T) {
	log, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(log, ginx.WithRequestBody()))
	body := strings.NewReader(`{"a":"bcdefgh"}`)
	r.POST("/", func(c *gin.Context) {
		_, _ = c.Request.Body.Read(make([]byte, 4))
	})
	do(r, jsonRequest("/", body))
	require.Equal(t, 11, body.Len())
	require.Equal(t, `{"a"`, lines.only(t).text("request_body"))
}

func TestDurationCoversTheHandler(t *testing.T) {
	log, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(log))
	r.GET("/", func(c *gin.Context) {
		begun := time.Now()
		for time.Since(begun) < 2*time.Millisecond {
		}
	})
	get(r, "/")
	require.GreaterOrEqual(t, lines.only(t).num("duration"), int64(2*time.Millisecond))
}

func FuzzBodyMaskNeverShowsAPassword(f *testing.F) {
	f.Add(`{"a":[{"`, `":"x"}]}`)
	f.Add(`{"x":"\"`, `}`)
	f.Add(``, ``)
	f.Fuzz(func(t *testing.T, before, after string) {
		log, lines := newLog()
		r := gin.New()
		r.Use(ginx.AccessLog(log, ginx.WithRequestBody(), ginx.WithBodyBytes(1<<16)))
		r.POST("/", func(c *gin.Context) { _, _ = c.GetRawData() })
		before = strings.ReplaceAll(before, `"`, "")
		post(r, "/", `{"k":"`+strings.ReplaceAll(before, `\`, "")+`","password":"hunter22"`+after)
		require.NotContains(t, lines.only(t).text("request_body"), "hunter22")
	})
}
