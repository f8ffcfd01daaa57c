package idempotency_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/observe"
)

func ExampleNewBloom() {
	bloom, err := idempotency.NewBloom(idempotency.BloomConfig{Name: "reads", Keys: 1_000_000, Rotate: 24 * time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := bloom.Snapshot()
	fmt.Println(s.Bytes>>10, "KiB,", s.Keys, "keys")
	// Output: 2692 KiB, 0 keys
}

func bloom(t testing.TB, cfg idempotency.BloomConfig) *idempotency.Bloom {
	t.Helper()
	cfg.Name = "test"
	b, err := idempotency.NewBloom(cfg)
	require.NoError(t, err)
	return b
}

func remember(t testing.TB, f idempotency.Filter, ids ...string) {
	t.Helper()
	marks := make([]idempotency.Mark, len(ids))
	for i, id := range ids {
		marks[i].Key = scope.Key(id).Fingerprint()
	}
	require.NoError(t, f.Remember(t.Context(), marks))
}

func seen(t testing.TB, f idempotency.Filter, id string) bool {
	t.Helper()
	hints, err := f.Look(t.Context(), []idempotency.Fingerprint{scope.Key(id).Fingerprint()})
	require.NoError(t, err)
	require.Zero(t, hints[0].Digest)
	return hints[0].Seen
}

// By design: the share of false positives that was asked for, of a filter whose both
// generations are full, and about half of the bits set.
func TestBloomHoldsItsDesign(t *testing.T) {
	for share, bitsPerKey := range map[float64]float64{0.01: 11.03, 0.001: 15.82, 0.0001: 20.61} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			const n = 20_000
			b := bloom(t, idempotency.BloomConfig{Keys: n, FalsePositives: share})
			random := rand.New(rand.NewPCG(1, 2))
			key := func() (f idempotency.Fingerprint) {
				binary.LittleEndian.PutUint64(f[:], random.Uint64())
				binary.LittleEndian.PutUint64(f[8:], random.Uint64())
				return f
			}
			for range 2 * n {
				require.NoError(t, b.Remember(t.Context(), []idempotency.Mark{{Key: key()}}))
			}
			const looks = 200_000
			wrong := 0
			for range looks {
				hints, _ := b.Look(t.Context(), []idempotency.Fingerprint{key()})
				if hints[0].Seen {
					wrong++
				}
			}
			s := b.Snapshot()
			require.InDelta(t, bitsPerKey*n*2/8, s.Bytes, bitsPerKey*n/100)
			require.InDelta(t, 0.5, s.Fill, 0.02)
			require.InEpsilon(t, share, s.FalsePositives, 0.1)
			require.InDelta(t, share, float64(wrong)/looks, share/3+0.0001)
			require.Equal(t, int64(1), s.Rotations)
			t.Logf("%v asked for, %v found, %.2f bits a key and generation", share, float64(wrong)/looks, float64(s.Bytes)*8/2/n)
		})
	}
}

// Whatever is remembered after whatever else, the last Keys keys are seen.
func TestBloomForgetsNoneOfTheLast(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.IntRange(1, 40).Draw(rt, "keys")
		b := bloom(t, idempotency.BloomConfig{Keys: keys, FalsePositives: 0.3})
		n := rapid.IntRange(0, 150).Draw(rt, "n")
		for i := range n {
			remember(t, b, fmt.Sprint(i))
			for j := max(0, i-keys+1); j <= i; j++ {
				require.True(rt, seen(t, b, fmt.Sprint(j)), "%d of %d", j, i)
			}
		}
	})
}

func TestBloomNeverFillsUp(t *testing.T) {
	b := bloom(t, idempotency.BloomConfig{Keys: 100})
	for i := range 10_000 {
		remember(t, b, fmt.Sprint(i))
		s := b.Snapshot()
		require.Less(t, s.Fill, 0.6)
		require.LessOrEqual(t, s.FalsePositives, 0.02)
	}
	require.False(t, seen(t, b, "0"), "forgotten")
	require.Greater(t, b.Snapshot().Rotations, int64(90))
}

func TestBloomForgetsByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bloom(t, idempotency.BloomConfig{Keys: 1000, Rotate: time.Hour})
		remember(t, b, "a")
		time.Sleep(59 * time.Minute)
		remember(t, b, "b")
		require.Zero(t, b.Snapshot().Rotations)
		time.Sleep(2 * time.Minute)
		remember(t, b, "c")
		require.True(t, seen(t, b, "a"), "in the older generation")
		time.Sleep(61 * time.Minute)
		remember(t, b, "d")
		require.False(t, seen(t, b, "a"))
		require.True(t, seen(t, b, "c"))
		require.Equal(t, int64(2), b.Snapshot().Rotations)
	})
}

func TestBloomReadings(t *testing.T) {
	b := bloom(t, idempotency.BloomConfig{Keys: 100})
	for i := range 50 {
		remember(t, b, fmt.Sprint(i))
	}
	values := map[string]float64{}
	for r := range b.Readings() {
		require.Equal(t, observe.Values{"test"}, r.Values)
		require.NoError(t, r.Gauge.Validate())
		values[r.Gauge.Name] = r.Value
	}
	require.InDelta(t, 0.29, values["filter_fill_ratio"], 0.03)
	require.Contains(t, values, "filter_false_positive_ratio")
	require.Contains(t, values, "filter_rotations_total")
	for range b.Readings() {
		break
	}
}

func TestBloomAtOnce(t *testing.T) {
	b := bloom(t, idempotency.BloomConfig{Keys: 50})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				remember(t, b, fmt.Sprint(g, i))
				seen(t, b, fmt.Sprint(g, i))
				b.Snapshot()
			}
		})
	}
	wg.Wait()
}

func TestNewBloomRefuses(t *testing.T) {
	_, err := idempotency.NewBloom(idempotency.BloomConfig{FalsePositives: 2, Rotate: -1})
	require.ErrorIs(t, err, idempotency.ErrConfig)
	for _, field := range []string{"Name", "Keys 0", "FalsePositives 2", "Rotate -1ns"} {
		require.ErrorContains(t, err, field)
	}
}

func BenchmarkBloom(b *testing.B) {
	f := bloom(b, idempotency.BloomConfig{Keys: 1_000_000})
	mark := []idempotency.Mark{{Key: scope.Key("1").Fingerprint()}}
	key := []idempotency.Fingerprint{scope.Key("2").Fingerprint()}
	b.Run("remember", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			binary.LittleEndian.PutUint64(mark[0].Key[:], uint64(i)*0x9e3779b97f4a7c15)
			_ = f.Remember(b.Context(), mark)
		}
	})
	b.Run("look", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			binary.LittleEndian.PutUint64(key[0][:], uint64(i)*0x9e3779b97f4a7c15)
			_, _ = f.Look(b.Context(), key)
		}
	})
}
