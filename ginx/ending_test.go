package ginx_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

// pusher is a connection that can push, as HTTP/2 ones can.
type pusher struct {
	*httptest.ResponseRecorder
	pushed []string
}

func (p *pusher) Push(target string, _ *http.PushOptions) error {
	p.pushed = append(p.pushed, target)
	return nil
}

func TestEndingsAreRecorded(t *testing.T) {
	// Each ending is played against a real server, whose log line is read.
	limit, err := ginx.BodyLimit(10)
	require.NoError(t, err)
	soon, err := ginx.Timeout(time.Millisecond)
	require.NoError(t, err)
	type ending struct {
		method, path string
		h            []gin.HandlerFunc
		status       int64
		extra        func(t *testing.T, l line)
	}
	endings := map[string]ending{
		"implicit 200": {h: handlers(func(*gin.Context) {}), status: 200},
		"200 by write": {h: handlers(func(c *gin.Context) { _, _ = c.Writer.WriteString("x") }), status: 200},
		"204":          {h: handlers(func(c *gin.Context) { c.Status(204) }), status: 204},
		"304":          {h: handlers(func(c *gin.Context) { c.Status(304) }), status: 304},
		"101":          {h: handlers(func(c *gin.Context) { hijack(c) }), status: 101},
		"panic before": {h: handlers(func(*gin.Context) { panic("x") }), status: 500},
		"panic after": {h: handlers(func(c *gin.Context) { c.String(200, "half"); panic("x") }), status: 500, extra: func(t *testing.T, l line) {
			require.EqualValues(t, 200, l.num("sent_status"))
		}},
		"gin abort":      {h: handlers(func(c *gin.Context) { c.AbortWithStatus(403) }), status: 403},
		"handler abort":  {h: handlers(func(*gin.Context) { panic(http.ErrAbortHandler) }), status: 500},
		"abort midway":   {h: handlers(func(c *gin.Context) { c.String(202, "half"); panic(http.ErrAbortHandler) }), status: 202},
		"timeout":        {h: handlers(soon, func(c *gin.Context) { <-c.Request.Context().Done() }), status: 504},
		"413":            {method: "POST", h: handlers(limit, bodyServerHandler), status: 413},
		"404":            {path: "/missing", status: 404},
		"405":            {method: "DELETE", status: 405, h: handlers(func(*gin.Context) {})},
		"HEAD":           {method: "HEAD", h: handlers(func(c *gin.Context) { c.String(200, "unseen") }), status: 200, extra: func(t *testing.T, l line) { require.Zero(t, l.num("response_bytes")) }},
		"trailer":        {h: handlers(func(c *gin.Context) { c.String(200, "x"); c.Writer.Header().Set(http.TrailerPrefix+"A", "b") }), status: 200},
		"client is gone": {h: handlers(func(c *gin.Context) { <-c.Request.Context().Done() }), status: 499},
	}
	for name, e := range endings {
		t.Run(name, func(t *testing.T) {
			log, lines := newLog()
			r := gin.New()
			r.HandleMethodNotAllowed = true
			done := make(chan struct{})
			r.Use(func(c *gin.Context) {
				defer close(done)
				c.Next()
			}, ginx.AccessLog(log), ginx.Recovery())
			method := e.method
			if method == "" {
				method = http.MethodGet
			}
			if method == "DELETE" {
				r.GET("/", e.h...)
			} else {
				r.Handle(method, "/", e.h...)
			}
			server := httptest.NewUnstartedServer(r)
			server.Config.ErrorLog = quietLog
			server.Start()
			defer server.Close()
			req, err := http.NewRequest(method, server.URL+e.path, strings.NewReader(`"more than ten bytes"`))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/json")
			if name == "client is gone" {
				sendAndLeave(t, server.Listener.Addr().String())
			} else if resp, err := server.Client().Transport.RoundTrip(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			<-done
			l := lines.only(t)
			require.Equal(t, e.status, l.num("status"))
			if e.extra != nil {
				e.extra(t, l)
			}
		})
	}
	t.Run("push", func(t *testing.T) {
		log, lines := newLog()
		r := gin.New()
		r.Use(ginx.AccessLog(log))
		r.GET("/", func(c *gin.Context) {
			require.NoError(t, c.Writer.(http.Pusher).Push("/style.css", nil))
			require.NoError(t, c.Writer.Pusher().Push("/script.js", nil))
		})
		w := &pusher{ResponseRecorder: httptest.NewRecorder()}
		r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		require.Equal(t, []string{"/style.css", "/script.js"}, w.pushed)
		require.EqualValues(t, 200, lines.only(t).num("status"))
		r.GET("/none", func(c *gin.Context) {
			require.ErrorIs(t, c.Writer.(http.Pusher).Push("/style.css", nil), http.ErrNotSupported)
		})
		get(r, "/none")
	})
}

func handlers(h ...gin.HandlerFunc) []gin.HandlerFunc { return h }

var bodyServerHandler = ginx.WrapBody(func(_ context.Context, _ string) (ginx.Result, error) { return ginx.Result{}, nil })

// quietLog keeps net/http's notes about our deliberate panics out of the output.
var quietLog = log.New(io.Discard, "", 0)

// sendAndLeave sends a request and closes the connection.
func sendAndLeave(t *testing.T, addr string) {
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}
