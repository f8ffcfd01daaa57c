package ginx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

type person struct {
	ID   int64
	Role string
}

func TestWrappersWorkWithoutMiddleware(t *testing.T) {
	type req struct {
		Name string `json:"name"`
	}
	type query struct {
		Page int `form:"page"`
	}
	type path struct {
		ID int64 `uri:"id"`
	}
	r := gin.New()
	login := func(c *gin.Context) { ginx.SetClaims(c, person{ID: 7}) }
	r.GET("/plain", ginx.Wrap(func(context.Context) (ginx.Result, error) { return ginx.Result{Data: "plain"}, nil }))
	r.POST("/body", ginx.WrapBody(func(_ context.Context, q req) (ginx.Result, error) { return ginx.Result{Data: q.Name}, nil }))
	r.GET("/query", ginx.WrapQuery(func(_ context.Context, q query) (ginx.Result, error) { return ginx.Result{Data: q.Page}, nil }))
	r.GET("/path/:id", ginx.WrapURI(func(_ context.Context, q path) (ginx.Result, error) { return ginx.Result{Data: q.ID}, nil }))
	r.GET("/claims", login, ginx.WrapClaims(func(_ context.Context, p person) (ginx.Result, error) { return ginx.Result{Data: p.ID}, nil }))
	r.POST("/body-claims", login, ginx.WrapBodyClaims(func(_ context.Context, q req, p person) (ginx.Result, error) {
		return ginx.Result{Data: fmt.Sprint(q.Name, p.ID)}, nil
	}))
	r.GET("/query-claims", login, ginx.WrapQueryClaims(func(_ context.Context, q query, p person) (ginx.Result, error) {
		return ginx.Result{Data: fmt.Sprint(q.Page, p.ID)}, nil
	}))
	r.GET("/path-claims/:id", login, ginx.WrapURIClaims(func(_ context.Context, q path, p person) (ginx.Result, error) {
		return ginx.Result{Data: fmt.Sprint(q.ID, p.ID)}, nil
	}))

	for _, tc := range []struct{ method, target, data string }{
		{"GET", "/plain", `"plain"`},
		{"POST", "/body", `"Ann"`},
		{"GET", "/query?page=3", `3`},
		{"GET", "/path/42", `42`},
		{"GET", "/claims", `7`},
		{"POST", "/body-claims", `"Ann7"`},
		{"GET", "/query-claims?page=3", `"3 7"`},
		{"GET", "/path-claims/42", `"42 7"`},
	} {
		t.Run(tc.target, func(t *testing.T) {
			w := do(r, func() *http.Request {
				q := jsonRequest(tc.target, strings.NewReader(`{"name":"Ann"}`))
				q.Method = tc.method
				return q
			}())
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
			require.JSONEq(t, `{"code":0,"msg":"","data":`+tc.data+`}`, w.Body.String())
		})
	}
}

func TestMissingClaimsAreUnauthorized(t *testing.T) {
	ran := false
	h := func(context.Context, person) (ginx.Result, error) { ran = true; return ginx.Result{}, nil }
	withReq := func(_ context.Context, _ struct{}, p person) (ginx.Result, error) { return h(context.Background(), p) }
	for name, handler := range map[string]gin.HandlerFunc{
		"claims": ginx.WrapClaims(h), "body": ginx.WrapBodyClaims(withReq),
		"query": ginx.WrapQueryClaims(withReq), "uri": ginx.WrapURIClaims(withReq),
		"stream": ginx.WrapStreamClaims(func(context.Context, struct{}, person, *ginx.Stream) error { ran = true; return nil }),
	} {
		t.Run(name, func(t *testing.T) {
			r := gin.New()
			// Claims of another type are not these claims.
			r.POST("/", func(c *gin.Context) { ginx.SetClaims(c, &person{ID: 1}) }, handler)
			w := post(r, "/", `not even JSON`) // the claims come first
			require.Equal(t, http.StatusUnauthorized, w.Code)
			require.Equal(t, ginx.CodeClient, parse(t, w).Code)
			require.False(t, ran)
		})
	}
}

func TestResultControlsTheResponse(t *testing.T) {
	r := gin.New()
	results := map[string]ginx.Result{
		"/status":  {Status: http.StatusCreated, Data: 1},
		"/header":  {Header: http.Header{"X-Jwt-Token": {"a"}, "Set-Cookie": {"a=1", "b=2"}}},
		"/shape":   {Body: map[string]int{"total": 2}},
		"/nothing": {Status: http.StatusNoContent, Header: http.Header{"X-A": {"1"}}},
		"/invalid": {Status: 42},
		"/failed":  {Code: 401002, Msg: "bad user or password"},
		"/noCode4": {Status: http.StatusConflict},
		"/noCode5": {Status: http.StatusBadGateway},
	}
	for path, result := range results {
		r.GET(path, ginx.Wrap(func(context.Context) (ginx.Result, error) { return result, nil }))
	}
	require.Equal(t, http.StatusCreated, get(r, "/status").Code)
	header := get(r, "/header").Header()
	require.Equal(t, "a", header.Get("x-jwt-token"))
	require.Equal(t, []string{"a=1", "b=2"}, header.Values("Set-Cookie"))
	require.JSONEq(t, `{"total":2}`, get(r, "/shape").Body.String())
	nothing := get(r, "/nothing")
	require.Equal(t, http.StatusNoContent, nothing.Code)
	require.Equal(t, "1", nothing.Header().Get("X-A"))
	require.Empty(t, nothing.Body.String())
	require.Equal(t, http.StatusInternalServerError, get(r, "/invalid").Code)
	failed := get(r, "/failed")
	require.Equal(t, http.StatusOK, failed.Code)
	require.Equal(t, 401002, parse(t, failed).Code)
	require.Equal(t, ginx.CodeClient, parse(t, get(r, "/noCode4")).Code)
	require.Equal(t, ginx.CodeSystem, parse(t, get(r, "/noCode5")).Code)
}

// The message a client gets when err comes out of a handler.
func answerTo(err error) *httptest.ResponseRecorder {
	r := gin.New()
	r.GET("/", ginx.Wrap(func(context.Context) (ginx.Result, error) { return ginx.Result{Data: "hidden"}, err }))
	return get(r, "/")
}

func TestBusinessErrorIsWritten(t *testing.T) {
	base := ginx.NewError(401003, "duplicate e-mail").WithCause(errors.New("Error 1062 on users.email"))
	w := answerTo(fmt.Errorf("sign up: %w", fmt.Errorf("repository: %w", base)))
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"code":401003,"msg":"duplicate e-mail","data":null}`, w.Body.String())

	w = answerTo(fmt.Errorf("limiter: %w", base.WithStatus(http.StatusTooManyRequests)))
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Equal(t, 0, base.HTTPStatus, "WithStatus must not change a shared sentinel")
}

func TestEveryFailureHasACodeOtherThanZero(t *testing.T) {
	var none *ginx.Error
	for name, tc := range map[string]struct {
		err          error
		status, code int
	}{
		"code 0":          {ginx.NewError(0, "wrong password"), 200, ginx.CodeSystem},
		"zero error":      {&ginx.Error{}, 200, ginx.CodeSystem},
		"unknown":         {errors.New("dial tcp 10.0.0.7: refused"), 500, ginx.CodeSystem},
		"typed nil":       {none, 500, ginx.CodeSystem},
		"deadline":        {fmt.Errorf("query: %w", context.DeadlineExceeded), 504, ginx.CodeSystem},
		"own cancel":      {context.Canceled, 500, ginx.CodeSystem},
		"wild status":     {ginx.NewError(4, "x").WithStatus(99), 500, 4},
		"bare EOF":        {io.EOF, 500, ginx.CodeSystem},
		"joined":          {errors.Join(io.EOF, ginx.NewError(402001, "no such article")), 200, 402001},
		"body too large":  {&http.MaxBytesError{Limit: 1}, 500, ginx.CodeSystem},
		"caller mistaken": {ginx.InvalidField("title", "is too long"), 400, ginx.CodeClient},
	} {
		t.Run(name, func(t *testing.T) {
			w := answerTo(tc.err)
			require.Equal(t, tc.status, w.Code)
			require.Equal(t, tc.code, parse(t, w).Code)
		})
	}
}

func TestErrorDecidesAndNothingInternalReachesTheClient(t *testing.T) {
	w := answerTo(errors.New("SELECT * FROM users: password column"))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.JSONEq(t, `{"code":5,"msg":"system error","data":null}`, w.Body.String())
}

func TestUnmarshallableDataIsASystemError(t *testing.T) {
	log, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(log))
	r.GET("/", ginx.Wrap(func(context.Context) (ginx.Result, error) {
		return ginx.Result{Data: make(chan int), Header: http.Header{"X-Jwt-Token": {"t"}}}, nil
	}))
	w := get(r, "/")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.JSONEq(t, `{"code":5,"msg":"system error","data":null}`, w.Body.String())
	require.Empty(t, w.Header().Get("X-Jwt-Token"))
	require.Contains(t, lines.only(t).text("error"), "chan int")
}

func TestErrorIsASentinel(t *testing.T) {
	duplicate := ginx.NewError(401003, "duplicate e-mail")
	cause := errors.New("1062")
	err := fmt.Errorf("up: %w", duplicate.WithCause(cause).WithStatus(409))
	require.ErrorIs(t, err, duplicate)
	require.ErrorIs(t, err, cause)
	require.NotErrorIs(t, err, ginx.NewError(401003, "other text"))
	require.Equal(t, "up: duplicate e-mail (code 401003): 1062", err.Error())
	require.Equal(t, "duplicate e-mail (code 401003)", duplicate.Error())
	var none *ginx.Error
	require.NotPanics(t, func() { _ = none.Error(); _ = none.Unwrap(); _ = errors.Is(none, duplicate) })
}

func TestClientThatLeftIsRecordedAs499(t *testing.T) {
	log, lines := newLog()
	ctx, leave := context.WithCancel(t.Context())
	r := gin.New()
	r.Use(ginx.AccessLog(log))
	r.GET("/", ginx.Wrap(func(ctx context.Context) (ginx.Result, error) {
		leave()
		<-ctx.Done()
		// Even a service that made a business error of it.
		return ginx.Result{}, ginx.NewError(501001, "system error").WithCause(ctx.Err())
	}))
	w := do(r, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	require.Equal(t, ginx.StatusClientClosedRequest, w.Code)
	require.NotZero(t, parse(t, w).Code)
	l := lines.only(t)
	require.EqualValues(t, 499, l.num("status"))
	require.Zero(t, l.Level, "not an error of ours")
}

func TestBackgroundWorkNeverSeesAnotherRequest(t *testing.T) {
	type idKey struct{}
	var background sync.WaitGroup
	var mixed, outlived atomic.Int64
	work := func(ctx context.Context, id int64) {
		background.Add(1)
		release := make(chan struct{})
		go func() {
			defer background.Done()
			<-release
			for range 20 {
				if got, _ := ctx.Value(idKey{}).(int64); got != id {
					mixed.Add(1)
				}
			}
			detached, cancel := ginx.Detach(ctx, time.Minute)
			defer cancel()
			if got, _ := detached.Value(idKey{}).(int64); got == id && detached.Err() == nil {
				outlived.Add(1)
			}
		}()
		time.AfterFunc(0, func() { close(release) }) // typically after the handler has returned
	}
	type req struct {
		ID int64 `json:"id"`
	}
	r := gin.New()
	log, _ := newLog()
	r.Use(ginx.AccessLog(log))
	r.Use(func(c *gin.Context) {
		id, _ := c.GetQuery("id")
		var n int64
		_, _ = fmt.Sscan(id, &n)
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), idKey{}, n))
	})
	r.POST("/", ginx.WrapBody(func(ctx context.Context, q req) (ginx.Result, error) {
		work(ctx, q.ID)
		return ginx.Result{}, nil
	}))
	total := sized(1000, 10_000)
	var next atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				id := next.Add(1)
				if id > int64(total) {
					return
				}
				ctx, cancel := context.WithCancel(context.Background())
				body, _ := json.Marshal(req{ID: id})
				q := jsonRequest(fmt.Sprintf("/?id=%d", id), strings.NewReader(string(body)))
				do(r, q.WithContext(ctx))
				cancel() // as net/http does when the handler returns
			}
		})
	}
	clients.Wait()
	background.Wait()
	require.Zero(t, mixed.Load())
	require.EqualValues(t, total, outlived.Load())
}

func TestDetachedWorkOutlivesTheRequestUntilItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		request, done := context.WithTimeout(context.WithValue(t.Context(), key{}, "kept"), time.Second)
		ctx, cancel := ginx.Detach(request, time.Minute)
		defer cancel()
		done()
		require.NoError(t, ctx.Err())
		require.Equal(t, "kept", ctx.Value(key{}))
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		require.Equal(t, time.Minute, time.Until(deadline))
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	})
}

func TestAbortStopsTheChainAndAnswersOnce(t *testing.T) {
	r := gin.New()
	ran := false
	r.GET("/", func(c *gin.Context) {
		ginx.Abort(c, ginx.NewError(4, "no"))
		ginx.Abort(c, nil)
	}, func(*gin.Context) { ran = true })
	w := get(r, "/")
	require.False(t, ran)
	require.JSONEq(t, `{"code":4,"msg":"no","data":null}`, w.Body.String())

	r.GET("/nil", func(c *gin.Context) { ginx.Abort(c, nil) })
	require.Equal(t, http.StatusInternalServerError, get(r, "/nil").Code)
}

func TestUnknownRoutesAnswerInTheEnvelope(t *testing.T) {
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.NoRoute(ginx.NotFound())
	r.NoMethod(ginx.MethodNotAllowed())
	r.POST("/only-post", ginx.Wrap(func(context.Context) (ginx.Result, error) { return ginx.Result{}, nil }))
	missing := get(r, "/missing")
	require.Equal(t, http.StatusNotFound, missing.Code)
	require.Equal(t, ginx.CodeClient, parse(t, missing).Code)
	method := get(r, "/only-post")
	require.Equal(t, http.StatusMethodNotAllowed, method.Code)
	require.Equal(t, ginx.CodeClient, parse(t, method).Code)
	require.Equal(t, "POST", method.Header().Get("Allow"))
}
