package async_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// running runs a worker until stop, which waits for its end.
func running(t *testing.T, r *async.Rescued[string]) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

func accept(t *testing.T, r *async.Rescued[string], requests ...string) {
	t.Helper()
	was := r.Config()
	later := was
	later.Mode = async.AlwaysLater
	require.NoError(t, r.Update(later))
	for _, s := range requests {
		_, err := r.Do(t.Context(), s)
		require.NoError(t, err)
	}
	require.NoError(t, r.Update(was))
}

func only(t *testing.T, r *async.Rescued[string]) async.Row {
	t.Helper()
	rows, err := r.List(t.Context(), async.Filter{})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	return rows[0]
}

func TestAcceptedIsDeliveredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		sent := map[string]int{}
		r := newRescued(t, async.NewMemory(), func(ctx context.Context, s string) error {
			d, ok := async.DeliveryOf(ctx)
			mu.Lock()
			defer mu.Unlock()
			if ok && d.Attempt == 1 && d.Key != "" {
				sent[s]++
			}
			return nil
		}, async.Config{})
		for i := range 100 {
			accept(t, r, fmt.Sprint(i))
		}
		first, second := running(t, r), running(t, r)
		time.Sleep(time.Minute)
		first()
		second()
		require.Len(t, sent, 100)
		for s, n := range sent {
			require.Equal(t, 1, n, s)
		}
		require.Equal(t, int64(100), depth(t, r).Depth[async.Delivered])
		require.Equal(t, int64(100), r.Snapshot().Attempts)
	})
}

// The backlog goes through the limiter, and no faster.
func TestBacklogIsNoHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(10), ratelimit.WithBurst(1))
		require.NoError(t, err)
		var times []time.Time
		var mu sync.Mutex
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			return nil
		}, async.Config{}, async.WithLimiter(limiter))
		for i := range 50 {
			accept(t, r, fmt.Sprint(i))
		}
		stop := running(t, r)
		time.Sleep(30 * time.Second)
		stop()
		require.Len(t, times, 50)
		for i := range times[1:] {
			require.GreaterOrEqual(t, times[i+1].Sub(times[i]), 99*time.Millisecond, "delivery %d", i+1)
		}
	})
}

func TestRetriesAreBoundedAndBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		began := time.Now()
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error {
			at = append(at, time.Since(began).Round(time.Second))
			return async.NotDone(errAny)
		}, async.Config{Retries: 3, Backoff: 10 * time.Second, MaxBackoff: 20 * time.Second, Poll: 100 * time.Millisecond})
		accept(t, r, "a")
		stop := running(t, r)
		time.Sleep(time.Hour)
		stop()
		require.Equal(t, []time.Duration{0, 10 * time.Second, 30 * time.Second, 50 * time.Second}, at)
		row := only(t, r)
		require.Equal(t, async.Dead, row.State)
		require.Contains(t, row.LastError, "connection reset")
		require.Equal(t, 4, row.Attempts)
		n, err := r.Requeue(t.Context(), async.Filter{States: []async.State{async.Dead}})
		require.NoError(t, err)
		require.Equal(t, int64(1), n)
	})
}

// A one-time code that waited for the limiter for too long is dropped, not sent.
func TestExpiredBetweenClaimAndCallIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Bool
		gate := limiterFunc(func() (ratelimit.Decision, error) {
			return ratelimit.Decision{Allowed: open.Load(), RetryAfter: time.Second}, nil
		})
		r := newRescued(t, async.NewMemory(), unreachable(t), async.Config{NotAfter: 10 * time.Second, SweepEvery: time.Hour}, async.WithLimiter(gate))
		accept(t, r, "a")
		stop := running(t, r)
		time.Sleep(9 * time.Second)
		require.Equal(t, async.Leased, only(t, r).State)
		time.Sleep(2 * time.Second)
		open.Store(true)
		time.Sleep(10 * time.Second)
		require.Equal(t, async.Expired, only(t, r).State)
		stop()
	})
}

func TestUnknownResultIsParkedOrChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent int
		fails := func(context.Context, string) error { sent++; return errAny }
		r := newRescued(t, async.NewMemory(), fails, async.Config{})
		accept(t, r, "a")
		stop := running(t, r)
		time.Sleep(24 * time.Hour)
		stop()
		require.Equal(t, 1, sent)
		require.Equal(t, async.Unknown, only(t, r).State)

		sent = 0
		var checks []async.Verdict
		verdicts := []async.Verdict{async.Uncertain, async.Failed, async.Uncertain, async.Succeeded}
		r = newRescued(t, async.NewMemory(), fails, async.Config{}, async.WithReconciler(func(context.Context, string) (async.Verdict, error) {
			v := verdicts[len(checks)]
			checks = append(checks, v)
			return v, nil
		}))
		accept(t, r, "a")
		stop = running(t, r)
		time.Sleep(24 * time.Hour)
		stop()
		require.Equal(t, verdicts, checks)
		require.Equal(t, 2, sent, "again only after the reconciler said that it was not done")
		require.Equal(t, int64(1), r.Snapshot().Ended[async.Delivered])
	})
}

func TestReconcilerThatNeverKnowsParks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error { return errAny }, async.Config{Checks: 3},
			async.WithReconciler(func(context.Context, string) (async.Verdict, error) { checks++; return async.Failed, errAny }))
		accept(t, r, "a")
		stop := running(t, r)
		time.Sleep(3 * time.Hour)
		stop()
		require.Equal(t, 3, checks)
		require.Equal(t, async.Unknown, only(t, r).State)
	})
}

func TestPanicInAWorkerIsRecordedThenRaised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error { panic("boom") }, async.Config{})
		accept(t, r, "a")
		require.PanicsWithValue(t, "boom", func() { _ = r.Run(t.Context()) })
		row := only(t, r)
		require.Equal(t, async.Unknown, row.State)
		require.Contains(t, row.LastError, "panicked")
	})
}

func TestGoexitInAWorkerIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error { runtime.Goexit(); return nil }, async.Config{})
		accept(t, r, "a")
		stop := running(t, r)
		time.Sleep(time.Second)
		stop()
		require.Equal(t, async.Unknown, only(t, r).State)
	})
}

// On shutdown, what was not submitted goes back at once; what was is finished.
func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		r := newRescued(t, async.NewMemory(), func(ctx context.Context, _ string) error {
			sent.Add(1)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * time.Second):
				return nil
			}
		}, async.Config{Workers: 2, Batch: 4})
		accept(t, r, "a", "b", "c", "d", "e")
		stop := running(t, r)
		time.Sleep(time.Second)
		stop()
		s := depth(t, r)
		require.Equal(t, int64(2), sent.Load())
		require.Equal(t, int64(2), s.Depth[async.Delivered])
		require.Equal(t, int64(3), s.Depth[async.Queued])
		rows, err := r.List(t.Context(), async.Filter{States: []async.State{async.Queued}})
		require.NoError(t, err)
		for _, row := range rows {
			require.Zero(t, row.Attempts)
		}
	})
}

func TestHeartbeatKeepsALongCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error {
			sent++
			time.Sleep(time.Minute)
			return nil
		}, async.Config{Lease: 3 * time.Second, SendTimeout: 2 * time.Minute})
		accept(t, r, "a")
		stop := running(t, r)
		time.Sleep(2 * time.Minute)
		stop()
		require.Equal(t, 1, sent)
		require.Equal(t, async.Delivered, only(t, r).State)
	})
}

// An outage and its end: requests are stored while it lasts, some of them are the
// probes, and afterwards calls are made at once again.
func TestGoesAsyncAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		judge, err := async.NewJudge(async.JudgeConfig{Name: "p"}, nil)
		require.NoError(t, err)
		var down atomic.Bool
		var sent sync.Map
		r := newRescued(t, async.NewMemory(), func(_ context.Context, s string) error {
			time.Sleep(20 * time.Millisecond)
			if down.Load() {
				return async.NotDone(errAny)
			}
			if _, twice := sent.LoadOrStore(s, true); twice {
				t.Error("sent twice: " + s)
			}
			return nil
		}, async.Config{Backoff: time.Second, MaxBackoff: 5 * time.Second, Retries: 1000}, async.WithJudge(judge))
		stop := running(t, r)
		n, now := 0, 0
		spell := func(seconds int) {
			now = 0
			for range seconds * 20 {
				n++
				out, err := r.Do(t.Context(), fmt.Sprint(n))
				require.NoError(t, err)
				if out.Status == async.Done {
					now++
				}
				time.Sleep(30 * time.Millisecond)
			}
		}
		spell(60)
		require.Equal(t, 1200, now, "well: all at once")
		down.Store(true)
		spell(60)
		require.Zero(t, now)
		down.Store(false)
		spell(180)
		spell(30)
		require.Equal(t, 600, now, "well again: all at once")
		time.Sleep(5 * time.Minute)
		stop()
		require.Zero(t, depth(t, r).Backlog())
		total := 0
		sent.Range(func(any, any) bool { total++; return true })
		require.Equal(t, n, total)
	})
}

// Requests that were claimed when the judge refused come before those that were
// accepted after them.
func TestARefusalByTheJudgeKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		judge, err := async.NewJudge(async.JudgeConfig{Name: "p"}, nil)
		require.NoError(t, err)
		var sent []string
		r := newRescued(t, async.NewMemory(), func(_ context.Context, s string) error { sent = append(sent, s); return nil },
			async.Config{Workers: 1}, async.WithJudge(judge))
		require.NoError(t, judge.SetMode(circuitbreaker.ForcedOpen))
		for _, s := range []string{"a", "b", "c", "d"} {
			accept(t, r, s)
			time.Sleep(time.Millisecond)
		}
		stop := running(t, r)
		time.Sleep(time.Second)
		require.Empty(t, sent)
		accept(t, r, "e")
		require.NoError(t, judge.SetMode(circuitbreaker.ForcedClosed))
		time.Sleep(time.Hour)
		stop()
		require.ElementsMatch(t, []string{"a", "b", "c", "d", "e"}, sent)
		require.Equal(t, "e", sent[4])
	})
}

func TestPausedQueueDeliversNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error { sent.Add(1); return nil }, async.Config{})
		require.NoError(t, r.Pause(t.Context()))
		accept(t, r, "a")
		stop := running(t, r)
		time.Sleep(time.Minute)
		require.Zero(t, sent.Load())
		require.True(t, r.Snapshot().Stats.Paused)
		require.NoError(t, r.Resume(t.Context()))
		time.Sleep(time.Minute)
		require.Equal(t, int64(1), sent.Load())
		stop()
	})
}

func TestUnreadableRequestIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := async.NewMemory()
		_, err := memory.Put(t.Context(), []async.Entry{{Queue: "q", Key: "k", Payload: []byte("{")}})
		require.NoError(t, err)
		r := newRescued(t, memory, unreachable(t), async.Config{})
		stop := running(t, r)
		time.Sleep(time.Second)
		stop()
		require.Equal(t, async.Dead, only(t, r).State)
		require.Contains(t, only(t, r).LastError, "decode")
	})
}

func TestContextIsCarried(t *testing.T) {
	type tenant struct{}
	synctest.Test(t, func(t *testing.T) {
		var got any
		r := newRescued(t, async.NewMemory(), func(ctx context.Context, _ string) error { got = ctx.Value(tenant{}); return nil },
			async.Config{Mode: async.AlwaysLater}, async.WithCarrier(
				func(ctx context.Context) map[string]string {
					return map[string]string{"tenant": ctx.Value(tenant{}).(string)}
				},
				func(ctx context.Context, m map[string]string) context.Context {
					return context.WithValue(ctx, tenant{}, m["tenant"])
				},
			))
		_, err := r.Do(context.WithValue(t.Context(), tenant{}, "acme"), "a")
		require.NoError(t, err)
		stop := running(t, r)
		time.Sleep(time.Second)
		stop()
		require.Equal(t, "acme", got)
	})
}
