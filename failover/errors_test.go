package failover_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover"
)

// TestABreakerAroundAGroupHearsOfFailuresNotOfRefusals classifies the group's errors as
// a breaker further out does.
func TestABreakerAroundAGroupHearsOfFailuresNotOfRefusals(t *testing.T) {
	g := group(t, 2, failover.Config{}, failover.WithOrder())
	g.providers[0].answer(errNo)
	for range 5 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
	}
	require.Equal(t, failover.Out, g.events()[0].Kind)
	g.providers[1].answer(errNo)
	_, err := failover.Do(t.Context(), g.Group, ask)
	require.ErrorIs(t, err, circuitbreaker.ErrOpen, "the first was not tried")
	require.ErrorIs(t, err, errNo, "the second was")
	require.Equal(t, circuitbreaker.Failure, circuitbreaker.Classify(t.Context(), err))

	for _, name := range []string{"a", "b"} {
		require.NoError(t, g.SetMode(name, failover.Drained))
	}
	_, err = failover.Do(t.Context(), g.Group, ask)
	require.ErrorIs(t, err, failover.ErrUnavailable)
	require.Equal(t, circuitbreaker.Neutral, circuitbreaker.Classify(t.Context(), errors.Join(err)))
}

// waiting is the refusal of a judge that knows when it may admit again.
type waiting time.Duration

func (waiting) Error() string               { return "not now" }
func (w waiting) RetryAfter() time.Duration { return time.Duration(w) }

func TestTheFirstProviderToComeBackDecidesWhenToTryAgain(t *testing.T) {
	refused := func(errs ...error) *failover.CallError {
		e := &failover.CallError{Group: "sms"}
		for _, err := range errs {
			e.Attempts = append(e.Attempts, failover.Attempt{Err: err})
		}
		return e
	}
	e := refused(waiting(30*time.Second), waiting(2*time.Second), errors.New("drained"), waiting(time.Duration(0)))
	require.Equal(t, 2*time.Second, e.RetryAfter())
	e.Attempts = append(e.Attempts, failover.Attempt{Tried: true, Err: waiting(time.Second)})
	require.Equal(t, 2*time.Second, e.RetryAfter(), "one that was asked says when to ask that one again")
	require.Zero(t, refused(errors.New("drained")).RetryAfter())
	var asked interface{ RetryAfter() time.Duration }
	require.ErrorAs(t, fmt.Errorf("sms: %w", e), &asked)
	require.Equal(t, 2*time.Second, asked.RetryAfter(), "not that of whoever stands first")
}
