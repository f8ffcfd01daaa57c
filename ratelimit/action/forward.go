package action

import (
	"context"
	"errors"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// ErrLoop is added to the error of a call that would be forwarded a second time.
var ErrLoop = errors.New("action: forwarded before")

type hopsKey struct{}

// Hops returns how often the call of ctx was forwarded already.
func Hops(ctx context.Context) int {
	n, _ := ctx.Value(hopsKey{}).(int)
	return n
}

// WithHops returns a context whose call was forwarded n times. An edge, such as an
// HTTP or gRPC server, sets it from what the other side's [Hops] were sent as; a
// value from outside must not be trusted to be low.
func WithHops(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, hopsKey{}, n)
}

// reserve is the part of a deadline that stays here, to answer when the other
// place does not: a tenth.
const reserve = 10

// Forward returns the Action that lets another place do the work: run calls it.
// The target has a limiter of its own, which is asked under the same key and cost;
// a denial there rejects the call. A call is forwarded once only, and nine tenths
// of the time left go with it.
func Forward[T any](target ratelimit.Limiter, run func(context.Context) (T, error)) Action[T] {
	return func(ctx context.Context, c Call[T], d ratelimit.Decision) (none T, _ Handling, _ error) {
		hops := Hops(ctx)
		if hops > 0 {
			return none, Rejected, errors.Join(ErrLoop, &ratelimit.LimitedError{Decision: d})
		}
		d, err := target.Take(ctx, c.Key, c.Cost)
		if err != nil {
			return none, Rejected, err
		}
		if !d.Allowed {
			return reject[T](d)
		}
		ctx = WithHops(ctx, hops+1)
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/reserve))
			defer cancel()
		}
		v, err := run(ctx)
		return v, Forwarded, err
	}
}
