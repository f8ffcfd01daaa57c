package async_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/internal/simulate"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
)

func byItself(s string) async.Terms { return async.Terms{Key: s} }

// A backlog that is too old refuses more, whatever its size, until it has moved on.
func TestAnOldBacklogTakesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRescued(t, async.NewMemory(), works, async.Config{MaxAge: 10 * time.Second, StatsEvery: time.Second, Poll: 10 * time.Millisecond})
		later := r.Config()
		later.Mode = async.AlwaysLater
		require.NoError(t, r.Update(later))
		for second := range 20 {
			out, err := r.Do(t.Context(), fmt.Sprint(second))
			if second <= 10 {
				require.NoError(t, err, "second %d", second)
			} else {
				require.ErrorIs(t, err, async.ErrFull, "second %d", second)
				require.ErrorIs(t, err, async.ErrNotAccepted)
				require.Equal(t, async.Refused, out.Status)
			}
			time.Sleep(time.Second)
		}
		require.EqualValues(t, 11, depth(t, r).Backlog())
		stop := running(t, r)
		time.Sleep(5 * time.Second)
		_, err := r.Do(t.Context(), "again")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		stop()
	})
}

// A worker asks for the newest first exactly while the oldest has waited for too long.
func TestAnOldBacklogIsDeliveredNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		r := newRescued(t, async.NewMemory(), func(_ context.Context, s string) error {
			got = append(got, s)
			time.Sleep(time.Second)
			return nil
		}, async.Config{NewestAfter: 30 * time.Second, Workers: 1, Batch: 1, Poll: 10 * time.Millisecond, StatsEvery: 100 * time.Millisecond})
		spell := func(requests ...string) {
			got = nil
			accept(t, r, requests...)
		}
		spell("1", "2", "3")
		stop := running(t, r)
		time.Sleep(10 * time.Second)
		stop()
		require.Equal(t, []string{"1", "2", "3"}, got, "in time: in turn")

		spell("1", "2", "3")
		time.Sleep(time.Minute)
		_, err := r.Stats(t.Context())
		require.NoError(t, err)
		stop = running(t, r)
		time.Sleep(10 * time.Second)
		stop()
		require.Equal(t, []string{"3", "2", "1"}, got, "late: whoever may still be waiting goes first")
	})
}

// While a request of a key waits, in whatever state, another one of that key does not
// go past it.
func TestACallDoesNotOvertakeAStoredOneOfItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		memory := async.NewMemory()
		send := func(context.Context, string) error { sent.Add(1); return nil }
		r := newRescued(t, memory, send, async.Config{Lookup: true}, async.WithTerms(byItself))
		for _, state := range []async.State{async.Queued, async.Leased, async.Submitted, async.Unknown, async.Reconciling} {
			key := state.String()
			reach(t, memory, key, state)
			out, err := r.Do(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, async.Outcome{Status: async.Accepted, Key: key, Reason: async.Waiting, Duplicate: true}, out)
			require.Zero(t, sent.Load(), key)
		}
		out, err := r.Do(t.Context(), "other")
		require.NoError(t, err)
		require.Equal(t, async.Done, out.Status)
	})
}

// reach brings a new request to a state.
func reach(t *testing.T, m *async.Memory, key string, state async.State) {
	t.Helper()
	e := async.Entry{Queue: "q", Key: key, Payload: []byte(`"` + key + `"`), Priority: async.High}
	from := async.Queued
	if state == async.Unknown || state == async.Reconciling {
		e.State, from = async.Unknown, async.Unknown
	}
	_, err := m.Put(t.Context(), []async.Entry{e})
	require.NoError(t, err)
	if state == async.Queued || state == async.Unknown {
		return
	}
	rows, err := m.Claim(t.Context(), async.Claim{Queue: "q", Owner: "w", From: from, Most: 9, Lease: time.Hour})
	require.NoError(t, err)
	for _, row := range rows {
		c := async.Change{ID: row.ID, Token: row.Token, From: row.State, To: async.Submitted}
		switch {
		case row.Key != key:
			c.To = from // not ours: back
		case state == row.State:
			continue
		}
		answers, err := m.Write(t.Context(), []async.Change{c})
		require.NoError(t, err)
		require.NoError(t, answers[0])
	}
}

// The backlog goes out at the limiter's rate: never above it, counted at the provider,
// and at least 95 % of it.
func TestTheBacklogUsesTheWholeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests, perSecond, workers := testenv.Scale(6000, 1_000_000), testenv.Scale(200, 5000), testenv.Scale(32, 800)
		limiter, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(int64(perSecond)), ratelimit.WithBurst(10))
		require.NoError(t, err)
		perSlice := map[time.Duration]int{}
		began, last, sent := time.Now(), time.Time{}, 0
		release := make(chan struct{}, 1)
		release <- struct{}{}
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error {
			<-release
			sent, last = sent+1, time.Now()
			perSlice[time.Since(began).Truncate(time.Second)]++
			release <- struct{}{}
			time.Sleep(100 * time.Millisecond)
			return nil
		}, async.Config{Workers: workers}, async.WithLimiter(limiter), async.WithRand(func() float64 { return 0.5 }))
		var all []string
		for i := range requests {
			all = append(all, fmt.Sprint(i))
		}
		accept(t, r, all...)
		began = time.Now()
		stop := running(t, r)
		time.Sleep(2 * time.Second * time.Duration(requests/perSecond))
		stop()
		require.Equal(t, requests, sent)
		for second, n := range perSlice {
			require.LessOrEqual(t, n, perSecond+10, "second %v", second)
		}
		rate := float64(requests) / last.Sub(began).Seconds()
		t.Logf("%d requests at %.1f a second: %.1f %% of the limit", requests, rate, 100*rate/float64(perSecond))
		require.GreaterOrEqual(t, rate, 0.95*float64(perSecond))
	})
}

// Requests that failed in the same moment are not tried again in the same moment.
func TestRetriesComeBackApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const requests = 600
		perSecond := map[int]int{}
		began := time.Now()
		var mu sync.Mutex
		chance := rand.New(rand.NewPCG(1, 2))
		random := func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return chance.Float64()
		}
		r := newRescued(t, async.NewMemory(), func(ctx context.Context, _ string) error {
			if d, _ := async.DeliveryOf(ctx); d.Attempt == 1 {
				return async.NotDone(errAny)
			}
			mu.Lock()
			defer mu.Unlock()
			perSecond[int(time.Since(began).Seconds())]++
			return nil
		}, async.Config{Backoff: time.Minute, Workers: requests, Poll: 10 * time.Millisecond}, async.WithRand(random))
		var all []string
		for i := range requests {
			all = append(all, fmt.Sprint(i))
		}
		accept(t, r, all...)
		stop := running(t, r)
		time.Sleep(2 * time.Minute)
		stop()
		most, sum := 0, 0
		for _, n := range perSecond {
			most, sum = max(most, n), sum+n
		}
		require.Equal(t, requests, sum)
		require.LessOrEqual(t, most, 3*requests/60, "of %d within a minute", requests)
	})
}

func quantileOf(d []time.Duration, q float64) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return simulate.Quantile(d, q)
}
