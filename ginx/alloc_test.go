//go:build !race

// The race detector makes sync.Pool drop what it is given, which then allocates.

package ginx_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

// devNull is a logger.Core that takes every line and keeps none.
type devNull struct{}

func (devNull) Enabled(logger.Level) bool              { return true }
func (d devNull) With([]logger.Field) logger.Core      { return d }
func (devNull) Write(_ logger.Entry, _ []logger.Field) {}

// allocations of one request, everything but the network included.
func allocations(body string, h ...gin.HandlerFunc) float64 {
	r := gin.New()
	r.POST("/", h...)
	reader := strings.NewReader(body)
	req := jsonRequest("/", nil)
	req.Body, req.ContentLength = io.NopCloser(reader), int64(len(body))
	w := &sink{header: http.Header{}}
	return testing.AllocsPerRun(200, func() {
		reader.Reset(body)
		r.ServeHTTP(w, req)
	})
}

func TestWrapperAllocatesNoMoreThanAHandlerWrittenByHand(t *testing.T) {
	const body = `{"title":"a","tags":["b","c"]}`
	byHand := allocations(body, func(c *gin.Context) {
		var req order
		if err := c.ShouldBindJSON(&req); err != nil {
			c.JSON(http.StatusBadRequest, ginx.Result{Code: 4})
			return
		}
		c.JSON(http.StatusOK, ginx.Result{Data: req.Title})
	})
	wrapped := allocations(body, ginx.WrapBody(func(_ context.Context, req order) (ginx.Result, error) {
		return ginx.Result{Data: req.Title}, nil
	}))
	require.LessOrEqual(t, wrapped, byHand)
}

func TestAccessLogAllocatesLittle(t *testing.T) {
	handler := func(c *gin.Context) { c.Status(http.StatusNoContent) }
	bare := allocations("", handler)
	logged := allocations("", ginx.AccessLog(logger.New(devNull{})), handler)
	require.LessOrEqual(t, logged-bare, 3.0, "one exchange, and two for gin to find the client address")
}
