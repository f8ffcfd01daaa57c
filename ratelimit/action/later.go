package action

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// ErrQueueFull is returned by a [Queue] without room, and added to the error of a
// call that is rejected for it.
var ErrQueueFull = errors.New("action: queue is full")

// Queue keeps calls for later.
type Queue[T any] interface {
	// Enqueue keeps the call, and returns what its caller gets for an answer.
	//
	// It returns only after the call is stored durably. It must be bounded, and
	// return [ErrQueueFull] beyond; keep a call that comes twice only once; and
	// let go of one that nobody can want any more. Whoever empties it asks the
	// limiter for each call, best with [ratelimit.Waiter], so that the backlog is
	// no herd.
	Enqueue(context.Context, Call[T]) (T, error)
}

// Later returns the Action that keeps the call in q, to be done when there is
// room. Only then it is acknowledged. When q is full the call is rejected.
func Later[T any](q Queue[T]) Action[T] {
	return func(ctx context.Context, c Call[T], d ratelimit.Decision) (none T, _ Handling, _ error) {
		v, err := q.Enqueue(ctx, c)
		switch {
		case errors.Is(err, ErrQueueFull):
			return none, Rejected, errors.Join(err, &ratelimit.LimitedError{Decision: d})
		case err != nil:
			return none, Rejected, err
		default:
			return v, Queued, nil
		}
	}
}
