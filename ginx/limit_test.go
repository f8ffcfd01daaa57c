package ginx_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

func TestBodiesAreLimited(t *testing.T) {
	limit := func(n int64) gin.HandlerFunc {
		h, err := ginx.BodyLimit(n)
		require.NoError(t, err)
		return h
	}
	echo := ginx.WrapBody(func(_ context.Context, s string) (ginx.Result, error) { return ginx.Result{Data: len(s)}, nil })
	raw := func(c *gin.Context) {
		_, err := io.ReadAll(c.Request.Body)
		var over *http.MaxBytesError
		c.String(http.StatusOK, strconv.FormatBool(errors.As(err, &over)))
	}
	r := gin.New()
	r.POST("/default", echo)
	group := r.Group("/group", limit(100))
	group.POST("/same", echo)
	group.POST("/raised", limit(200), echo)
	group.POST("/lowered", limit(50), echo)
	group.POST("/raw", raw)
	server := httptest.NewServer(r)
	defer server.Close()

	send := func(path string, size int, chunked bool) (int, reply) {
		var body io.Reader = strings.NewReader(`"` + strings.Repeat("a", size-2) + `"`)
		if chunked {
			body = struct{ io.Reader }{body} // length unknown: found out while reading
		}
		resp, err := server.Client().Post(server.URL+path, "application/json", body)
		require.NoError(t, err)
		defer resp.Body.Close()
		var got reply
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		_ = json.Unmarshal(text, &got)
		if resp.Header.Get("Content-Type") == "text/plain; charset=utf-8" {
			got.Msg = string(text)
		}
		return resp.StatusCode, got
	}
	for _, chunked := range []bool{false, true} {
		for path, max := range map[string]int{
			"/default": 1 << 20, "/group/same": 100, "/group/raised": 200, "/group/lowered": 50,
		} {
			status, _ := send(path, max, chunked)
			require.Equal(t, http.StatusOK, status, path)
			status, got := send(path, max+1, chunked)
			require.Equal(t, http.StatusRequestEntityTooLarge, status, path)
			require.Equal(t, ginx.CodeClient, got.Code)
			require.Equal(t, "request body is larger than "+strconv.Itoa(max)+" bytes", got.Msg)
		}
		_, got := send("/group/raw", 101, chunked)
		require.Equal(t, "true", got.Msg, "untyped handlers meet the limit too")
		_, got = send("/group/raw", 100, chunked)
		require.Equal(t, "false", got.Msg)
	}
	_, err := ginx.BodyLimit(0)
	require.ErrorContains(t, err, "n must be positive, got 0")
}

func TestTheGreatestLimitLetsBodiesThrough(t *testing.T) {
	h, err := ginx.BodyLimit(math.MaxInt64)
	require.NoError(t, err)
	r := gin.New()
	r.POST("/", h, ginx.WrapBody(func(_ context.Context, n int) (ginx.Result, error) { return ginx.Result{Data: n}, nil }))
	require.JSONEq(t, "7", string(parse(t, post(r, "/", "7")).Data))
}

// brokenBody fails as a connection does.
type brokenBody struct{ err error }

func (b brokenBody) Read([]byte) (int, error) { return 0, b.err }

func TestBrokenBodiesAreNotOurFailure(t *testing.T) {
	r := bodyServer[order]()
	req := jsonRequest("/", brokenBody{io.ErrUnexpectedEOF})
	w := do(r, req)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, "request body could not be read", parse(t, w).Msg)

	gone, leave := context.WithCancel(t.Context())
	leave()
	w = do(r, jsonRequest("/", brokenBody{io.ErrUnexpectedEOF}).WithContext(gone))
	require.Equal(t, ginx.StatusClientClosedRequest, w.Code)
}
