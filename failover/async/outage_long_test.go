package async_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// heap is what is in use, in MB.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// A whole outage at full load, in its long form ten minutes at a thousand requests a
// second: all are accepted, none is sent twice, they leave at the limiter's rate and not
// above it, at the age that follows from arithmetic, and what was delivered is swept
// away as fast as it comes.
func TestAnOutageAtFullLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outage := time.Duration(testenv.Scale(1, 10)) * time.Minute
		perSecond := testenv.Scale(100, 1000)
		total, drain := perSecond*int(outage.Seconds()), 2*perSecond
		limiter, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(int64(drain)), ratelimit.WithBurst(int64(drain/10)))
		require.NoError(t, err)
		v := newVendor(t, async.JudgeConfig{})
		at := func(i int) time.Duration { return time.Duration(i) * time.Second / time.Duration(perSecond) }
		var mu sync.Mutex
		began, last := time.Now(), time.Time{}
		tried, perTenth := map[int]bool{}, map[int64]int{}
		ages := make([]time.Duration, total)
		r := newRescued(t, async.NewMemory(), func(_ context.Context, s string) error {
			i, err := strconv.Atoi(s)
			if failed := v.send(); failed != nil || err != nil {
				mu.Lock()
				defer mu.Unlock()
				tried[i] = true
				return failed
			}
			mu.Lock()
			defer mu.Unlock()
			if i < 0 {
				return nil // before the outage
			}
			if ages[i] != 0 {
				t.Error("sent twice: " + s)
			}
			last = time.Now()
			ages[i] = last.Sub(began) - at(i)
			perTenth[last.Sub(began).Milliseconds()/100]++
			return nil
		}, async.Config{Retries: 1000, Backoff: time.Second, MaxBackoff: time.Second, Workers: perSecond / 10, Batch: perSecond / 5, Retain: time.Minute},
			async.WithJudge(v.judge), async.WithLimiter(limiter))
		stop := running(t, r)
		callers(t, r, -perSecond*20, perSecond, 20*time.Second)
		before := heap()
		began = time.Now()
		v.fail(1)
		callers(t, r, 0, perSecond, outage)
		v.fail(0)
		end, full := time.Now(), heap()
		backlog := depth(t, r).Backlog()
		time.Sleep(outage + 5*time.Minute) // and what was delivered is retained for one
		stop()
		s := depth(t, r)
		require.Zero(t, s.Backlog(), "all of them")
		require.Zero(t, s.Depth[async.Delivered], "forgotten in time")

		back := v.since.Sub(end)
		var got, computed []time.Duration
		for i, age := range ages {
			if !tried[i] { // those lost their place
				got, computed = append(got, age), append(computed, outage+back-at(i)/2)
			}
		}
		p99, want := quantileOf(got, 0.99), quantileOf(computed, 0.99)
		second := 0
		for from := range perTenth {
			n := 0
			for i := range int64(10) {
				n += perTenth[from+i]
			}
			second = max(second, n)
		}
		t.Logf("%d requests in %v, %d of them tried meanwhile: backlog %d; back after %v, the last after %v; fullest second %d of %d; age p99 %v (computed %v); heap %.1f MB before, %.1f with the backlog, %.1f at the end",
			total, outage, len(tried), backlog, back.Round(time.Second), last.Sub(end).Round(time.Second), second, drain,
			p99.Round(time.Second), want.Round(time.Second), before, full, heap())
		require.LessOrEqual(t, second, drain+drain/10+perSecond/10, "a second's worth, the burst, and what was on its way")
		require.InEpsilon(t, want.Seconds(), p99.Seconds(), 0.1)
	})
}

// What is over goes at one sweep, however much it is: a busy queue delivers more between
// two sweeps than one statement deletes.
func TestASweepLeavesNothingOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := async.NewMemory()
		const n = 5500
		var entries []async.Entry
		for i := range n {
			entries = append(entries, async.Entry{Queue: "q", Key: fmt.Sprint(i), Payload: []byte(`""`), NotAfter: time.Minute})
		}
		_, err := memory.Put(t.Context(), entries)
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		r := newRescued(t, memory, unreachable(t), async.Config{Retain: time.Minute, SweepEvery: time.Hour})
		stop := running(t, r)
		time.Sleep(time.Second)
		require.EqualValues(t, n, depth(t, r).Depth[async.Expired])
		time.Sleep(time.Hour)
		stop()
		require.Equal(t, async.Stats{}, depth(t, r))
	})
}
