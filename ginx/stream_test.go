package ginx_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

type topic struct {
	Name string `form:"name" json:"-"`
	From string `header:"Last-Event-ID" json:"-"`
	Size int    `json:"size"`
}

func streamServer(h func(context.Context, topic, *ginx.Stream) error, middleware ...gin.HandlerFunc) *gin.Engine {
	r := gin.New()
	r.Use(middleware...)
	r.GET("/", ginx.WrapStream(h))
	r.POST("/", ginx.WrapStream(h))
	return r
}

func TestStreamSendsEvents(t *testing.T) {
	r := streamServer(func(_ context.Context, q topic, s *ginx.Stream) error {
		return errors.Join(
			s.Send(ginx.Event{Data: q.Name + "/" + q.From}),
			s.Send(ginx.Event{ID: "7", Name: "tick", Retry: 1500 * time.Millisecond, Data: map[string]int{"n": 1}}),
			s.Send(ginx.Event{Data: "one\ntwo\r\nthree\rfour"}),
			s.Send(ginx.Event{Data: []byte("raw\n")}),
			s.Ping(),
		)
	})
	req := httptest.NewRequest(http.MethodGet, "/?name=a", nil)
	req.Header.Set("Last-Event-ID", "3")
	w := do(r, req)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
	require.True(t, w.Flushed)
	require.Equal(t, "data: a/3\n\n"+
		"id: 7\nevent: tick\nretry: 1500\ndata: {\"n\":1}\n\n"+
		"data: one\ndata: two\ndata: three\ndata: four\n\n"+
		"data: raw\ndata: \n\n"+
		":\n\n", w.Body.String())
}

func TestStreamTakesABodyWhereThereIsOne(t *testing.T) {
	r := streamServer(func(_ context.Context, q topic, s *ginx.Stream) error { return s.Send(ginx.Event{Data: q.Size}) })
	require.Equal(t, "data: 3\n\n", post(r, "/", `{"size":3}`).Body.String())
	require.Equal(t, "data: 0\n\n", get(r, "/").Body.String())
	unknown := jsonRequest("/", strings.NewReader(""))
	unknown.ContentLength = -1
	require.Equal(t, "data: 0\n\n", do(r, unknown).Body.String())
	w := post(r, "/", `{"size":"x"}`)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, ginx.CodeClient, parse(t, w).Code)
}

func TestStreamForClaims(t *testing.T) {
	r := gin.New()
	r.GET("/", func(c *gin.Context) { ginx.SetClaims(c, person{ID: 7}) },
		ginx.WrapStreamClaims(func(_ context.Context, q topic, p person, s *ginx.Stream) error {
			return s.Send(ginx.Event{Data: []int64{p.ID, int64(q.Size)}})
		}))
	require.Equal(t, "data: [7,0]\n\n", get(r, "/").Body.String())
}

func TestForgedEventsAreRefused(t *testing.T) {
	r := streamServer(func(_ context.Context, _ topic, s *ginx.Stream) error {
		for _, e := range []ginx.Event{{ID: "1\n\ndata: x"}, {Name: "a\rdata: x"}, {ID: "\x00"}, {Data: make(chan int)}} {
			require.Error(t, s.Send(e))
		}
		return nil
	})
	w := get(r, "/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
	require.Empty(t, w.Body.String())
}

func TestStreamErrors(t *testing.T) {
	log, lines := newLog()
	var early bool
	r := streamServer(func(_ context.Context, _ topic, s *ginx.Stream) error {
		if !early {
			require.NoError(t, s.Send(ginx.Event{Data: "first"}))
		}
		return ginx.NewError(501001, "feed is broken").WithCause(errors.New("inner reason"))
	}, ginx.AccessLog(log))
	w := get(r, "/")
	require.Equal(t, "data: first\n\nevent: error\ndata: {\"code\":501001,\"msg\":\"feed is broken\",\"data\":null}\n\n", w.Body.String())
	l := lines.only(t)
	require.Equal(t, logger.LevelError, l.Level)
	require.Contains(t, l.text("error"), "inner reason")

	early = true
	w = get(r, "/")
	require.Equal(t, 501001, parse(t, w).Code)
}

func TestStreamLeftByTheClientIsNoFailure(t *testing.T) {
	log, lines := newLog()
	ctx, leave := context.WithCancel(t.Context())
	r := streamServer(func(ctx context.Context, _ topic, s *ginx.Stream) error {
		require.NoError(t, s.Send(ginx.Event{Data: 1}))
		leave()
		<-ctx.Done()
		require.ErrorIs(t, s.Send(ginx.Event{Data: 2}), context.Canceled)
		return ctx.Err()
	}, ginx.AccessLog(log))
	w := do(r, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	require.Equal(t, "data: 1\n\n", w.Body.String())
	l := lines.only(t)
	require.Equal(t, logger.LevelInfo, l.Level)
	require.EqualValues(t, 200, l.num("status"))
}

func TestNothingIsWrittenAfterTheHandlerReturned(t *testing.T) {
	var kept *ginx.Stream
	r := streamServer(func(_ context.Context, _ topic, s *ginx.Stream) error {
		kept = s
		return s.Send(ginx.Event{Data: "inside"})
	})
	w := get(r, "/")
	require.ErrorIs(t, kept.Send(ginx.Event{Data: "outside"}), ginx.ErrStreamClosed)
	require.ErrorIs(t, kept.Ping(), ginx.ErrStreamClosed)
	require.Equal(t, "data: inside\n\n", w.Body.String())

	r = streamServer(func(_ context.Context, _ topic, s *ginx.Stream) error {
		kept = s
		panic("x")
	}, ginx.Recovery())
	get(r, "/")
	require.ErrorIs(t, kept.Ping(), ginx.ErrStreamClosed)
}

func TestGoroutinesLeftBehindDoNotDisturbTheEnd(t *testing.T) {
	var left sync.WaitGroup
	stop := make(chan struct{})
	r := streamServer(func(_ context.Context, _ topic, s *ginx.Stream) error {
		running := make(chan struct{})
		left.Go(func() {
			close(running)
			for s.Ping() == nil {
			}
			<-stop
		})
		<-running
		return ginx.NewError(5, "over")
	})
	for range 50 {
		body := get(r, "/").Body.String()
		if strings.HasPrefix(body, "{") {
			require.JSONEq(t, `{"code":5,"msg":"over","data":null}`, body)
			continue
		}
		require.True(t, strings.HasSuffix(body, "event: error\ndata: {\"code\":5,\"msg\":\"over\",\"data\":null}\n\n"), body)
	}
	close(stop)
	left.Wait()
}

func TestBrokenConnectionsEndTheStream(t *testing.T) {
	var got error
	r := streamServer(func(_ context.Context, _ topic, s *ginx.Stream) error {
		got = s.Send(ginx.Event{Data: "x"})
		return got
	})
	r.ServeHTTP(&partial{sink{header: http.Header{}}}, httptest.NewRequest(http.MethodGet, "/", nil))
	require.ErrorIs(t, got, io.ErrShortWrite)
}

func TestManyGoroutinesMaySend(t *testing.T) {
	const senders, each = 8, 50
	r := streamServer(func(_ context.Context, _ topic, s *ginx.Stream) error {
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for range each {
					if err := s.Send(ginx.Event{Data: "whole"}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		return nil
	})
	require.Equal(t, strings.Repeat("data: whole\n\n", senders*each), get(r, "/").Body.String())
}

func TestStreamOutlivesTheServersWriteTimeout(t *testing.T) {
	release := make(chan struct{})
	r := streamServer(func(_ context.Context, _ topic, s *ginx.Stream) error {
		if err := s.Send(ginx.Event{Data: "first"}); err != nil {
			return err
		}
		<-release
		return s.Send(ginx.Event{Data: "second"})
	})
	server := httptest.NewUnstartedServer(r)
	const limit = 30 * time.Millisecond
	server.Config.WriteTimeout = limit
	server.Start()
	defer server.Close()
	begun := time.Now()
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	require.True(t, lines.Scan())
	require.Equal(t, "data: first", lines.Text(), "it arrives while the handler is still at work")
	time.AfterFunc(limit*2-time.Since(begun), func() { close(release) })
	var rest []string
	for lines.Scan() {
		rest = append(rest, lines.Text())
	}
	require.NoError(t, lines.Err())
	require.Equal(t, []string{"", "data: second", ""}, rest)
}

// patient is a connection that remembers its write deadline.
type patient struct {
	*httptest.ResponseRecorder
	deadline, atWrite time.Time
}

func (p *patient) SetWriteDeadline(t time.Time) error {
	p.deadline = t
	return nil
}

func (p *patient) Write(b []byte) (int, error) {
	p.atWrite = p.deadline
	return p.ResponseRecorder.Write(b)
}

// An HTTP/2 server resets a stream at its deadline, written to or not.
func TestQuietStreamsMissNoDeadline(t *testing.T) {
	w := &patient{ResponseRecorder: httptest.NewRecorder(), deadline: time.Now()}
	r := streamServer(func(_ context.Context, _ topic, s *ginx.Stream) error {
		require.Zero(t, w.deadline, "that of the server's WriteTimeout")
		require.NoError(t, s.Send(ginx.Event{Data: 1}))
		require.Greater(t, time.Until(w.atWrite), time.Second, "a stalled client is given up")
		require.Zero(t, w.deadline, "nothing is under way")
		return errors.New("broken")
	})
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Contains(t, w.Body.String(), "event: error")
	require.Greater(t, time.Until(w.deadline), time.Second, "the server still has to end the body")
}
