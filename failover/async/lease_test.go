package async_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// forgetful is a store that says that leases are lost.
type forgetful struct{ async.Store }

func (forgetful) Renew(_ context.Context, _ time.Duration, rows []async.Held) ([]bool, error) {
	return make([]bool, len(rows)), nil
}

// A worker that hears while it waits for the limiter that its lease is lost does not
// call any more.
func TestALeaseLostBeforeTheCallPreventsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowly := limiterFunc(func() (ratelimit.Decision, error) {
			time.Sleep(1500 * time.Millisecond)
			return ratelimit.Decision{Allowed: true}, nil
		})
		r := newRescued(t, forgetful{async.NewMemory()}, unreachable(t),
			async.Config{Lease: 2 * time.Second, Heartbeat: 900 * time.Millisecond, SweepEvery: time.Hour}, async.WithLimiter(slowly))
		accept(t, r, "a")
		stop := running(t, r)
		time.Sleep(1800 * time.Millisecond)
		require.Equal(t, async.Leased, only(t, r).State, "for whoever holds it now to go on with")
		stop()
		require.Zero(t, r.Snapshot().Attempts)
	})
}

// One that hears it during the call ends the call, saying why, and what comes of it
// is refused, counted and told: it is somebody else's request.
func TestALeaseLostDuringTheCallEndsItAndRefusesItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := async.NewMemory()
		var cause error
		r := newRescued(t, forgetful{memory}, func(ctx context.Context, _ string) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			time.Sleep(2 * time.Second) // until the lease is over by the store's clock, too
			swept, err := memory.Sweep(context.Background(), async.Sweep{Queue: "q", CheckAfter: -1, Tries: 9, Most: 9})
			require.NoError(t, err)
			require.EqualValues(t, 1, swept.Unknown)
			return nil
		}, async.Config{Lease: 2 * time.Second, SendTimeout: time.Minute, Heartbeat: 900 * time.Millisecond, SweepEvery: time.Hour})
		accept(t, r, "a")
		stop := running(t, r)
		time.Sleep(10 * time.Second)
		stop()
		require.ErrorIs(t, cause, async.ErrLost)
		require.Equal(t, async.Unknown, only(t, r).State, "not delivered by one who no longer holds it")
		s := r.Snapshot()
		require.EqualValues(t, 1, s.Attempts)
		require.EqualValues(t, 1, s.Lost)
		require.Zero(t, s.Ended[async.Delivered])
	})
}

// shaky is a store whose leases end early for some, as if their workers had been
// stopped for too long.
type shaky struct {
	async.Store
	mu     sync.Mutex
	chance *rand.Rand
	taken  int
}

func (s *shaky) Claim(ctx context.Context, c async.Claim) ([]async.Row, error) {
	s.mu.Lock()
	if s.chance.IntN(4) == 0 {
		c.Lease = 20 * time.Millisecond
		s.taken++
	}
	s.mu.Unlock()
	return s.Store.Claim(ctx, c)
}

func (s *shaky) Renew(ctx context.Context, d time.Duration, rows []async.Held) ([]bool, error) {
	s.mu.Lock()
	stopped := s.chance.IntN(2) == 0
	s.mu.Unlock()
	if stopped {
		return make([]bool, len(rows)), nil
	}
	return s.Store.Renew(ctx, d, rows)
}

// Sixteen workers, a quarter of whose leases end under their hands: nothing is sent
// twice, and what a worker without its lease writes is refused, all of it.
func TestWorkersThatLoseLeasesDoubleNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const requests, workers = 500, 16
		memory := async.NewMemory()
		var mu sync.Mutex
		sent := map[string]int{}
		var late, refused atomic.Int64
		var stops []func()
		var fleet []*async.Rescued[string]
		for i := range workers {
			store := &shaky{Store: &fenceWatch{Store: memory, late: &late, refused: &refused}, chance: rand.New(rand.NewPCG(1, uint64(i)))}
			fleet = append(fleet, newRescued(t, store, func(_ context.Context, s string) error {
				mu.Lock()
				sent[s]++
				mu.Unlock()
				time.Sleep(15 * time.Millisecond)
				return nil
			}, async.Config{Workers: 4, Lease: time.Second, SweepEvery: 30 * time.Millisecond, Poll: 10 * time.Millisecond,
				SendTimeout: time.Second, Retries: 1000}))
		}
		var all []string
		for i := range requests {
			all = append(all, fmt.Sprint(i))
		}
		accept(t, fleet[0], all...)
		for _, r := range fleet {
			stops = append(stops, running(t, r))
		}
		for s := depth(t, fleet[0]); s.Backlog() > s.Depth[async.Unknown]; s = depth(t, fleet[0]) {
			time.Sleep(time.Second)
		}
		for _, stop := range stops {
			stop()
		}
		s := depth(t, fleet[0])
		for request, n := range sent {
			require.Equal(t, 1, n, request)
		}
		t.Logf("%d requests, %d workers: 0 sent twice, %d delivered, %d unknown; %d late writes, %d refused",
			requests, workers, s.Depth[async.Delivered], s.Depth[async.Unknown], late.Load(), refused.Load())
		require.EqualValues(t, requests, s.Depth[async.Delivered]+s.Depth[async.Unknown])
		require.Positive(t, late.Load(), "or nothing was lost")
		require.Equal(t, late.Load(), refused.Load())
	})
}

// fenceWatch counts writes of rows that have moved on, and how many were refused.
type fenceWatch struct {
	async.Store
	late, refused *atomic.Int64
}

func (s *fenceWatch) Write(ctx context.Context, changes []async.Change) ([]error, error) {
	rows, err := s.List(ctx, async.Filter{Queue: "q", Most: 1 << 20})
	if err != nil {
		return nil, err
	}
	tokens := map[int64]async.Row{}
	for _, r := range rows {
		tokens[r.ID] = r
	}
	answers, err := s.Store.Write(ctx, changes)
	for i, c := range changes {
		if now := tokens[c.ID]; err == nil && (now.Token != c.Token || now.State != c.From) {
			s.late.Add(1)
			if answers[i] != nil {
				s.refused.Add(1)
			}
		}
	}
	return answers, err
}
