package service

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// Only so many hash at once; the others wait, as long as their requests may. It is
// an internal test because only the slots themselves can be filled for certain.
func TestWhoHasNoTimeLeftDoesNotWaitToHash(t *testing.T) {
	p, err := newPasswords(bcrypt.MinCost)
	require.NoError(t, err)
	for range runtime.GOMAXPROCS(0) {
		require.NoError(t, p.enter(t.Context()))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // each time: with a free slot it would be now and then
		_, err = p.hash(ctx, "correct#horse7")
		require.ErrorIs(t, err, context.Canceled)
		_, err = p.match(ctx, "", "correct#horse7")
		require.ErrorIs(t, err, context.Canceled)
	}

	p.leave()
	hash, err := p.hash(t.Context(), "correct#horse7")
	require.NoError(t, err)
	ok, err := p.match(t.Context(), hash, "correct#horse7")
	require.NoError(t, err, "whoever hashed has left")
	require.True(t, ok)
}
