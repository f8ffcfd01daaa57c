package ratelimit_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/stretchr/testify/require"
	"github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/memory"
	uber "go.uber.org/ratelimit"
	"golang.org/x/time/rate"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
)

var background = context.Background()

// contender asks one limiter once.
type contender struct {
	name string
	ask  func() bool
}

const plenty = 1_000_000_000

// permitting are limiters that never refuse within a benchmark.
func permitting(tb testing.TB) []contender {
	bucket, err := ratelimit.NewBucket(ratelimit.PerSecond(plenty), ratelimit.WithBurst(plenty))
	require.NoError(tb, err)
	striped, err := ratelimit.NewStriped(bucket, 64)
	require.NoError(tb, err)
	keyed, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(plenty), ratelimit.WithBurst(plenty))
	require.NoError(tb, err)
	base := time.Now()
	all := []contender{
		{"floor time.Now", func() bool { return !time.Now().IsZero() }},
		{"floor time.Since", func() bool { return time.Since(base) > 0 }},
		{"bulwark Bucket.Allow", bucket.Allow},
		{"bulwark Bucket.Take", func() bool { d, _ := bucket.Take(background, "k", 1); return d.Allowed }},
		{"bulwark Striped.Allow", striped.Allow},
		{"bulwark TokenBucket, one key", func() bool { d, _ := keyed.Take(background, "user:42", 1); return d.Allowed }},
	}
	return append(all, peers(tb, plenty)...)
}

// peers are the other libraries, with n permits a second.
func peers(tb testing.TB, n int) []contender {
	xtime := rate.NewLimiter(rate.Limit(n), n)
	smooth := ratelimiter.NewSmooth[any](uint(n), time.Second)
	bursty := ratelimiter.NewBursty[any](uint(n), time.Second)
	store, err := memorystore.New(&memorystore.Config{Tokens: uint64(n), Interval: time.Second})
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = store.Close(background) })
	ulule := limiter.New(memory.NewStore(), limiter.Rate{Period: time.Second, Limit: int64(n)})
	all := []contender{
		{"x/time/rate", xtime.Allow},
		{"failsafe smooth", smooth.TryAcquirePermit},
		{"failsafe bursty", bursty.TryAcquirePermit},
		{"go-limiter", func() bool { _, _, _, ok, _ := store.Take(background, "user:42"); return ok }},
		{"ulule", func() bool { c, _ := ulule.Get(background, "user:42"); return !c.Reached }},
	}
	if n == plenty { // it can only wait, not refuse
		take := uber.New(n)
		all = append(all, contender{"uber ratelimit", func() bool { return !take.Take().IsZero() }})
	}
	return all
}

func BenchmarkPermit(b *testing.B) { run(b, permitting(b), true) }

func BenchmarkRefuse(b *testing.B) {
	bucket, err := ratelimit.NewBucket(ratelimit.PerHour(1))
	require.NoError(b, err)
	striped, err := ratelimit.NewStriped(bucket, 1)
	require.NoError(b, err)
	keyed, err := ratelimit.NewTokenBucket(ratelimit.PerHour(1))
	require.NoError(b, err)
	xtime := rate.NewLimiter(rate.Every(time.Hour), 1)
	smooth := ratelimiter.NewSmooth[any](1, time.Hour)
	bursty := ratelimiter.NewBursty[any](1, time.Hour)
	store, err := memorystore.New(&memorystore.Config{Tokens: 1, Interval: time.Hour})
	require.NoError(b, err)
	b.Cleanup(func() { _ = store.Close(background) })
	ulule := limiter.New(memory.NewStore(), limiter.Rate{Period: time.Hour, Limit: 1})
	all := []contender{
		{"bulwark Bucket.Allow", bucket.Allow},
		{"bulwark Bucket.Take", func() bool { d, _ := bucket.Take(background, "k", 1); return d.Allowed }},
		{"bulwark Striped.Allow", striped.Allow},
		{"bulwark TokenBucket, one key", func() bool { d, _ := keyed.Take(background, "user:42", 1); return d.Allowed }},
		{"x/time/rate", xtime.Allow},
		{"failsafe smooth", smooth.TryAcquirePermit},
		{"failsafe bursty", bursty.TryAcquirePermit},
		{"go-limiter", func() bool { _, _, _, ok, _ := store.Take(background, "user:42"); return ok }},
		{"ulule", func() bool { c, _ := ulule.Get(background, "user:42"); return !c.Reached }},
	}
	for _, c := range all {
		c.ask()
	}
	run(b, all, false)
}

func BenchmarkInFlight(b *testing.B) {
	ours, err := concurrency.New(1 << 20)
	require.NoError(b, err)
	failsafe := bulkhead.New[any](1 << 20)
	run(b, []contender{
		{"bulwark concurrency", func() bool {
			ticket, _ := ours.Acquire(background, "user:42")
			ticket.Release()
			return ticket.Allowed
		}},
		{"failsafe bulkhead (no keys)", func() bool {
			ok := failsafe.TryAcquirePermit()
			failsafe.ReleasePermit()
			return ok
		}},
	}, true)
}

// run measures each contender alone and with 2 and 8 goroutines.
func run(b *testing.B, all []contender, want bool) {
	for _, c := range all {
		b.Run(c.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c.ask() != want {
					b.Fatal("unexpected answer")
				}
			}
		})
		for _, goroutines := range []int{2, 8} {
			b.Run(c.name+map[int]string{2: "/parallel2", 8: "/parallel8"}[goroutines], func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(max(goroutines/runtime.GOMAXPROCS(0), 1))
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						c.ask()
					}
				})
			})
		}
	}
}
