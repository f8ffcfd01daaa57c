package session_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ginx/session"
)

// outage puts faults in front of a store: down, or slow to answer; and counts.
type outage struct {
	session.Store
	down  bool
	late  time.Duration // answers come late, with what was true before
	hold  chan struct{} // no answer until it is closed
	asked atomic.Int64
}

var errOutage = errors.New("outage")

func (o *outage) Alive(ctx context.Context, id string) (bool, error) {
	o.asked.Add(1)
	if o.down {
		return false, errOutage
	}
	if o.hold != nil {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-o.hold:
		}
	}
	alive, err := o.Store.Alive(ctx, id)
	if o.late > 0 {
		wait(o.late) // a client that does not honour ctx
	}
	return alive, err
}

func (o *outage) Create(ctx context.Context, id string, ttl time.Duration) error {
	if o.down {
		return errOutage
	}
	return o.Store.Create(ctx, id, ttl)
}

func (o *outage) Rotate(ctx context.Context, id string, r session.Rotation) (int64, error) {
	if o.down {
		return 0, errOutage
	}
	return o.Store.Rotate(ctx, id, r)
}

func (o *outage) Revoke(ctx context.Context, id string) error {
	if o.down {
		return errOutage
	}
	return o.Store.Revoke(ctx, id)
}

// nodes returns n managers that share a store, each through faults of its own, and
// the tokens of a user who has logged in at the first one.
func nodes(t *testing.T, n int) (managers []*session.Manager, outages []*outage, tokens session.Tokens) {
	t.Helper()
	store, keys := session.NewMemoryStore(), newKeys()
	managers, outages = make([]*session.Manager, n), make([]*outage, n)
	for i := range managers {
		outages[i] = &outage{Store: store}
		var err error
		managers[i], err = session.New(outages[i], keys, session.Config{})
		require.NoError(t, err)
	}
	tokens, err := managers[0].Issue(t.Context(), 42, browser)
	require.NoError(t, err)
	return managers, outages, tokens
}

func TestLogoutHoldsAtOnceHereAndForRefreshing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, _, tokens := nodes(t, 2)
		here, there := managers[0], managers[1]
		_, err := there.Verify(t.Context(), tokens.Access, browser)
		require.NoError(t, err)

		require.NoError(t, here.Revoke(t.Context(), tokens.Claims.SessionID))
		_, err = here.Verify(t.Context(), tokens.Access, browser)
		require.ErrorIs(t, err, session.ErrRevoked)
		_, err = there.Refresh(t.Context(), tokens.Refresh, browser)
		require.ErrorIs(t, err, session.ErrRevoked, "refreshing never trusts the cache")
		_, err = there.Verify(t.Context(), tokens.Access, browser)
		require.ErrorIs(t, err, session.ErrRevoked, "and the node learns from it")
	})
}

func TestLogoutReachesANodeThatOnlyRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, _, tokens := nodes(t, 2)
		_, err := managers[1].Verify(t.Context(), tokens.Access, browser)
		require.NoError(t, err)
		require.NoError(t, managers[0].Revoke(t.Context(), tokens.Claims.SessionID))
		wait(time.Second - time.Nanosecond)
		_, err = managers[1].Verify(t.Context(), tokens.Access, browser)
		require.NoError(t, err, "the cache must answer for a second")
		wait(time.Nanosecond)
		_, err = managers[1].Verify(t.Context(), tokens.Access, browser)
		require.ErrorIs(t, err, session.ErrRevoked)
	})
}

func TestAnswerOvertakenByALogoutIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 2)
		outages[1].late = 600 * time.Millisecond
		answer := make(chan error, 1)
		go func() {
			_, err := managers[1].Verify(t.Context(), tokens.Access, browser)
			answer <- err
		}()
		wait(time.Millisecond)
		require.NoError(t, managers[0].Revoke(t.Context(), tokens.Claims.SessionID))
		require.ErrorIs(t, <-answer, session.ErrUnavailable)
	})
}

func TestLookUpUnderWayDoesNotReviveASessionEndedHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 1)
		wait(2 * time.Second)
		outages[0].late = 100 * time.Millisecond
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = managers[0].Verify(t.Context(), tokens.Access, browser)
		}()
		wait(time.Millisecond)
		require.NoError(t, managers[0].Revoke(t.Context(), tokens.Claims.SessionID))
		<-answered
		_, err := managers[0].Verify(t.Context(), tokens.Access, browser)
		require.ErrorIs(t, err, session.ErrRevoked)
	})
}

func TestParallelRequestsOfASessionAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 1)
		wait(2 * time.Second)
		outages[0].late = 100 * time.Millisecond
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_, err := managers[0].Verify(t.Context(), tokens.Access, browser)
				require.NoError(t, err)
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, outages[0].asked.Load())
	})
}

func TestOneWhoGivesUpTakesNobodyAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 1)
		wait(2 * time.Second)
		outages[0].hold = make(chan struct{})
		verify := func(ctx context.Context) <-chan error {
			answer := make(chan error, 1)
			go func() {
				_, err := managers[0].Verify(ctx, tokens.Access, browser)
				answer <- err
			}()
			synctest.Wait()
			return answer
		}
		ctx, giveUp := context.WithCancel(t.Context())
		first, second := verify(ctx), verify(t.Context())
		require.EqualValues(t, 1, outages[0].asked.Load(), "the second one must wait for the first")
		giveUp()
		require.ErrorIs(t, <-first, context.Canceled)
		synctest.Wait()
		close(outages[0].hold)
		require.NoError(t, <-second)
		require.EqualValues(t, 2, outages[0].asked.Load())
	})
}

func TestOneWhoWaitsMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 1)
		wait(2 * time.Second)
		outages[0].late = 400 * time.Millisecond
		first := make(chan error, 1)
		go func() {
			_, err := managers[0].Verify(t.Context(), tokens.Access, browser)
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := managers[0].Verify(ctx, tokens.Access, browser)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, <-first)
	})
}

func TestStoreThatPanicsLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 1)
		wait(2 * time.Second)
		whole := outages[0].Store
		outages[0].Store = nil
		require.Panics(t, func() { _, _ = managers[0].Verify(t.Context(), tokens.Access, browser) })
		outages[0].Store = whole
		_, err := managers[0].Verify(t.Context(), tokens.Access, browser)
		require.NoError(t, err)
	})
}

func TestStoreThatHangsIsUnavailableAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 1)
		wait(2 * time.Second)
		outages[0].hold = make(chan struct{})
		began := time.Now()
		_, err := managers[0].Verify(t.Context(), tokens.Access, browser)
		require.ErrorIs(t, err, session.ErrUnavailable)
		require.Equal(t, 500*time.Millisecond, time.Since(began))
	})
}

func TestOutageClosesWritesAndLeavesReadsOpenForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 1)
		gate := newGate(t, managers[0], session.FailOpenFor(10*time.Minute))
		require.Equal(t, 200, gate.do("GET", "/articles/7", tokens.Access))

		outages[0].down = true
		wait(5 * time.Second)
		require.Equal(t, 200, gate.do("GET", "/articles/7", tokens.Access))
		require.Equal(t, 503, gate.do("POST", "/articles/7", tokens.Access))
		require.Equal(t, 401, gate.do("GET", "/articles/7", tokens.Access+"x"), "tokens are checked all the same")
		wait(9*time.Minute + 54*time.Second)
		require.Equal(t, 200, gate.do("GET", "/articles/7", tokens.Access))
		wait(2 * time.Second)
		require.Equal(t, 503, gate.do("GET", "/articles/7", tokens.Access), "only for ten minutes since the last contact")

		outages[0].down = false
		require.Equal(t, 200, gate.do("POST", "/articles/7", tokens.Access), "and back at once")
	})
}

func TestOutageDoesNotBringALoggedOutSessionBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 1)
		gate := newGate(t, managers[0], session.FailOpenFor(10*time.Minute))
		require.NoError(t, managers[0].Revoke(t.Context(), tokens.Claims.SessionID))
		outages[0].down = true
		wait(5 * time.Minute)
		require.Equal(t, 401, gate.do("GET", "/articles/7", tokens.Access))
	})
}

func TestNodeThatNeverReachedItsStoreFailsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 2)
		outages[1].down = true
		gate := newGate(t, managers[1], session.FailOpenFor(10*time.Minute))
		require.Equal(t, 503, gate.do("GET", "/articles/7", tokens.Access))
	})
}

func TestReadsDoNotAllWaitForAStoreThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managers, outages, tokens := nodes(t, 1)
		gate := newGate(t, managers[0], session.FailOpenFor(10*time.Minute))
		outages[0].down = true
		wait(2 * time.Second)
		for range 50 {
			require.Equal(t, 200, gate.do("GET", "/articles/7", tokens.Access))
		}
		require.EqualValues(t, 1, outages[0].asked.Load())
		wait(2 * time.Second)
		require.Equal(t, 200, gate.do("GET", "/articles/7", tokens.Access))
		require.EqualValues(t, 2, outages[0].asked.Load(), "and it is tried again every second")
	})
}

func TestLogoutDuringAnOutageIsAnError(t *testing.T) {
	managers, outages, tokens := nodes(t, 1)
	outages[0].down = true
	require.ErrorIs(t, managers[0].Revoke(t.Context(), tokens.Claims.SessionID), session.ErrUnavailable)
	_, err := managers[0].Refresh(t.Context(), tokens.Refresh, browser)
	require.ErrorIs(t, err, session.ErrUnavailable)
	require.ErrorIs(t, err, errOutage)
}

func TestRequestThatWasCanceledIsNoOutage(t *testing.T) {
	managers, _, tokens := nodes(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := managers[1].Verify(ctx, tokens.Access, browser)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, session.ErrUnavailable)
}

func TestParallelRefreshesAllSucceedAndLaterReuseIsFound(t *testing.T) {
	managers, _, tokens := nodes(t, 2)
	next := make([]session.Tokens, 16)
	var wg sync.WaitGroup
	for i := range next {
		wg.Go(func() {
			var err error
			next[i], err = managers[i%2].Refresh(t.Context(), tokens.Refresh, browser)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	for i := range next {
		_, err := managers[i%2].Verify(t.Context(), next[i].Access, browser)
		require.NoError(t, err)
	}
	_, err := managers[0].Refresh(t.Context(), next[3].Refresh, browser)
	require.NoError(t, err, "any of the successors goes on")
	_, err = managers[1].Refresh(t.Context(), tokens.Refresh, browser)
	require.ErrorIs(t, err, session.ErrReused, "and the one before them is spent, grace or not")
}
