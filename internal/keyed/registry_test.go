package keyed_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/keyed"
)

type cell struct {
	key  string
	busy atomic.Bool
}

func newRegistry(t *testing.T, capacity int) *keyed.Registry[*cell] {
	t.Helper()
	r, err := keyed.NewRegistry(capacity, func(key string) *cell { return &cell{key: key} },
		func(c *cell) bool { return !c.busy.Load() })
	require.NoError(t, err)
	return r
}

func TestRegistryGivesEachKeyItsOwnValue(t *testing.T) {
	r := newRegistry(t, 10)
	a, err := r.Get("a")
	require.NoError(t, err)
	b, err := r.Get("b")
	require.NoError(t, err)
	again, err := r.Get("a")
	require.NoError(t, err)
	require.Same(t, a, again)
	require.Equal(t, "a", a.key)
	require.Equal(t, "b", b.key)
	found, ok := r.Find("b")
	require.True(t, ok)
	require.Same(t, b, found)
	_, ok = r.Find("c")
	require.False(t, ok, "Find must not create")
	require.Equal(t, 2, r.Len())
	seen := map[string]*cell{}
	for k, v := range r.All() {
		seen[k] = v
	}
	require.Equal(t, map[string]*cell{"a": a, "b": b}, seen)
}

func TestFullRegistryEvictsOnlyIdleValues(t *testing.T) {
	r := newRegistry(t, 3)
	for i := range 3 {
		c, err := r.Get(strconv.Itoa(i))
		require.NoError(t, err)
		c.busy.Store(i != 1)
	}
	_, err := r.Get("new")
	require.NoError(t, err)
	require.Equal(t, 3, r.Len())
	_, ok := r.Find("1")
	require.False(t, ok)
	for _, key := range []string{"0", "2", "new"} {
		c, ok := r.Find(key)
		require.True(t, ok, key)
		c.busy.Store(true)
	}
	_, err = r.Get("one too many")
	require.ErrorIs(t, err, keyed.ErrFull)
	_, err = r.Get("0")
	require.NoError(t, err, "a known key is always served")
	require.Equal(t, 3, r.Len())
}

func TestRegistryPrefersWhatWasNotUsedLately(t *testing.T) {
	r := newRegistry(t, 4)
	for _, key := range []string{"a", "b", "c", "d"} {
		_, err := r.Get(key)
		require.NoError(t, err)
	}
	for _, key := range []string{"a", "b", "d"} {
		_, err := r.Get(key)
		require.NoError(t, err)
	}
	_, err := r.Get("e")
	require.NoError(t, err)
	_, ok := r.Find("c")
	require.False(t, ok)
}

func TestRegistryStaysWithinItsCapacityUnderConcurrency(t *testing.T) {
	const capacity = 50
	r := newRegistry(t, capacity)
	var wg sync.WaitGroup
	var over atomic.Int64
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				key := fmt.Sprintf("%d", (i*7+g*13)%200)
				c, err := r.Get(key)
				if err != nil || c.key != key || r.Len() > capacity {
					over.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, over.Load())
	require.Equal(t, capacity, r.Len())
}

func TestNewRegistryNamesEachBadArgument(t *testing.T) {
	_, err := keyed.NewRegistry[int](0, nil, nil)
	require.ErrorContains(t, err, "capacity 0")
	require.ErrorContains(t, err, "create")
	require.ErrorContains(t, err, "idle")
}

func TestRegistryLookupDoesNotAllocate(t *testing.T) {
	r := newRegistry(t, 10)
	key := strconv.Itoa(12345)
	_, err := r.Get(key)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = r.Get(key) }))
}
