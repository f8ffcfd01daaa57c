package ginx_test

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

// A script is what a handler does; step returns what the handler could see.
type step func(c *gin.Context) string

func see(n any, err error) string { return fmt.Sprint(n, err, ";") }

// script draws a handler. The same seed gives the same handler.
func script(r *rand.Rand) []step {
	text := func() string { return strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(3000)) }
	var steps []step
	for range r.IntN(7) {
		s, n := text(), r.IntN(600)
		switch r.IntN(16) {
		case 0, 1:
			steps = append(steps, func(c *gin.Context) string { return see(c.Writer.Write([]byte(s))) })
		case 2, 3:
			steps = append(steps, func(c *gin.Context) string { return see(c.Writer.WriteString(s)) })
		case 4:
			steps = append(steps, func(c *gin.Context) string { return see(io.Copy(c.Writer, strings.NewReader(s))) })
		case 5: // hides WriteTo, so that io.Copy asks for ReadFrom
			steps = append(steps, func(c *gin.Context) string {
				return see(io.Copy(c.Writer, struct{ io.Reader }{strings.NewReader(s)}))
			})
		case 6:
			steps = append(steps, func(c *gin.Context) string { c.Writer.Flush(); return "" })
		case 7:
			codes := []int{200, 201, 204, 302, 304, 400, 404, 418, 500, 503}
			code := codes[n%len(codes)]
			steps = append(steps, func(c *gin.Context) string { c.Writer.WriteHeader(code); return "" })
		case 8:
			steps = append(steps, func(c *gin.Context) string { c.Writer.WriteHeaderNow(); return "" })
		case 9:
			steps = append(steps, func(c *gin.Context) string { c.Header("X-Step", fmt.Sprint(n)); return "" })
		case 10:
			steps = append(steps, func(c *gin.Context) string {
				c.Header("Content-Type", "application/json")
				return ""
			})
		case 11:
			steps = append(steps, func(c *gin.Context) string {
				c.Writer.Header().Set(http.TrailerPrefix+"X-Sum", fmt.Sprint(n))
				return ""
			})
		case 12:
			steps = append(steps, func(c *gin.Context) string {
				got, err := io.ReadAll(io.LimitReader(c.Request.Body, int64(n)))
				return see(len(got), err)
			})
		case 13:
			steps = append(steps, func(c *gin.Context) string {
				c.Abort()
				return see(c.Writer.Status(), nil) + see(c.Writer.Size(), nil) + see(c.Writer.Written(), nil)
			})
		case 14:
			steps = append(steps, func(c *gin.Context) string {
				return see("flush", http.NewResponseController(c.Writer).Flush())
			})
		default:
			steps = append(steps, func(*gin.Context) string {
				switch n % 3 {
				case 0:
					panic("script")
				case 1:
					panic(http.ErrAbortHandler)
				default:
					return ""
				}
			})
		}
	}
	if r.IntN(12) == 0 {
		steps = append(steps, hijack)
	}
	return steps
}

func hijack(c *gin.Context) string {
	conn, rw, err := c.Writer.Hijack()
	if err != nil {
		return see("hijack", err)
	}
	_, err = rw.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\nX-Raw: 1\r\n\r\nraw")
	return see("hijacked", errors.Join(err, rw.Flush(), conn.Close()))
}

// stage is one server that plays scripts.
type stage struct {
	server *httptest.Server
	next   []step
	seen   strings.Builder
	done   chan struct{} // the handler may go on when the client has its answer
}

func newStage(t *testing.T, middleware ...gin.HandlerFunc) *stage {
	s := &stage{done: make(chan struct{}, 1)}
	r := gin.New()
	r.Use(middleware...)
	r.NoRoute(func(c *gin.Context) {
		c.Status(http.StatusOK)
		for _, step := range s.next {
			s.seen.WriteString(step(c))
		}
	})
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer func() { s.done <- struct{}{} }()
		r.ServeHTTP(w, req)
	}))
	s.server.Config.ErrorLog = quietLog
	s.server.Start()
	t.Cleanup(s.server.Close)
	return s
}

// play returns all that a client and the handler could notice.
func (s *stage) play(t *testing.T, method string, steps []step) string {
	s.next = steps
	s.seen.Reset()
	req, err := http.NewRequest(method, s.server.URL+"/x", strings.NewReader(`{"body":"`+strings.Repeat("b", 700)+`"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Close = true // each script has a connection, so that none ends another's
	resp, err := s.server.Client().Transport.RoundTrip(req)
	var out strings.Builder
	if err != nil {
		fmt.Fprint(&out, "no answer ")
	} else {
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		resp.Header.Del("Date")
		fmt.Fprint(&out, resp.StatusCode, resp.Header, resp.Trailer, resp.ContentLength, resp.TransferEncoding, sha256.Sum256(body), err, " ")
	}
	<-s.done
	out.WriteString(s.seen.String())
	return out.String()
}

func TestAccessLogChangesNothing(t *testing.T) {
	const seed = 11
	logger, _ := newLog()
	bare := newStage(t, ginx.Recovery())
	watched := newStage(t,
		ginx.AccessLog(logger, ginx.WithRequestBody(), ginx.WithResponseBody()), ginx.Observe(&counter{}), ginx.Recovery())
	methods := []string{http.MethodPost, http.MethodGet, http.MethodHead, http.MethodPut}
	for i := range uint64(sized(2000, 100_000)) {
		draw := func() (string, []step) {
			r := rand.New(rand.NewPCG(seed, i))
			return methods[r.IntN(len(methods))], script(r)
		}
		method, steps := draw()
		want := bare.play(t, method, steps)
		_, steps = draw()
		require.Equal(t, want, watched.play(t, method, steps), "script %d", i)
	}
}

// endless is a body of zeros that costs no memory.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.left)
	e.left -= n
	return int(n), nil
}

// sink is a response that keeps nothing.
type sink struct {
	header http.Header
	n      int64
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(int)     {}
func (s *sink) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return len(p), nil
}

func TestLargeBodiesCostNoMoreThanTheLimit(t *testing.T) {
	size := int64(sized(32<<20, 1<<30))
	const limit = 2048
	var allocated uint64
	measure := func(c *gin.Context) {
		chunk := make([]byte, 32<<10)
		c.Header("Content-Type", "application/json")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for {
			_, err := c.Request.Body.Read(chunk)
			if err == io.EOF {
				break
			}
		}
		for sent := int64(0); sent < size; sent += int64(len(chunk)) {
			_, _ = c.Writer.Write(chunk)
		}
		runtime.ReadMemStats(&after)
		allocated = after.TotalAlloc - before.TotalAlloc
	}
	logger, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(logger, ginx.WithRequestBody(), ginx.WithResponseBody()))
	r.POST("/", measure)
	w := &sink{header: http.Header{}}
	req := jsonRequest("/", &endless{left: size})
	req.ContentLength = -1
	r.ServeHTTP(w, req)
	require.Equal(t, size, w.n)
	require.True(t, lines.only(t).has("request_body_truncated"))
	require.LessOrEqual(t, allocated, uint64(2*limit+4096))
}

// layer is a foreign response writer around gin's, as compression has it.
type layer struct{ gin.ResponseWriter }

func (l *layer) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func TestResponseControllerReachesTheConnectionThroughFiveLayers(t *testing.T) {
	logger, _ := newLog()
	wrapped := func(c *gin.Context) { c.Writer = &layer{c.Writer} }
	done := make(chan error, 1)
	r := gin.New()
	r.Use(wrapped, ginx.AccessLog(logger, ginx.WithResponseBody()), wrapped, wrapped, wrapped)
	r.GET("/", func(c *gin.Context) {
		control := http.NewResponseController(c.Writer)
		soon := time.Now().Add(time.Minute)
		errs := errors.Join(control.SetReadDeadline(soon), control.SetWriteDeadline(soon),
			control.EnableFullDuplex(), control.Flush())
		conn, _, err := control.Hijack()
		if conn != nil {
			_ = conn.Close()
		}
		done <- errors.Join(errs, err)
	})
	server := httptest.NewServer(r)
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err == nil {
		_ = resp.Body.Close()
	}
	require.NoError(t, <-done)
}

// partial is a connection that takes only some of each write.
type partial struct{ sink }

func (p *partial) Write(b []byte) (int, error) {
	n := len(b) / 2
	p.n += int64(n)
	return n, io.ErrShortWrite
}

func TestWriterReturnsWhatTheConnectionTook(t *testing.T) {
	logger, lines := newLog()
	r := gin.New()
	r.Use(ginx.AccessLog(logger, ginx.WithResponseBody()))
	r.GET("/", func(c *gin.Context) {
		c.Header("Content-Type", "application/json")
		n, err := c.Writer.Write([]byte(`"123456"`))
		require.Equal(t, 4, n)
		require.ErrorIs(t, err, io.ErrShortWrite)
		n, err = c.Writer.WriteString(`abcd`)
		require.Equal(t, 2, n)
		require.ErrorIs(t, err, io.ErrShortWrite)
	})
	r.ServeHTTP(&partial{sink{header: http.Header{}}}, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, `"123ab`, lines.only(t).text("response_body"), "what left, all of it, and nothing else")
}

func TestFirstEventIsNotDelayed(t *testing.T) {
	logger, _ := newLog()
	event := func(c *gin.Context) {
		c.Header("Content-Type", "text/event-stream")
		_, _ = c.Writer.WriteString("data: first\n\n")
		c.Writer.Flush()
		<-c.Request.Context().Done()
	}
	bare, watched := gin.New(), gin.New()
	bare.GET("/", event)
	watched.Use(ginx.AccessLog(logger, ginx.WithResponseBody()), ginx.Observe(&counter{}))
	watched.GET("/", event)
	measure := func(r http.Handler) time.Duration {
		server := httptest.NewServer(r)
		defer server.Close()
		defer server.CloseClientConnections()
		var took []time.Duration
		for range sized(30, 300) {
			begun := time.Now()
			resp, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			first, err := bufio.NewReader(resp.Body).ReadString('\n')
			require.NoError(t, err)
			took = append(took, time.Since(begun))
			require.Equal(t, "data: first\n", first)
			require.NoError(t, resp.Body.Close())
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	added := time.Hour
	for range 3 { // a busy machine may slow one round, not all
		if added = measure(watched) - measure(bare); added <= time.Millisecond {
			return
		}
	}
	t.Fatalf("the first event came %v later", added)
}
