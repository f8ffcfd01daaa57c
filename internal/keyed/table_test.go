package keyed_test

import (
	"math"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/internal/keyed"
)

func newTable(t require.TestingT, capacity int, full keyed.Full) *keyed.Table[int64] {
	table, err := keyed.NewTable(capacity, full, func(_ int, v *int64) int64 { return *v })
	require.NoError(t, err)
	return table
}

// put sets the value of key to when it becomes idle.
func put(table *keyed.Table[int64], key string, now, until int64) bool {
	h := table.Hash(key)
	s := table.Shard(h)
	s.Lock()
	defer s.Unlock()
	v := s.Find(h)
	if v == nil {
		if v = s.Insert(h, now); v == nil {
			return false
		}
	}
	*v = until
	return true
}

func get(table *keyed.Table[int64], key string) (int64, bool) {
	h := table.Hash(key)
	s := table.Shard(h)
	s.Lock()
	defer s.Unlock()
	if v := s.Find(h); v != nil {
		return *v, true
	}
	return 0, false
}

// The model is a map: every busy key must be found with its value, the table must
// never exceed its capacity, and may refuse only when it is full of busy keys.
func TestTableAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 60).Draw(t, "capacity")
		table := newTable(t, capacity, keyed.Refuse)
		model := map[string]int64{}
		now := int64(1)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				key := strconv.Itoa(rapid.IntRange(0, 99).Draw(t, "key"))
				// A time in sight only moves later, as NewTable asks.
				until := max(now+rapid.Int64Range(1, 50e6).Draw(t, "busy"), model[key])
				busy := 0
				for _, u := range model {
					if u > now-20e6 { // the search for idle keys may lag by its pause
						busy++
					}
				}
				if put(table, key, now, until) {
					model[key] = until
				} else {
					require.NotContains(t, model, key)
					require.GreaterOrEqual(t, busy, capacity)
				}
			},
			"advance": func(t *rapid.T) { now += rapid.Int64Range(1, 30e6).Draw(t, "by") },
			"": func(t *rapid.T) {
				require.LessOrEqual(t, table.Len(), capacity)
				for key, until := range model {
					got, ok := get(table, key)
					if !ok {
						require.LessOrEqual(t, until, now, "a busy key was forgotten")
						delete(model, key)
						continue
					}
					require.Equal(t, until, got)
				}
			},
		})
	})
}

func TestFullTableEvictsTheLeastBusyWhenTold(t *testing.T) {
	table := newTable(t, 8, keyed.Evict)
	for i := range 8 {
		require.True(t, put(table, strconv.Itoa(i), 0, int64(100+i)))
	}
	require.True(t, put(table, "new", 1, 500))
	require.Equal(t, 8, table.Len())
	_, ok := get(table, "0")
	require.False(t, ok)
	_, ok = get(table, "7")
	require.True(t, ok)
}

func TestPinnedValuesAreNeverEvicted(t *testing.T) {
	table := newTable(t, 4, keyed.Evict)
	for i := range 4 {
		require.True(t, put(table, strconv.Itoa(i), 0, math.MaxInt64))
	}
	require.False(t, put(table, "new", 1, 500))
	require.Equal(t, 4, table.Len())
}

func TestAFloodOfNewKeysSearchesAFullTableSeldom(t *testing.T) {
	looked := 0
	table, err := keyed.NewTable(1000, keyed.Refuse, func(_ int, v *int64) int64 { looked++; return *v })
	require.NoError(t, err)
	for i := range 1000 {
		require.True(t, put(table, strconv.Itoa(i), 0, 1e9))
	}
	looked = 0
	for i := range 10_000 {
		require.False(t, put(table, "flood"+strconv.Itoa(i), 1+int64(i), 1e9))
	}
	require.LessOrEqual(t, looked, 1000)
	require.True(t, put(table, "later", 1e9, 2e9), "idle keys make room once their time has come")
}

func TestASearchThatFoundNothingDoesNotHideLaterIdleKeys(t *testing.T) {
	table := newTable(t, 20, keyed.Refuse)
	for i := range 19 {
		require.True(t, put(table, strconv.Itoa(i), 0, 1e12))
	}
	require.True(t, put(table, "short", 0, 1e9))
	require.False(t, put(table, "new", 1, 2e9))
	require.True(t, put(table, "new", 1e9, 2e9))
	require.False(t, put(table, "newer", 15e8, 3e9))
	require.True(t, put(table, "newer", 2e9, 3e9))
}

func TestTableSpendsFewBytesPerKey(t *testing.T) {
	const keys = 1_000_000
	table := newTable(t, 2*keys, keyed.Refuse)
	before := heap()
	for i := range keys {
		require.True(t, put(table, strconv.Itoa(i), 0, 1e9))
	}
	perKey := float64(heap()-before) / keys
	runtime.KeepAlive(table)
	t.Logf("%.1f bytes for each of %d keys", perKey, keys)
	require.LessOrEqual(t, perKey, 40.0)
	require.Equal(t, keys, table.Len())
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestNewTableRefusesAnEmptyCapacity(t *testing.T) {
	_, err := keyed.NewTable(0, keyed.Refuse, func(int, *int) int64 { return 0 })
	require.ErrorContains(t, err, "capacity 0")
}
