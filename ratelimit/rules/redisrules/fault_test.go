package redisrules_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/redisrules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rulestest"
)

// patience bounds what has to happen soon, even on a slow machine.
const patience = 60 * time.Second

// pair is a store whose network fails on demand, and one of the same database that
// goes past it.
type pair struct {
	far, near *redisrules.Store
	proxy     *faultproxy.Proxy
}

func newPair(t *testing.T, retries int) pair {
	t.Helper()
	o := *testenv.RedisOptions(t)
	direct := redis.NewClient(&o)
	p := pair{proxy: testenv.Proxy(t, o.Addr)}
	behind := o
	behind.Addr, behind.MaxRetries, behind.ReadTimeout, behind.ContextTimeoutEnabled = p.proxy.Addr(), retries, patience, true
	rdb := redis.NewClient(&behind)
	t.Cleanup(func() {
		_ = rdb.Close()
		_ = direct.Close()
	})
	var err error
	p.far, err = redisrules.New(rdb, "api")
	require.NoError(t, err)
	p.near, err = redisrules.New(direct, "api")
	require.NoError(t, err)
	p.far.SetSilence(50 * time.Millisecond)
	return p
}

func number(t *testing.T, s rollout.Ledger) uint64 {
	r, _, err := s.Latest(t.Context())
	require.NoError(t, err)
	return r.Number
}

type saved struct {
	rollout.Revision
	err error
}

// loseAnswer runs save, whose answer is lost after meanwhile has run: the server made
// the revision after the given one.
func (p pair) loseAnswer(t *testing.T, after uint64, save func() (rollout.Revision, error), meanwhile func()) saved {
	t.Helper()
	p.proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Hold: true}})
	got := make(chan saved, 1)
	go func() {
		r, err := save()
		got <- saved{r, err}
	}()
	require.Eventually(t, func() bool { return number(t, p.near) > after }, patience, time.Millisecond)
	meanwhile()
	p.proxy.Cut()
	p.proxy.Heal()
	return <-got
}

func TestASaveThatIsSentAgainMakesOneRevision(t *testing.T) {
	for name, others := range map[string]uint64{"at once": 0, "after other saves": 3} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 3)
			_, err := p.far.Save(t.Context(), 0, rulestest.Edit(1)) // Redis has the script
			require.NoError(t, err)
			got := p.loseAnswer(t, 1, func() (rollout.Revision, error) {
				return p.far.Save(context.Background(), 1, rulestest.Edit(2))
			}, func() {
				for i := range others {
					_, err := p.near.Save(t.Context(), 2+i, rulestest.Edit(9))
					require.NoError(t, err)
				}
			})
			require.NoError(t, got.err, "told of its own success, not of a conflict with itself")
			require.EqualValues(t, 2, got.Number)
			history, err := p.near.History(t.Context(), 10)
			require.NoError(t, err)
			require.Len(t, history, int(2+others))
			require.Equal(t, history[others], got.Revision)
		})
	}
}

func TestASaveThatIsMadeAgainAfterALostAnswerIsStale(t *testing.T) {
	p := newPair(t, -1) // the client does not send again, whoever saves does
	set, err := rules.New(rulestest.Edit(1).Rules)
	require.NoError(t, err)
	f, err := rollout.New(set, p.far, "one", rollout.Config{Timeout: patience})
	require.NoError(t, err)
	seen, err := f.Latest(t.Context())
	require.NoError(t, err)
	_, err = p.far.Save(t.Context(), seen.Number, rulestest.Edit(2)) // Redis has the script
	require.NoError(t, err)
	got := p.loseAnswer(t, 2, func() (rollout.Revision, error) {
		return p.far.Save(context.Background(), 2, rulestest.Edit(3))
	}, func() {})
	require.Error(t, got.err, "nobody knows whether it was saved")
	require.NotErrorIs(t, got.err, rules.ErrStale)

	_, err = f.Save(t.Context(), 2, rulestest.Edit(3))
	require.ErrorIs(t, err, rules.ErrStale)
	latest, err := f.Latest(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, latest.Number)
	require.Equal(t, rulestest.Edit(3).Rules, latest.Rules)
	now, _ := set.Rules()
	require.Equal(t, rulestest.Edit(3).Rules, now)
}

func TestAWatchOnAConnectionThatFallsSilentEnds(t *testing.T) {
	p := newPair(t, -1)
	heard, ended := make(chan struct{}, 10), make(chan error, 1)
	go func() { ended <- p.far.Watch(context.Background(), func() { heard <- struct{}{} }) }()
	<-heard
	p.proxy.Set(faultproxy.Fault{Up: faultproxy.Link{Drop: true}, Down: faultproxy.Link{Drop: true}}) // no end, no reset
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(patience):
		require.Fail(t, "it still listens to nobody")
	}
}

func TestAWatchOfAQuietStoreGoesOn(t *testing.T) {
	p := newPair(t, -1)
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan struct{}, 10), make(chan error, 1)
	go func() { ended <- p.far.Watch(ctx, func() { heard <- struct{}{} }) }()
	<-heard
	before := p.proxy.Stats().DownBytes
	// Some answers to the question whether the server is there.
	require.Eventually(t, func() bool { return p.proxy.Stats().DownBytes >= before+50 }, patience, time.Millisecond)
	_, err := p.near.Save(t.Context(), 0, rulestest.Edit(1))
	require.NoError(t, err)
	<-heard
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestAFollowerListensAgainAfterItsConnectionsDied(t *testing.T) {
	p := newPair(t, -1)
	set, err := rules.New(rulestest.Edit(1).Rules)
	require.NoError(t, err)
	// It would not find out by looking.
	f, err := rollout.New(set, p.far, "one", rollout.Config{Poll: time.Hour, Retry: time.Millisecond, Timeout: time.Second})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	require.Eventually(t, func() bool { s := f.Snapshot(); return s.Watching && s.Revision.Number == 1 }, patience, time.Millisecond)

	p.proxy.Set(faultproxy.Fault{Up: faultproxy.Link{Drop: true}, Down: faultproxy.Link{Drop: true}})
	require.Eventually(t, func() bool { return !f.Snapshot().Watching }, patience, time.Millisecond)
	_, err = p.near.Save(t.Context(), 1, rulestest.Edit(7))
	require.NoError(t, err)
	kept, _ := set.Rules()
	require.Equal(t, rulestest.Edit(1).Rules, kept)
	p.proxy.Heal()
	p.proxy.Cut()
	require.Eventually(t, func() bool {
		now, _ := set.Rules()
		return now[0].Rate.Count == 7 && f.Snapshot().Watching
	}, patience, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestTwoInstancesThatRestoreAtOnceRestoreTheNewest(t *testing.T) {
	for _, behind := range []bool{false, true} { // that one had not heard of the newest
		rdb := testenv.Redis(t)
		for range 20 {
			require.NoError(t, rdb.FlushDB(t.Context()).Err())
			var followers [2]*rollout.Follower
			var sets [2]*rules.Set
			for i := range followers {
				s, err := redisrules.New(rdb, "api")
				require.NoError(t, err)
				sets[i], err = rules.New(rulestest.Edit(1).Rules)
				require.NoError(t, err)
				followers[i], err = rollout.New(sets[i], s, []string{"one", "two"}[i], rollout.Config{Timeout: patience})
				require.NoError(t, err)
				_, err = followers[i].Latest(t.Context())
				require.NoError(t, err)
			}
			_, err := followers[0].Save(t.Context(), 1, rulestest.Edit(2))
			require.NoError(t, err)
			if !behind {
				_, err = followers[1].Latest(t.Context())
				require.NoError(t, err)
			}
			require.NoError(t, rdb.FlushDB(t.Context()).Err())

			var all sync.WaitGroup
			for _, f := range followers {
				all.Go(func() {
					_, err := f.Latest(context.Background())
					if err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			// Whoever was first, each looks from time to time.
			for _, f := range followers {
				_, err := f.Latest(t.Context())
				require.NoError(t, err)
			}
			r, err := followers[1].Latest(t.Context())
			require.NoError(t, err)
			require.Equal(t, rulestest.Edit(2).Rules, r.Rules)
			require.EqualValues(t, 2, r.Restores)
			require.EqualValues(t, 3, r.Number)
			history, err := followers[0].History(t.Context(), 10)
			require.NoError(t, err)
			if !behind {
				require.Len(t, history, 1, "restored once")
			}
			for _, set := range sets {
				now, _ := set.Rules()
				require.Equal(t, rulestest.Edit(2).Rules, now)
			}
		}
	}
}

func TestNoConcurrentEditIsLost(t *testing.T) {
	rulestest.Audit(t, func(t *testing.T, history int) rollout.Store {
		s, err := redisrules.New(testenv.Redis(t), "api", redisrules.WithHistory(history))
		require.NoError(t, err)
		return s
	}, testenv.Scale(200, 10_000))
}
