package ginx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

func TestPanicIsASystemErrorAndNothingLeaks(t *testing.T) {
	log, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(log), ginx.Recovery())
	cause := errors.New("slice out of range in secret place")
	after := false
	r.GET("/", func(c *gin.Context) {
		c.Header("Content-Length", "3")
		panic(fmt.Errorf("render: %w", cause))
	}, func(*gin.Context) { after = true })
	w := get(r, "/")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.JSONEq(t, `{"code":5,"msg":"system error","data":null}`, w.Body.String())
	require.Empty(t, w.Header().Get("Content-Length"), "it was meant for another answer")
	require.False(t, after)
	l := lines.only(t)
	require.Equal(t, "panic: render: slice out of range in secret place", l.text("error"))
	require.Contains(t, l.text("stack"), "recovery_test.go")
	require.LessOrEqual(t, len(l.text("stack")), 8<<10)
}

func TestDeliberateAbortsGoThrough(t *testing.T) {
	r := gin.New()
	r.Use(ginx.Recovery())
	r.GET("/", func(*gin.Context) { panic(http.ErrAbortHandler) })
	r.GET("/wrapped", func(*gin.Context) { panic(fmt.Errorf("proxy: %w", http.ErrAbortHandler)) })
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { get(r, "/") })
	require.Panics(t, func() { get(r, "/wrapped") })
}

func TestPanicAfterTheFirstByteEndsTheConnection(t *testing.T) {
	r := gin.New()
	r.Use(ginx.Recovery())
	r.GET("/", func(c *gin.Context) {
		c.String(200, "half")
		c.Writer.Flush()
		panic("x")
	})
	server := httptest.NewUnstartedServer(r)
	server.Config.ErrorLog = quietLog
	server.Start()
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = new(bytes.Buffer).ReadFrom(resp.Body)
	require.Error(t, err, "half an answer must not look whole")
}

func TestPanicsNobodyLogsAreStillSeen(t *testing.T) {
	var out bytes.Buffer
	previous := gin.DefaultErrorWriter
	gin.DefaultErrorWriter = &out
	defer func() { gin.DefaultErrorWriter = previous }()
	r := gin.New()
	r.Use(ginx.Observe(&counter{}), ginx.Recovery())
	r.GET("/", func(*gin.Context) { panic("unseen") })
	get(r, "/")
	require.Contains(t, out.String(), "panic: unseen")
	require.Contains(t, out.String(), "recovery_test.go")

	out.Reset()
	log, _ := newLog()
	r = gin.New()
	r.Use(ginx.AccessLog(log), ginx.Recovery())
	r.GET("/", func(*gin.Context) { panic("seen") })
	get(r, "/")
	require.Empty(t, out.String())
}

func TestTimeoutEndsTheContextAndAnswers504(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit, err := ginx.Timeout(time.Second)
		require.NoError(t, err)
		log, lines := newLog()
		r := gin.New()
		r.Use(ginx.AccessLog(log), limit)
		wait := func(ctx context.Context) { <-ctx.Done() }
		r.GET("/typed", ginx.Wrap(func(ctx context.Context) (ginx.Result, error) {
			wait(ctx)
			return ginx.Result{}, fmt.Errorf("query: %w", ctx.Err())
		}))
		r.GET("/untyped", func(c *gin.Context) { wait(c.Request.Context()) })
		r.GET("/done", func(c *gin.Context) { wait(c.Request.Context()); c.Status(http.StatusAccepted) })
		r.GET("/quick", wrap(ginx.Result{}, nil))
		for path, status := range map[string]int{"/typed": 504, "/untyped": 504, "/done": 202, "/quick": 200} {
			begun := time.Now()
			w := get(r, path)
			require.Equal(t, status, w.Code, path)
			if status == 504 {
				require.Equal(t, ginx.CodeSystem, parse(t, w).Code)
				require.Equal(t, time.Second, time.Since(begun))
			}
		}
		for _, l := range lines.all() {
			require.NotEqualValues(t, 499, l.num("status"), "our own cancel is not the client's")
		}
	})
	_, err := ginx.Timeout(0)
	require.ErrorContains(t, err, "d must be positive, got 0s")
}

// goroutine returns the current goroutine's header line.
func goroutine() string {
	buf := make([]byte, 64)
	id, _, _ := strings.Cut(string(buf[:runtime.Stack(buf, false)]), " [")
	return id
}

func TestTimeoutNeverLetsAHandlerWriteToAFinishedResponse(t *testing.T) {
	limit, err := ginx.Timeout(time.Millisecond)
	require.NoError(t, err)
	var outer, inner string
	r := gin.New()
	r.Use(func(*gin.Context) { outer = goroutine() }, limit)
	r.GET("/", func(c *gin.Context) {
		inner = goroutine()
		<-c.Request.Context().Done()
		c.String(200, "late but whole")
	})
	w := get(r, "/")
	require.Equal(t, outer, inner)
	require.Equal(t, "late but whole", w.Body.String())
}
