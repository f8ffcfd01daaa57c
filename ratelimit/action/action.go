// Package action says what becomes of a call that a limiter denies: it is rejected,
// waits, gets a default value, goes to another place, or is accepted for later.
// Each is an [Action], the same for HTTP handlers, gRPC interceptors and SMS
// senders:
//
//	page, how, err := action.Do(ctx, limiter, action.Call[Page]{Key: user, Cost: 1, Run: load}, action.Default(cachedPage))
//
// The [Handling] that comes with each result tells what has happened, so that a
// default is never mistaken, or cached, for the real thing.
//
// Errors: a rejected call ends with a [*ratelimit.LimitedError]; [ErrLoop] is added
// for one that was forwarded before, and [ErrQueueFull] for one that found no room
// to be kept for later. What limiters, calls and queues return comes out as it is.
package action

import (
	"context"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Call is work that a limiter decides about.
type Call[T any] struct {
	// Key and Cost are what the limiter is asked for.
	Key  string
	Cost int64
	// Run does the work.
	Run func(context.Context) (T, error)
}

// Handling tells what became of a call. The zero Handling is Rejected.
type Handling uint8

// The handlings.
const (
	// Rejected: nothing was done.
	Rejected Handling = iota
	// Ran: the call was admitted and ran.
	Ran
	// Waited: it ran after it had waited.
	Waited
	// Defaulted: the result is a stand-in. Do not cache it.
	Defaulted
	// Forwarded: another place did it.
	Forwarded
	// Queued: it was accepted, and will be done later.
	Queued
)

var names = [...]string{"rejected", "ran", "waited", "defaulted", "forwarded", "queued"}

// String returns the handling as a label value; "unknown" when out of range.
func (h Handling) String() string {
	if int(h) >= len(names) {
		return "unknown"
	}
	return names[h]
}

// Action handles a call that was denied with the Decision.
type Action[T any] func(context.Context, Call[T], ratelimit.Decision) (T, Handling, error)

// Do runs the call if the limiter admits it, and otherwise does what limited says.
// When the limiter fails, its error is returned and nothing has run; wrap it with a
// failure policy to go on in that case.
func Do[T any](ctx context.Context, l ratelimit.Limiter, c Call[T], limited Action[T]) (T, Handling, error) {
	d, err := l.Take(ctx, c.Key, c.Cost)
	if err != nil {
		var none T
		return none, Rejected, err
	}
	if !d.Allowed {
		return limited(ctx, c, d)
	}
	v, err := c.Run(ctx)
	return v, Ran, err
}

// Reject returns the Action that ends the call with a [*ratelimit.LimitedError].
func Reject[T any]() Action[T] {
	return func(_ context.Context, _ Call[T], d ratelimit.Decision) (T, Handling, error) {
		return reject[T](d)
	}
}

func reject[T any](d ratelimit.Decision) (none T, _ Handling, _ error) {
	return none, Rejected, &ratelimit.LimitedError{Decision: d}
}

// Wait returns the Action that waits for its turn with w, usually the limiter
// itself, and then runs the call. A wait that w denies, for it would be too long,
// rejects the call.
func Wait[T any](w ratelimit.Waiter) Action[T] {
	return func(ctx context.Context, c Call[T], _ ratelimit.Decision) (none T, _ Handling, _ error) {
		d, err := w.Wait(ctx, c.Key, c.Cost)
		if err != nil {
			return none, Rejected, err
		}
		if !d.Allowed {
			return reject[T](d)
		}
		v, err := c.Run(ctx)
		return v, Waited, err
	}
}

// Default returns the Action that answers with what value returns instead. It is
// for reads only: a write that was not done must not look as if it were.
func Default[T any](value func(context.Context) (T, error)) Action[T] {
	return func(ctx context.Context, _ Call[T], _ ratelimit.Decision) (T, Handling, error) {
		v, err := value(ctx)
		return v, Defaulted, err
	}
}
