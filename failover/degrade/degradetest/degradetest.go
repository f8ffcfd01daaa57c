// Package degradetest is the suite that every degrade.Store passes.
package degradetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/degrade"
)

// Store is a store under test and how to let time pass for it.
type Store struct {
	degrade.Store
	// Pass lets d pass for orders to end.
	Pass func(d time.Duration)
}

// Test runs the suite on stores that factory makes, each of them empty.
func Test(t *testing.T, factory func(t *testing.T) Store) {
	off := degrade.Order{Off: true, Owner: "ann", Reason: "too many writes: \"100 %\""}
	names := []string{"writes", "edge}{", "core"}
	load := func(t *testing.T, s Store) []degrade.Order {
		t.Helper()
		orders, err := s.Load(t.Context(), names)
		require.NoError(t, err)
		return orders
	}
	t.Run("empty", func(t *testing.T) {
		require.Equal(t, make([]degrade.Order, 3), load(t, factory(t)))
	})
	t.Run("orders hold for all who ask", func(t *testing.T) {
		s := factory(t)
		require.NoError(t, s.Put(t.Context(), "edge}{", off, time.Minute))
		require.Equal(t, []degrade.Order{{}, off, {}}, load(t, s))
		other := degrade.Order{Off: true, Owner: "ben"}
		require.NoError(t, s.Put(t.Context(), "edge}{", other, time.Minute))
		require.Equal(t, []degrade.Order{{}, other, {}}, load(t, s))
	})
	t.Run("orders are taken back", func(t *testing.T) {
		s := factory(t)
		require.NoError(t, s.Delete(t.Context(), "core"))
		require.NoError(t, s.Put(t.Context(), "core", off, time.Minute))
		require.NoError(t, s.Delete(t.Context(), "core"))
		require.Equal(t, make([]degrade.Order, 3), load(t, s))
	})
	t.Run("orders end by themselves", func(t *testing.T) {
		s := factory(t)
		require.NoError(t, s.Put(t.Context(), "writes", off, 300*time.Millisecond))
		require.NoError(t, s.Put(t.Context(), "core", off, time.Hour))
		s.Pass(300 * time.Millisecond)
		require.Equal(t, []degrade.Order{{}, {}, off}, load(t, s))
	})
}
