package redissession_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/ginx/session/redissession"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

const browser = "Mozilla/5.0"

func newKeys() session.Keys {
	keys := make([]session.Key, 2)
	for i, id := range []string{"a", "r"} {
		secret := make([]byte, session.MinSecret)
		_, _ = rand.Read(secret)
		keys[i] = session.Key{ID: id, Secret: secret}
	}
	return session.Keys{Access: keys[:1], Refresh: keys[1:]}
}

// trips counts round trips: commands, and pipelines as one.
type trips struct{ n atomic.Int64 }

func (c *trips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmds)
	}
}

// of counts the round trips of f.
func (c *trips) of(f func()) int64 {
	before := c.n.Load()
	f()
	return c.n.Load() - before
}

// twoNodes returns two managers as two processes would have them: each with a
// client of its own on one Redis.
func twoNodes(t *testing.T, options *redis.Options) (managers [2]*session.Manager, counts [2]*trips) {
	t.Helper()
	keys, prefix := newKeys(), testenv.Name(t)
	for i := range managers {
		rdb := redis.NewClient(options)
		t.Cleanup(func() { _ = rdb.Close() })
		require.NoError(t, rdb.Ping(t.Context()).Err(), "a connection is made once, not per request")
		counts[i] = &trips{}
		rdb.AddHook(counts[i])
		var err error
		managers[i], err = session.New(redissession.New(rdb, redissession.WithPrefix(prefix)), keys, session.Config{})
		require.NoError(t, err)
	}
	return managers, counts
}

func TestLogoutReachesTheOtherNodeWithinASecond(t *testing.T) {
	managers, _ := twoNodes(t, testenv.RedisOptions(t))
	tokens, err := managers[0].Issue(t.Context(), 42, browser)
	require.NoError(t, err)
	_, err = managers[1].Verify(t.Context(), tokens.Access, browser)
	require.NoError(t, err)

	require.NoError(t, managers[0].Revoke(t.Context(), tokens.Claims.SessionID))
	out := time.Now()
	_, err = managers[0].Verify(t.Context(), tokens.Access, browser)
	require.ErrorIs(t, err, session.ErrRevoked, "at once where it happened")
	var accepted time.Duration // when the last request was that passed
	require.Eventually(t, func() bool {
		asked := time.Since(out)
		if _, err = managers[1].Verify(t.Context(), tokens.Access, browser); err == nil {
			accepted = asked
		}
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)
	require.ErrorIs(t, err, session.ErrRevoked)
	require.Less(t, accepted, time.Second)
	_, err = managers[1].Refresh(t.Context(), tokens.Refresh, browser)
	require.ErrorIs(t, err, session.ErrRevoked)
}

func TestRequestCostsAtMostOneRoundTripAndNoneWithTheCache(t *testing.T) {
	managers, counts := twoNodes(t, testenv.RedisOptions(t))
	var tokens session.Tokens
	var err error
	require.EqualValues(t, 1, counts[0].of(func() {
		tokens, err = managers[0].Issue(t.Context(), 42, browser)
	}))
	require.NoError(t, err)
	verify := func() {
		_, err := managers[1].Verify(t.Context(), tokens.Access, browser)
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, counts[1].of(verify))
	require.Zero(t, counts[1].of(func() {
		for range 10 {
			verify()
		}
	}))
	require.Zero(t, counts[1].of(func() {
		_, err := managers[1].Verify(t.Context(), tokens.Access+"x", browser)
		require.ErrorIs(t, err, session.ErrInvalid)
	}), "a forged token must not cost Redis anything")
	refresh := func() { tokens, err = managers[1].Refresh(t.Context(), tokens.Refresh, browser) }
	refresh() // Redis may not have the script yet
	require.NoError(t, err)
	require.EqualValues(t, 1, counts[1].of(refresh))
	require.NoError(t, err)
}

func TestParallelRefreshOnTwoNodes(t *testing.T) {
	managers, _ := twoNodes(t, testenv.RedisOptions(t))
	tokens, err := managers[0].Issue(t.Context(), 42, browser)
	require.NoError(t, err)
	next := make([]session.Tokens, 8)
	var wg sync.WaitGroup
	for i := range next {
		wg.Go(func() {
			var err error
			next[i], err = managers[i%2].Refresh(t.Context(), tokens.Refresh, browser)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	_, err = managers[1].Refresh(t.Context(), next[0].Refresh, browser)
	require.NoError(t, err)
	_, err = managers[0].Refresh(t.Context(), tokens.Refresh, browser)
	require.ErrorIs(t, err, session.ErrReused)
	_, err = managers[0].Verify(t.Context(), next[1].Access, browser)
	require.ErrorIs(t, err, session.ErrRevoked)
}

func TestRedisDownAndBack(t *testing.T) {
	node := testenv.RestartableRedis(t)
	managers, _ := twoNodes(t, &redis.Options{Addr: node.Addr(), MaxRetries: -1, ContextTimeoutEnabled: true})
	tokens, err := managers[0].Issue(t.Context(), 42, browser)
	require.NoError(t, err)

	node.Stop()
	_, err = managers[0].Verify(t.Context(), tokens.Access, browser)
	require.NoError(t, err, "still remembered")
	_, err = managers[1].Verify(t.Context(), tokens.Access, browser)
	require.ErrorIs(t, err, session.ErrUnavailable)
	_, err = managers[0].Refresh(t.Context(), tokens.Refresh, browser)
	require.ErrorIs(t, err, session.ErrUnavailable)
	require.ErrorIs(t, managers[0].Revoke(t.Context(), tokens.Claims.SessionID), session.ErrUnavailable)
	_, err = managers[0].Issue(t.Context(), 42, browser)
	require.ErrorIs(t, err, session.ErrUnavailable)

	node.Start()
	_, err = managers[1].Verify(t.Context(), tokens.Access, browser)
	require.NoError(t, err)
	tokens, err = managers[1].Refresh(t.Context(), tokens.Refresh, browser)
	require.NoError(t, err, "a refresh that failed has spent nothing")

	node.Stop()
	node.StartEmpty()
	_, err = managers[0].Refresh(t.Context(), tokens.Refresh, browser)
	require.ErrorIs(t, err, session.ErrRevoked, "lost data ends sessions, it does not revive them")
}

func TestDataInAnOutage(t *testing.T) {
	node := testenv.RestartableRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: node.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	data := redissession.NewData(rdb)
	r := session.Record{ID: "id", UserID: 7, EndsAt: time.Now().Add(time.Hour)}
	ref, err := data.Create(t.Context(), r, time.Hour)
	require.NoError(t, err)

	node.Stop()
	_, err = data.Create(t.Context(), r, time.Hour)
	require.ErrorContains(t, err, "redissession: create")
	_, err = data.Access(t.Context(), ref, session.Access{})
	require.ErrorContains(t, err, "redissession: access")
	require.NotErrorIs(t, err, session.ErrRevoked, "an outage logs nobody out")
	require.ErrorContains(t, data.Drop(t.Context(), ref), "redissession: drop")

	node.Start()
	got, err := data.Access(t.Context(), ref, session.Access{})
	require.NoError(t, err)
	require.EqualValues(t, 7, got.UserID)
	r.EndsAt = time.Now().Add(-time.Second)
	_, err = data.Create(t.Context(), r, time.Hour)
	require.ErrorContains(t, err, "has ended already")
}

func TestGraceEndsByTheServersClock(t *testing.T) {
	rdb := testenv.Redis(t)
	store := redissession.New(rdb, redissession.WithPrefix("p"))
	require.NoError(t, store.Create(t.Context(), "a", time.Hour))
	rotation := session.Rotation{Generation: 1, Grace: 10 * time.Second, TTL: time.Hour}
	_, err := store.Rotate(t.Context(), "a", rotation)
	require.NoError(t, err)
	// The record says since when the generation is current: as if that were longer ago.
	rotatedAgo := func(d time.Duration) {
		now, err := rdb.Time(t.Context()).Result()
		require.NoError(t, err)
		value := fmt.Sprintf("2:%d", now.Add(-d).UnixMilli())
		require.NoError(t, rdb.Set(t.Context(), "p:{1:a}", value, redis.KeepTTL).Err())
	}
	rotatedAgo(9 * time.Second)
	generation, err := store.Rotate(t.Context(), "a", rotation)
	require.NoError(t, err)
	require.EqualValues(t, 2, generation)
	rotatedAgo(10 * time.Second)
	_, err = store.Rotate(t.Context(), "a", rotation)
	require.ErrorIs(t, err, session.ErrReused)
}

func TestSessionEndsWithItsRefreshToken(t *testing.T) {
	server := testenv.EmbeddedRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	m, err := session.New(redissession.New(rdb), newKeys(), session.Config{})
	require.NoError(t, err)
	_, err = m.Issue(t.Context(), 42, browser)
	require.NoError(t, err)
	server.FastForward(7 * 24 * time.Hour)
	require.EqualValues(t, 1, rdb.DBSize(t.Context()).Val())
	server.FastForward(11 * time.Second)
	require.Zero(t, rdb.DBSize(t.Context()).Val())
}
