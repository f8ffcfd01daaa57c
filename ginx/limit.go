package ginx

import (
	"fmt"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"
)

// DefaultBodyLimit is the size up to which wrappers read a body where no
// [BodyLimit] is set: 1 MiB, far above what forms and articles need.
const DefaultBodyLimit int64 = 1 << 20

type limitKey struct{}

// BodyLimit bounds the request bodies of the routes behind it to n bytes, for
// wrapped and untyped handlers alike; n must be positive. Among several the
// innermost holds, so a route can raise or lower the limit of its group. A
// wrapper answers 413 to more; an untyped handler reads an *http.MaxBytesError.
func BodyLimit(n int64) (gin.HandlerFunc, error) {
	if n <= 0 {
		return nil, fmt.Errorf("ginx: BodyLimit: n must be positive, got %d", n)
	}
	return func(c *gin.Context) {
		v, _ := c.Get(limitKey{})
		if b, ok := v.(*limitedBody); ok {
			b.limit = n
			return
		}
		b := &limitedBody{ReadCloser: c.Request.Body, writer: innermost(c.Writer), limit: n}
		c.Set(limitKey{}, b)
		if c.Request.Body != nil && c.Request.Body != http.NoBody {
			c.Request.Body = b
		}
	}, nil
}

// limitedBody puts off the decision to the first Read, when all middleware has
// had its say.
type limitedBody struct {
	io.ReadCloser
	writer http.ResponseWriter
	limit  int64
	capped io.ReadCloser
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.capped == nil {
		b.capped = http.MaxBytesReader(b.writer, b.ReadCloser, b.limit)
	}
	return b.capped.Read(p)
}

// innermost returns net/http's own writer: MaxBytesReader tells that one, and
// only that one, to close the connection of a client that sends too much.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}

func limitOf(c *gin.Context) int64 {
	v, _ := c.Get(limitKey{})
	if b, ok := v.(*limitedBody); ok {
		return b.limit
	}
	return DefaultBodyLimit
}
