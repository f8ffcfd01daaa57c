package circuitbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

var errSibling, errWon = errors.New("sibling failed"), errors.New("another hedge won")

// TestEveryFormOfCancellationIsClassified counts each ending through Do: a failure
// opens the breaker, which opens at the first one.
func TestEveryFormOfCancellationIsClassified(t *testing.T) {
	cancelled := func(cause error) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Millisecond, func() { cancel(cause) })
			return ctx, func() { cancel(nil) }
		}
	}
	within := func(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
	}
	alive := func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }
	// Each fn waits until its context had the time to end.
	after := func(err error) func(context.Context) error {
		return func(context.Context) error { time.Sleep(2 * time.Second); return err }
	}
	const neutral, failure, success = circuitbreaker.Neutral, circuitbreaker.Failure, circuitbreaker.Success
	for _, c := range []struct {
		name string
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		fn   func(context.Context) error
		want circuitbreaker.Outcome
	}{
		{"the plain error", cancelled(nil), after(context.Canceled), neutral},
		{"wrapped, of a context further in", alive, after(fmt.Errorf("query: %w", context.Canceled)), neutral},
		{"joined with another error", alive, after(errors.Join(errDown, context.Canceled)), neutral},
		{"made a string, while the caller gave up", cancelled(nil), after(fmt.Errorf("rpc: %v", context.Canceled)), neutral},
		{"made a string by the other side", alive, after(fmt.Errorf("rpc: %v", context.Canceled)), failure},
		{"a sibling failed", cancelled(errSibling), func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }, neutral},
		{"another hedge won", cancelled(errWon), func(ctx context.Context) error { <-ctx.Done(); return errWon }, neutral},
		{"the caller gave up and hears of an error", cancelled(nil), after(errDown), neutral},
		{"the caller gave up but the answer came", cancelled(nil), after(nil), success},
		{"the deadline for this call", within(time.Second), func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, failure},
		{"the deadline for this call, with a cause", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Second, errDown)
		}, func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }, failure},
		{"a deadline further up that was nearly over", within(10 * time.Millisecond),
			func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, neutral},
		{"a time-out further in", alive, after(fmt.Errorf("dial: %w", context.DeadlineExceeded)), failure},
		{"a time-out of the network", alive, after(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), failure},
		{"a breaker further in is open", alive, after(fmt.Errorf("shard 2: %w", circuitbreaker.ErrOpen)), neutral},
		{"a limit further in refused", alive, after(fmt.Errorf("shard 2: %w", refusedError{true})), neutral},
		{"an error that sums up several calls, of which one was made", alive, after(sumError{refusedError{false}, circuitbreaker.ErrOpen}), failure},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, err := circuitbreaker.New(circuitbreaker.Config{Name: "x", RampStart: 1, Probes: 1, ProbeSuccesses: 1}, after1(), steady())
				require.NoError(t, err)
				admitted(t, b).Done(failure)
				time.Sleep(30 * time.Second)
				require.Equal(t, circuitbreaker.HalfOpen, b.State()) // where the three outcomes differ
				ctx, cancel := c.ctx(t.Context())
				defer cancel()
				_, _ = circuitbreaker.Do(ctx, b, func(ctx context.Context) (int, error) { return 0, c.fn(ctx) })
				want := map[circuitbreaker.Outcome]circuitbreaker.State{
					neutral: circuitbreaker.HalfOpen, failure: circuitbreaker.Open, success: circuitbreaker.Closed,
				}[c.want]
				require.Equal(t, want, b.State())
				require.Zero(t, b.Snapshot().ProbesInFlight)
			})
		})
	}
}

// refusedError is the refusal of a package that this one knows nothing of.
type refusedError struct{ refused bool }

func (refusedError) Error() string   { return "refused" }
func (r refusedError) Refused() bool { return r.refused }

// sumError sums up calls, and says itself what they mean together.
type sumError struct {
	refusedError
	err error
}

func (s sumError) Unwrap() error { return s.err }

func after1() circuitbreaker.Option { return after(1) }

func TestDoReturnsWhatTheFunctionReturned(t *testing.T) {
	b := newBreaker(t, circuitbreaker.Config{})
	for range 2 {
		n, err := circuitbreaker.Do(t.Context(), b, func(context.Context) (int, error) { return 7, errDown })
		require.Equal(t, 7, n)
		require.Same(t, errDown, err)
	}
	n, err := circuitbreaker.Do(t.Context(), b, func(context.Context) (int, error) { return 8, nil })
	require.NoError(t, err)
	require.Equal(t, 8, n)
	// One mark for each call: two failures and a success are no three in a row.
	_, _ = circuitbreaker.Do(t.Context(), b, func(context.Context) (int, error) { return 0, errDown })
	require.Equal(t, circuitbreaker.Closed, b.State())
	require.Zero(t, b.Snapshot().Misused)
}

func TestDoDoesNotCallUnderAContextThatHasEnded(t *testing.T) {
	b := newBreaker(t, circuitbreaker.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := circuitbreaker.Do(ctx, b, func(context.Context) (int, error) { t.Error("called"); return 0, nil })
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheClassifierDecidesWhatCounts(t *testing.T) {
	notFound := errors.New("not found")
	b := newBreaker(t, circuitbreaker.Config{}, circuitbreaker.WithClassifier(func(ctx context.Context, err error) circuitbreaker.Outcome {
		if errors.Is(err, notFound) {
			return circuitbreaker.Success
		}
		return circuitbreaker.Classify(ctx, err)
	}))
	for range 10 {
		_, err := circuitbreaker.Do(t.Context(), b, func(context.Context) (int, error) { return 0, notFound })
		require.Same(t, notFound, err)
	}
	require.Equal(t, circuitbreaker.Closed, b.State())
	for range 3 {
		_, _ = circuitbreaker.Do(t.Context(), b, func(context.Context) (int, error) { return 0, errDown })
	}
	require.Equal(t, circuitbreaker.Open, b.State())
}
