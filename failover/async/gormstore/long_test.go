package gormstore_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// The flags are for machines that others use as well: 1,700 a second are three quarters
// of what two cores with a MariaDB on them deliver when they are alone.
var (
	drainRate   = flag.Int("drain", 1700, "requests a second that a backlog is drained with")
	backlogSize = flag.Int("backlog", 1_000_000, "requests in a backlog")
)

// provider counts what arrives, by request and by tenth of a second.
type provider struct {
	mu     sync.Mutex
	began  time.Time
	down   bool
	counts []int         // by number of the request
	ages   []float64     // in seconds, since the request was due to be made
	tenths map[int64]int // how many in each
	last   time.Time
	sent   int
}

func newProvider(n int) *provider {
	return &provider{began: time.Now(), counts: make([]int, n), tenths: map[int64]int{}}
}

// send takes number i, made at a point of the test's time.
func (p *provider) send(i int, made time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return async.NotDone(fmt.Errorf("down"))
	}
	p.last = time.Now()
	p.counts[i]++
	p.sent++
	p.tenths[p.last.Sub(p.began).Milliseconds()/100]++
	p.ages = append(p.ages, (p.last.Sub(p.began) - made).Seconds())
	return nil
}

func (p *provider) total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// busiest is how many arrived in the fullest second, wherever it begins.
func (p *provider) busiest() (most int) {
	for from := range p.tenths {
		n := 0
		for i := range int64(10) {
			n += p.tenths[from+i]
		}
		most = max(most, n)
	}
	return most
}

// every calls f again and again while it says so.
func every(pause time.Duration, f func() bool) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for more := true; more; more = f() {
		<-ticker.C
	}
}

// heapMB is what is in use after a collection.
func heapMB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// worker runs r until the function that is returned is called.
func worker(t *testing.T, r *async.Rescued[int]) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

func limiterOf(t *testing.T, perSecond int) ratelimit.Limiter {
	limiter, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(int64(perSecond)), ratelimit.WithBurst(int64(perSecond/20)))
	require.NoError(t, err)
	return limiter
}

// A million requests leave a database at the limiter's rate: at least 95 % of it, and
// counted at the provider never more than it and what was on its way.
func TestAMillionLeaveAtTheWholeLimit(t *testing.T) {
	testenv.Long(t)
	testenv.RequireRealMySQL(t, "SQLite has no second process, and this is for the database of a service")
	// A delivery waits for two commits, and those under way share them: where commits are
	// slow, more workers make up for it.
	const workers = 256
	requests, perSecond := *backlogSize, *drainRate
	store := open(t, testenv.MySQL(t))
	var entries []async.Entry
	for i := range requests {
		entries = append(entries, async.Entry{Queue: "q", Key: strconv.Itoa(i), Payload: []byte(strconv.Itoa(i))})
		if len(entries) == 500 || i == requests-1 {
			_, err := store.Put(t.Context(), entries)
			require.NoError(t, err)
			entries = entries[:0]
		}
	}
	p := newProvider(requests)
	r, err := async.New(store, func(_ context.Context, i int) error { return p.send(i, 0) },
		async.Config{Name: "q", Workers: workers, Batch: 500}, async.WithLimiter(limiterOf(t, perSecond)))
	require.NoError(t, err)
	p.began = time.Now()
	before := heapMB()
	stop := worker(t, r)
	most := before
	every(10*time.Second, func() bool {
		most = max(most, heapMB())
		return p.total() < requests && time.Since(p.began) < time.Duration(2*requests/perSecond)*time.Second
	})
	stop()
	rate := float64(p.sent) / p.last.Sub(p.began).Seconds()
	t.Logf("%d requests at %.1f a second, %.1f %% of %d; fullest second %d; heap %.1f MB before, %.1f MB at most",
		p.sent, rate, 100*rate/float64(perSecond), perSecond, p.busiest(), before, most)
	require.LessOrEqual(t, slices.Max(p.counts), 1, "none twice")
	require.Equal(t, requests, p.sent, "all of them")
	require.LessOrEqual(t, rate, float64(perSecond)*1.001)
	require.LessOrEqual(t, p.busiest(), perSecond+perSecond/20+workers)
	require.GreaterOrEqual(t, rate, 0.95*float64(perSecond))
}

// An outage against a database, in real time: all of a thousand requests a second are
// accepted, memory stays flat, and the age at delivery is what arithmetic says.
func TestAnOutageOfMinutesRestsInTheDatabase(t *testing.T) {
	testenv.Long(t)
	testenv.RequireRealMySQL(t, "the figures are those of a server")
	const perSecond, drain, outage = 1000, 2000, 3 * time.Minute
	const requests = perSecond * int(outage/time.Second)
	store := open(t, testenv.MySQL(t))
	p := newProvider(requests)
	p.down = true
	at := func(i int) time.Duration { return time.Duration(i) * time.Second / perSecond }
	judge, err := async.NewJudge(async.JudgeConfig{Name: "provider", MaxOpenFor: 10 * time.Second}, nil)
	require.NoError(t, err)
	r, err := async.New(store, func(_ context.Context, i int) error { return p.send(i, at(i)) },
		async.Config{Name: "q", Workers: 64, Batch: 250, Retries: 1000, Backoff: time.Second, MaxBackoff: time.Second},
		async.WithLimiter(limiterOf(t, drain)), async.WithJudge(judge))
	require.NoError(t, err)
	stop := worker(t, r)

	var refused atomic.Int64
	var calls sync.WaitGroup
	p.began = time.Now()
	var heaps []float64
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for i := range requests {
		for time.Since(p.began) < at(i) {
			<-pace.C
		}
		calls.Go(func() {
			if out, err := r.Do(context.Background(), i); err != nil || out.Status != async.Accepted {
				refused.Add(1)
			}
		})
		if i%(10*perSecond) == 5*perSecond {
			heaps = append(heaps, heapMB())
		}
	}
	calls.Wait()
	require.Zero(t, refused.Load(), "accepted, all of them")
	p.mu.Lock()
	p.down = false
	p.mu.Unlock()
	end, back := time.Since(p.began), time.Duration(0)
	every(100*time.Millisecond, func() bool {
		if back == 0 && p.total() > drain/2 {
			back = time.Since(p.began) - end
		}
		return p.total() < requests && time.Since(p.began) < 4*outage
	})
	stop()
	heaps = append(heaps, heapMB())

	// From back on drain a second leave, of which the one made at t is number t*perSecond.
	computed := make([]float64, requests)
	for i := range computed {
		computed[i] = (end + back - at(i)).Seconds() + float64(i)/drain
	}
	slices.Sort(computed)
	slices.Sort(p.ages)
	p50, p99, want50, want99 := p.ages[requests/2], p.ages[requests*99/100], computed[requests/2], computed[requests*99/100]
	t.Logf("%d requests in %v, none refused; back after %v; age p50 %.1f s (computed %.1f), p99 %.1f s (computed %.1f); fullest second %d; heap in MB each 10 s: %.1f",
		requests, outage, back.Round(time.Millisecond), p50, want50, p99, want99, p.busiest(), heaps)
	require.LessOrEqual(t, slices.Max(p.counts), 1, "none twice")
	require.Equal(t, requests, p.sent, "all of them")
	require.InEpsilon(t, want50, p50, 0.1)
	require.InEpsilon(t, want99, p99, 0.1)
	require.Less(t, slices.Max(heaps)-heaps[0], 16.0, "what is kept of each request is its number in this test's own books")
}
