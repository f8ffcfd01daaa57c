package ratelimit_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Breakers further out know denials by a method, not by an import.
func TestDenialsSayThatNoCallWasMade(t *testing.T) {
	for _, denial := range []error{ratelimit.ErrLimited, &ratelimit.LimitedError{}} {
		said, ok := errors.AsType[interface {
			error
			Refused() bool
		}](fmt.Errorf("pay: %w", denial))
		require.True(t, ok)
		require.True(t, said.Refused())
		require.ErrorIs(t, denial, ratelimit.ErrLimited)
	}
}
