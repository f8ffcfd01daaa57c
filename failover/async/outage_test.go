package async_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/failover/async/gormstore"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// vendor is a provider whose share of failures is set, and its judge.
type vendor struct {
	judge   *circuitbreaker.Breaker
	failing atomic.Uint64 // bits of a float64
	chance  *rand.Rand
	mu      sync.Mutex
	opened  int       // how often calls at once came to an end
	closed  int       // how often they were made again
	since   time.Time // the last of these
}

func newVendor(t *testing.T, cfg async.JudgeConfig) *vendor {
	v := &vendor{chance: rand.New(rand.NewPCG(5, 6))}
	cfg.Name = "vendor"
	jitter := rand.New(rand.NewPCG(7, 8))
	judge, err := async.NewJudge(cfg, nil, circuitbreaker.WithRand(jitter.Float64), circuitbreaker.OnTransition(func(tr circuitbreaker.Transition) {
		v.mu.Lock()
		defer v.mu.Unlock()
		switch {
		case tr.From == circuitbreaker.Closed:
			v.opened, v.since = v.opened+1, time.Now()
		case tr.To == circuitbreaker.Closed:
			v.closed, v.since = v.closed+1, time.Now()
		}
	}))
	require.NoError(t, err)
	v.judge = judge
	return v
}

func (v *vendor) fail(share float64) { v.failing.Store(math.Float64bits(share)) }

// send takes 20 ms, and fails as often as is set.
func (v *vendor) send() error {
	time.Sleep(20 * time.Millisecond)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.chance.Float64() < math.Float64frombits(v.failing.Load()) {
		return async.NotDone(errAny)
	}
	return nil
}

// callers make perSecond requests a second for d, named by their number from first on.
func callers(t *testing.T, r *async.Rescued[string], first, perSecond int, d time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range int(d.Seconds() * float64(perSecond)) {
		wg.Go(func() {
			out, err := r.Do(t.Context(), strconv.Itoa(first+i))
			if err != nil || out.Status == async.Refused {
				t.Errorf("request %d: %v, %v", first+i, out.Status, err)
			}
		})
		time.Sleep(time.Second / time.Duration(perSecond))
	}
	wg.Wait()
}

// When the provider is well again, calls are made at once again within three probe
// intervals, however long the outage was.
func TestBackWithinThreeProbeIntervals(t *testing.T) {
	for _, outage := range []time.Duration{30 * time.Second, 5 * time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			const interval = 20 * time.Second
			v := newVendor(t, async.JudgeConfig{MaxOpenFor: interval})
			r := newRescued(t, async.NewMemory(), func(context.Context, string) error { return v.send() },
				async.Config{Retries: 1000, MaxBackoff: time.Minute, MaxBacklog: 1 << 30}, async.WithJudge(v.judge))
			stop := running(t, r)
			callers(t, r, 0, 10, 30*time.Second)
			v.fail(1)
			callers(t, r, 1000, 1, outage)
			v.fail(0)
			well := time.Now()
			callers(t, r, 100_000, 10, 3*interval)
			stop()
			require.Equal(t, circuitbreaker.Closed, v.judge.State())
			require.Equal(t, 1, v.closed)
			t.Logf("outage of %v: back after %v, that is %.1f probe intervals", outage, v.since.Sub(well).Round(time.Millisecond), v.since.Sub(well).Seconds()/interval.Seconds())
			require.LessOrEqual(t, v.since.Sub(well), 3*interval)
		})
	}
}

// Minutes in which half of the calls fail: calls at once end once, and come back
// once, after it.
func TestHalfAnOutageDoesNotFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		half := time.Duration(testenv.Scale(3, 10)) * time.Minute
		v := newVendor(t, async.JudgeConfig{})
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error { return v.send() },
			async.Config{Retries: 1000, MaxBackoff: time.Minute}, async.WithJudge(v.judge))
		stop := running(t, r)
		callers(t, r, 0, 20, 30*time.Second)
		v.fail(0.5)
		callers(t, r, 1000, 20, half)
		during := v.opened + v.closed
		v.fail(0)
		callers(t, r, 100_000, 20, 2*time.Minute)
		time.Sleep(time.Hour) // the backlog
		stop()
		t.Logf("%v of 50 %% errors: %d changes between now and later during, %d after", half, during, v.opened+v.closed-during)
		require.LessOrEqual(t, v.opened+v.closed, 2)
		require.Equal(t, circuitbreaker.Closed, v.judge.State())
		require.Zero(t, depth(t, r).Backlog())
	})
}

// An outage: every request is accepted, and the backlog is then
// delivered at the limiter's rate, so that the age of each follows from arithmetic: of
// T seconds of a requests a second, drained at d a second from r seconds after the end
// on, the one that came at t is T + r - t(1 - a/d) old. The few that were tried meanwhile
// lost their place to those that were not, and are left out of it.
func TestAnOutageIsAcceptedAndDrainedAsComputed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outage := time.Duration(testenv.Scale(3, 10)) * time.Minute
		perSecond := testenv.Scale(20, 100)
		drain := int64(2 * perSecond)
		limiter, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(drain), ratelimit.WithBurst(drain/10))
		require.NoError(t, err)
		v := newVendor(t, async.JudgeConfig{})
		var mu sync.Mutex
		ages, tried := map[string]time.Duration{}, map[string]bool{}
		var began time.Time
		r := newRescued(t, async.NewMemory(), func(_ context.Context, s string) error {
			err := v.send()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				tried[s] = true
				return err
			}
			if _, twice := ages[s]; twice {
				t.Error("sent twice: " + s)
			}
			i, _ := strconv.Atoi(s)
			ages[s] = time.Since(began) - time.Duration(i)*time.Second/time.Duration(perSecond)
			return nil
		}, async.Config{Retries: 1000, Backoff: time.Second, MaxBackoff: time.Second, Batch: 64},
			async.WithJudge(v.judge), async.WithLimiter(limiter))
		stop := running(t, r)
		began = time.Now()
		callers(t, r, -perSecond*30, perSecond, 30*time.Second) // negative: before it
		ages, began = map[string]time.Duration{}, time.Now()
		v.fail(1)
		callers(t, r, 0, perSecond, outage)
		v.fail(0)
		end := time.Now()
		time.Sleep(outage)
		stop()
		total := perSecond * int(outage.Seconds())
		require.Len(t, ages, total, "all of them, each once")
		require.Less(t, len(tried), total/50, "an outage is noticed soon, and probed seldom")
		back := v.since.Sub(end)

		var got, computed []time.Duration
		for s, age := range ages {
			if tried[s] {
				continue
			}
			i, _ := strconv.Atoi(s)
			at := time.Duration(i) * time.Second / time.Duration(perSecond)
			got = append(got, age)
			computed = append(computed, outage+back-at/2)
		}
		p50, p99 := quantileOf(got, 0.5), quantileOf(got, 0.99)
		want50, want99 := quantileOf(computed, 0.5), quantileOf(computed, 0.99)
		t.Logf("%d requests in %v: all accepted, %d of them tried meanwhile; back after %v; age at delivery p50 %v (computed %v), p99 %v (computed %v)",
			total, outage, len(tried), back.Round(time.Second), p50.Round(time.Second), want50.Round(time.Second), p99.Round(time.Second), want99.Round(time.Second))
		require.InEpsilon(t, want50.Seconds(), p50.Seconds(), 0.1)
		require.InEpsilon(t, want99.Seconds(), p99.Seconds(), 0.1)
	})
}

// What is accepted rests in the database: memory does not grow with it.
func TestABacklogStaysOutOfMemory(t *testing.T) {
	db := testenv.SQLite(t)
	store, err := gormstore.New(db)
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context()))
	r := newRescued(t, store, unreachable(t), async.Config{Mode: async.AlwaysLater, MaxBacklog: 10_000_000})
	var number atomic.Int64
	fill := func(n int) {
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range n / 64 {
					if _, err := r.Do(t.Context(), fmt.Sprintf("%0512d", number.Add(1))); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	n := testenv.Scale(12_800, 640_000)
	fill(n / 10)
	before, began := heap(), time.Now()
	fill(n)
	took, after := time.Since(began), heap()
	t.Logf("%d requests of 512 bytes accepted in %v, %.0f a second: heap %.1f MB before, %.1f MB after",
		n, took.Round(time.Millisecond), float64(n)/took.Seconds(), before, after)
	require.Less(t, after-before, 4.0, "the requests alone are %d MB", n*512>>20)
}
