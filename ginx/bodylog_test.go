package ginx_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

func TestBodiesAreLoggedOnlyOnDemandMaskedAndByType(t *testing.T) {
	const in = `{"phone":"13812345678","password":"hunter22","nested":{"Refresh_Token":{"a":[1,"x"]},"n":1},"refreshToken":12,"p\u0061ssword": "hunter33" ,"age":3,"passwo`
	echo := func(contentType, encoding string) gin.HandlerFunc {
		return func(c *gin.Context) {
			body, _ := c.GetRawData()
			if encoding != "" {
				c.Header("Content-Encoding", encoding)
			}
			c.Data(200, contentType, body)
		}
	}
	serve := func(contentType string, h gin.HandlerFunc, body string, opts ...ginx.AccessLogOption) line {
		log, lines := newLog()
		r := gin.New()
		r.Use(ginx.AccessLog(log, opts...))
		r.POST("/", h)
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		w := do(r, req)
		require.Equal(t, body, w.Body.String())
		return lines.only(t)
	}
	both := []ginx.AccessLogOption{ginx.WithRequestBody(), ginx.WithResponseBody()}

	l := serve("application/json", echo("application/json; charset=utf-8", ""), in, both...)
	for _, key := range []string{"request_body", "response_body"} {
		got := l.text(key)
		for _, secret := range []string{"hunter22", "hunter33", "13812345678", `"x"`, ":12"} {
			require.NotContains(t, got, secret, key)
		}
		require.Contains(t, got, `"n":1`)
		require.Contains(t, got, `"age":3`)
		require.False(t, l.has(key+"_truncated"))
	}
	only := serve("application/json", echo("application/json", ""), `{"a":1}`, ginx.WithRequestBody())
	require.Equal(t, `{"a":1}`, only.text("request_body"))
	require.False(t, only.has("response_body"))
	only = serve("application/json", echo("application/json", ""), `{"a":1}`, ginx.WithResponseBody())
	require.Equal(t, `{"a":1}`, only.text("response_body"))
	require.False(t, only.has("request_body"))

	form := serve("application/x-www-form-urlencoded", echo("image/png", ""), "a=b&pass%77ord=hunter22&phone=13812345678&x", both...)
	require.NotContains(t, form.text("request_body"), "hunter22")
	require.NotContains(t, form.text("request_body"), "13812345678")
	require.Contains(t, form.text("request_body"), "a=b&")
	require.False(t, form.has("response_body"), "an image is no text")

	zipped := serve("application/json", echo("application/json", "gzip"), `{"a":1}`, both...)
	require.False(t, zipped.has("response_body"))
	text := serve("text/csv", echo("text/html", ""), "a,b", append(both, ginx.WithBodyTypes("text/*"), ginx.WithBodyBytes(2))...)
	require.Equal(t, "a,", text.text("request_body"))
	require.Equal(t, "a,", text.text("response_body"))
	require.True(t, text.has("request_body_truncated"))
}

// A proxy's transport may still be reading when the server behind has answered.
func TestBodiesReadBehindTheHandlersBackAreLoggedWithoutARace(t *testing.T) {
	log, lines := newLog()
	var reading sync.WaitGroup
	r := gin.New()
	r.Use(ginx.AccessLog(log, ginx.WithRequestBody()))
	r.POST("/", func(c *gin.Context) {
		body, begun := c.Request.Body, make(chan struct{})
		reading.Go(func() {
			_, _ = body.Read(make([]byte, 1))
			close(begun)
			_, _ = io.Copy(io.Discard, body)
		})
		<-begun
	})
	for range 20 {
		post(r, "/", `["`+strings.Repeat("a", 1000)+`"]`)
		reading.Wait()
	}
	for _, l := range lines.all() {
		require.True(t, strings.HasPrefix(l.text("request_body"), "["))
	}
}
