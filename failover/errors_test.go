package failover_test

import (
	"errors"
	"testing"

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
