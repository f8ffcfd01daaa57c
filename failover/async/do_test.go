package async_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/ratelimit"
)

var errAny = errors.New("connection reset")

// brokenStore fails what it is told to.
type brokenStore struct {
	async.Store
	put    error
	poison string
}

func (s brokenStore) Put(ctx context.Context, entries []async.Entry) ([]async.Stored, error) {
	for _, e := range entries {
		if s.put != nil || s.poison != "" && e.Key == s.poison {
			return nil, errors.Join(s.put, errors.New("no such table"))
		}
	}
	return s.Store.Put(ctx, entries)
}

// limiterFunc is a limiter.
type limiterFunc func() (ratelimit.Decision, error)

func (f limiterFunc) Take(context.Context, string, int64) (ratelimit.Decision, error) { return f() }

func denied() (ratelimit.Decision, error) {
	return ratelimit.Decision{RetryAfter: time.Second}, nil
}

func newRescued(t *testing.T, store async.Store, send func(context.Context, string) error, cfg async.Config, opts ...async.Option) *async.Rescued[string] {
	t.Helper()
	cfg.Name = "q"
	r, err := async.New(store, send, cfg, append([]async.Option{async.WithRand(func() float64 { return 0 })}, opts...)...)
	require.NoError(t, err)
	return r
}

func depth(t *testing.T, r *async.Rescued[string]) async.Stats {
	t.Helper()
	s, err := r.Stats(context.Background())
	require.NoError(t, err)
	return s
}

func works(context.Context, string) error { return nil }

func unreachable(t *testing.T) func(context.Context, string) error {
	return func(context.Context, string) error { t.Error("send was called"); return nil }
}

func TestDeliveredIsNotStored(t *testing.T) {
	r := newRescued(t, async.NewMemory(), works, async.Config{})
	out, err := r.Do(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, async.Done, out.Status)
	require.Zero(t, depth(t, r).Backlog())
}

func TestLimitedIsStoredAndNotSent(t *testing.T) {
	r := newRescued(t, async.NewMemory(), unreachable(t), async.Config{}, async.WithLimiter(limiterFunc(denied)))
	out, err := r.Do(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, async.Accepted, out.Status)
	require.Equal(t, async.Limited, out.Reason)
	require.Equal(t, int64(1), depth(t, r).Depth[async.Queued])
}

func TestLimiterFailurePolicies(t *testing.T) {
	broken := async.WithLimiter(limiterFunc(func() (ratelimit.Decision, error) { return ratelimit.Decision{}, errAny }))
	for policy, want := range map[async.FailurePolicy]async.Status{async.StoreIt: async.Accepted, async.SendIt: async.Done, async.RefuseIt: async.Refused} {
		r := newRescued(t, async.NewMemory(), works, async.Config{LimiterFailure: policy}, broken)
		out, err := r.Do(t.Context(), "a")
		require.Equal(t, want, out.Status)
		if want == async.Refused {
			require.ErrorIs(t, err, errAny)
		} else {
			require.NoError(t, err)
		}
	}
}

func TestJudgedDownIsStoredAndNotSent(t *testing.T) {
	judge, err := async.NewJudge(async.JudgeConfig{Name: "p"}, nil)
	require.NoError(t, err)
	require.NoError(t, judge.SetMode(circuitbreaker.ForcedOpen))
	r := newRescued(t, async.NewMemory(), unreachable(t), async.Config{}, async.WithJudge(judge))
	out, err := r.Do(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, async.Judged, out.Reason)
}

func TestRefusalsFurtherInAreStored(t *testing.T) {
	for err, want := range map[error]async.Reason{
		&ratelimit.LimitedError{}:                  async.Limited,
		circuitbreaker.ErrOpen:                     async.Judged,
		async.NotDone(errAny):                      async.Turned,
		errors.Join(errAny, async.NotDone(errAny)): async.Turned,
	} {
		r := newRescued(t, async.NewMemory(), func(context.Context, string) error { return err }, async.Config{})
		out, got := r.Do(t.Context(), "a")
		require.NoError(t, got)
		require.Equal(t, want, out.Reason)
	}
}

func TestHopelessIsNotStored(t *testing.T) {
	r := newRescued(t, async.NewMemory(), func(context.Context, string) error { return async.Never(errAny) }, async.Config{Class: async.AtLeastOnce})
	out, err := r.Do(t.Context(), "a")
	require.ErrorIs(t, err, errAny)
	require.Equal(t, async.Refused, out.Status)
	require.Zero(t, depth(t, r).Backlog())
}

// A time-out is no proof that nothing happened.
func TestUnknownResultIsNotSentAgainUnlessChosen(t *testing.T) {
	fails := func(context.Context, string) error { return context.DeadlineExceeded }
	r := newRescued(t, async.NewMemory(), fails, async.Config{})
	_, err := r.Do(t.Context(), "a")
	require.ErrorIs(t, err, async.ErrUnknown)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, depth(t, r).Backlog())

	r = newRescued(t, async.NewMemory(), fails, async.Config{Class: async.AtLeastOnce})
	out, err := r.Do(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, async.Unclear, out.Reason)
	require.Equal(t, int64(1), depth(t, r).Depth[async.Queued])

	r = newRescued(t, async.NewMemory(), fails, async.Config{},
		async.WithReconciler(func(context.Context, string) (async.Verdict, error) { return async.Succeeded, nil }))
	_, err = r.Do(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, int64(1), depth(t, r).Depth[async.Unknown])
}

// The database is down while a request is to be stored.
func TestNothingIsAcceptedWithoutTheStore(t *testing.T) {
	down := errors.New("connection refused")
	r := newRescued(t, brokenStore{Store: async.NewMemory(), put: down}, works, async.Config{}, async.WithLimiter(limiterFunc(denied)))
	out, err := r.Do(t.Context(), "a")
	require.Equal(t, async.Refused, out.Status)
	require.ErrorIs(t, err, async.ErrNotAccepted)
	require.ErrorIs(t, err, down)
	require.ErrorIs(t, err, ratelimit.ErrLimited, "the original reason")
	var typed *async.NotAcceptedError
	require.ErrorAs(t, err, &typed)
	require.Equal(t, async.Limited, typed.Reason)
	require.Zero(t, r.Snapshot().Accepted)
}

func TestOneBadRequestDoesNotTakeItsCompany(t *testing.T) {
	gate := make(chan struct{})
	store := &slowStore{Store: brokenStore{Store: async.NewMemory(), poison: "bad"}, gate: gate}
	r := newRescued(t, store, works, async.Config{Mode: async.AlwaysLater}, async.WithTerms(func(s string) async.Terms { return async.Terms{Key: s} }))
	errs := make(chan error, 3)
	for _, key := range []string{"first", "bad", "good"} {
		go func() {
			_, err := r.Do(context.Background(), key)
			if key == "bad" {
				if err == nil {
					err = errors.New("accepted the bad one")
				} else {
					err = nil
				}
			}
			errs <- err
		}()
	}
	close(gate)
	for range 3 {
		require.NoError(t, <-errs)
	}
	require.Equal(t, int64(2), depth(t, r).Backlog())
}

type slowStore struct {
	async.Store
	gate chan struct{}
}

func (s *slowStore) Put(ctx context.Context, e []async.Entry) ([]async.Stored, error) {
	<-s.gate
	return s.Store.Put(ctx, e)
}

// The call has used up the caller's time; the request is stored all the same.
func TestStoringHasATimeOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		slow := func(ctx context.Context, _ string) error { <-ctx.Done(); return async.NotDone(ctx.Err()) }
		r := newRescued(t, async.NewMemory(), slow, async.Config{})
		out, err := r.Do(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, async.Accepted, out.Status)
	})
}

func TestCancelledCallerStoresNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	send := func(context.Context, string) error { cancel(); return context.Canceled }
	r := newRescued(t, async.NewMemory(), send, async.Config{Class: async.AtLeastOnce})
	_, err := r.Do(ctx, "a")
	require.ErrorIs(t, err, async.ErrUnknown)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, depth(t, r).Backlog())
	_, err = r.Do(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
}

func TestBacklogIsBounded(t *testing.T) {
	r := newRescued(t, async.NewMemory(), works, async.Config{MaxBacklog: 2, Mode: async.AlwaysLater})
	for range 2 {
		_, err := r.Do(t.Context(), "a")
		require.NoError(t, err)
	}
	_, err := r.Do(t.Context(), "a")
	require.ErrorIs(t, err, async.ErrFull)
	require.Equal(t, int64(2), depth(t, r).Backlog())
}

func TestDuplicates(t *testing.T) {
	var sent atomic.Int64
	send := func(context.Context, string) error { sent.Add(1); return nil }
	r := newRescued(t, async.NewMemory(), send, async.Config{Lookup: true}, async.WithTerms(func(s string) async.Terms { return async.Terms{Key: s} }))
	later := r.Config()
	later.Mode = async.AlwaysLater
	require.NoError(t, r.Update(later))
	out, err := r.Do(t.Context(), "a")
	require.NoError(t, err)
	require.False(t, out.Duplicate)
	out, err = r.Do(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, out.Duplicate)
	later.Mode = async.Automatic
	require.NoError(t, r.Update(later))
	out, err = r.Do(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, async.Outcome{Status: async.Accepted, Key: "a", Reason: async.Waiting, Duplicate: true}, out)
	require.Zero(t, sent.Load(), "the stored one is still to be delivered")
}

func TestAlwaysNowStoresNothing(t *testing.T) {
	r := newRescued(t, async.NewMemory(), works, async.Config{Mode: async.AlwaysNow}, async.WithLimiter(limiterFunc(denied)))
	_, err := r.Do(t.Context(), "a")
	require.ErrorIs(t, err, ratelimit.ErrLimited)
	require.NotErrorIs(t, err, async.ErrNotAccepted)
	require.Zero(t, depth(t, r).Backlog())
}

func TestNewNamesEveryViolation(t *testing.T) {
	_, err := async.New[string](nil, nil, async.Config{Workers: -1, Jitter: 2, Lease: time.Second, Heartbeat: time.Second},
		async.WithTerms(func(int) async.Terms { return async.Terms{} }), nil)
	require.ErrorIs(t, err, async.ErrConfig)
	for _, field := range []string{"store", "send", "Name", "Workers -1", "Jitter 2", "Heartbeat 1s", "WithTerms", "option"} {
		require.ErrorContains(t, err, field)
	}
}

func TestBadUpdateChangesNothing(t *testing.T) {
	r := newRescued(t, async.NewMemory(), works, async.Config{})
	before := r.Config()
	require.ErrorIs(t, r.Update(async.Config{Name: "q", Batch: -1}), async.ErrConfig)
	require.ErrorIs(t, r.Update(async.Config{Name: "other"}), async.ErrConfig)
	require.Equal(t, before, r.Config())
}

func TestPanicOfSendGoesOn(t *testing.T) {
	r := newRescued(t, async.NewMemory(), func(context.Context, string) error { panic("boom") }, async.Config{})
	require.PanicsWithValue(t, "boom", func() { _, _ = r.Do(t.Context(), "a") })
	require.Zero(t, depth(t, r).Backlog())
}
