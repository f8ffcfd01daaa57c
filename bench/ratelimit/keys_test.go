package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/stretchr/testify/require"
	"github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/memory"
	"golang.org/x/time/rate"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// keyedContender makes a limiter for many keys, with some hundred permits for each.
type keyedContender struct {
	name string
	make func(testing.TB) func(key string) bool
}

func keyedContenders() []keyedContender {
	return []keyedContender{
		{"bulwark TokenBucket", func(tb testing.TB) func(string) bool {
			l, err := ratelimit.NewTokenBucket(ratelimit.PerHour(100), ratelimit.WithBurst(100), ratelimit.WithCapacity(1<<21))
			require.NoError(tb, err)
			return func(key string) bool { d, _ := l.Take(background, key, 1); return d.Allowed }
		}},
		{"RWMutex map of x/time/rate", func(testing.TB) func(string) bool {
			var mu sync.RWMutex
			buckets := map[string]*rate.Limiter{}
			return func(key string) bool {
				mu.RLock()
				l, ok := buckets[key]
				mu.RUnlock()
				if !ok {
					mu.Lock()
					if l, ok = buckets[key]; !ok {
						l = rate.NewLimiter(rate.Every(36*time.Second), 100)
						buckets[key] = l
					}
					mu.Unlock()
				}
				return l.Allow()
			}
		}},
		{"go-limiter", func(tb testing.TB) func(string) bool {
			store, err := memorystore.New(&memorystore.Config{Tokens: 100, Interval: time.Hour})
			require.NoError(tb, err)
			tb.Cleanup(func() { _ = store.Close(background) })
			return func(key string) bool { _, _, _, ok, _ := store.Take(background, key); return ok }
		}},
		{"ulule", func(testing.TB) func(string) bool {
			l := limiter.New(memory.NewStore(), limiter.Rate{Period: time.Hour, Limit: 100})
			return func(key string) bool { c, _ := l.Get(background, key); return !c.Reached }
		}},
	}
}

// BenchmarkKeys asks for keys of a Zipf distribution, after each has been seen
// once, and reports the heap that each key takes beyond its own text.
func BenchmarkKeys(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = "user:" + strconv.Itoa(i)
		}
		order := zipf(n)
		for _, c := range keyedContenders() {
			b.Run(fmt.Sprintf("%.0e keys/%s", float64(n), c.name), func(b *testing.B) {
				before := heap()
				ask := c.make(b)
				for _, key := range keys {
					ask(key)
				}
				perKey := float64(heap()-before) / float64(n)
				b.Run("serial", func(b *testing.B) {
					b.ReportAllocs()
					i := 0
					for b.Loop() {
						ask(keys[order[i&(len(order)-1)]])
						i++
					}
					b.ReportMetric(perKey, "B/key")
				})
				for _, goroutines := range []int{2, 8} {
					b.Run("parallel"+strconv.Itoa(goroutines), func(b *testing.B) {
						b.ReportAllocs()
						b.SetParallelism(max(goroutines/runtime.GOMAXPROCS(0), 1))
						b.RunParallel(func(p *testing.PB) {
							i := rand.IntN(len(order))
							for p.Next() {
								ask(keys[order[i&(len(order)-1)]])
								i++
							}
						})
					})
				}
			})
		}
	}
}

// zipf draws indexes with s = 1.1, as many as a power of two.
func zipf(n int) []int {
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, uint64(n-1))
	order := make([]int, 1<<18)
	for i := range order {
		order[i] = int(z.Uint64())
	}
	return order
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
