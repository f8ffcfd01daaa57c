package ginx

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// Timeout gives the handlers behind it a context that ends after d, which must
// be positive. It starts no goroutine: the handler is trusted to return when its
// context ends, so nothing ever writes to a finished response. If it then has
// not answered, the answer is 504. An earlier deadline of the request holds.
func Timeout(d time.Duration) (gin.HandlerFunc, error) {
	if d <= 0 {
		return nil, fmt.Errorf("ginx: Timeout: d must be positive, got %v", d)
	}
	return func(c *gin.Context) {
		request := c.Request
		ctx, cancel := context.WithTimeout(request.Context(), d)
		defer cancel()
		c.Request = request.WithContext(ctx)
		// What stands in front must see the request's own context again, not
		// one that we have cancelled.
		defer func() { c.Request = request }()
		c.Next()
		if ctx.Err() == context.DeadlineExceeded && unanswered(c) {
			Abort(c, ctx.Err())
		}
	}, nil
}

// unanswered tells whether the handler left neither body nor status.
func unanswered(c *gin.Context) bool {
	return !c.Writer.Written() && c.Writer.Status() == http.StatusOK
}

// Detach returns a context for work that goes on after the answer, and its
// cancel function: it keeps the values of ctx, the trace for example, and ends
// after timeout instead of with the request.
//
//	ctx, cancel := ginx.Detach(ctx, 10*time.Second)
//	go func() { defer cancel(); index(ctx, article) }()
func Detach(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}
