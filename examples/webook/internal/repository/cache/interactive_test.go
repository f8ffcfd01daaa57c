package cache_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

const countsKey = "interactive:article:5"

func counts(version, reads, likes, collects int64) domain.Interactive {
	return domain.Interactive{Biz: "article", BizID: 5, Version: version, ReadCnt: reads, LikeCnt: likes, CollectCnt: collects}
}

// stored puts a copy there as a reader does.
func stored(t *testing.T, c *cache.Interactives, i domain.Interactive) {
	t.Helper()
	_, lease, err := c.Get(t.Context(), i.Biz, i.BizID)
	require.ErrorIs(t, err, cache.ErrMiss)
	require.NoError(t, c.Store(t.Context(), lease, i, time.Minute))
	got, _, err := c.Get(t.Context(), i.Biz, i.BizID)
	require.NoError(t, err)
	require.Equal(t, i, got)
}

func TestCountersComeBackAsTheyWereUntilTheirTimeEnds(t *testing.T) {
	rdb := testenv.Redis(t)
	stored(t, cache.NewInteractives(rdb, time.Minute), counts(1, 2, 3, 4))
	require.Equal(t, map[string]string{"version": "1", "read_cnt": "2", "like_cnt": "3", "collect_cnt": "4"},
		rdb.HGetAll(t.Context(), countsKey).Val())
	ttl := rdb.TTL(t.Context(), countsKey).Val()
	require.Greater(t, ttl, 50*time.Second)
	require.LessOrEqual(t, ttl, time.Minute)
	require.Zero(t, rdb.Exists(t.Context(), "{"+countsKey+"}:lease").Val(), "nothing is left beside it")
}

func TestAChangeRenewsACopyButNotItsLife(t *testing.T) {
	rdb := testenv.Redis(t)
	c := cache.NewInteractives(rdb, time.Minute)
	stored(t, c, counts(1, 2, 3, 4))
	require.NoError(t, rdb.PExpire(t.Context(), countsKey, 30*time.Second).Err())
	require.NoError(t, c.Renew(t.Context(), counts(2, 2, 4, 4)))
	got, _, err := c.Get(t.Context(), "article", 5)
	require.NoError(t, err)
	require.Equal(t, counts(2, 2, 4, 4), got)
	require.LessOrEqual(t, rdb.TTL(t.Context(), countsKey).Val(), 30*time.Second)
}

// A key that a miss made would have one counter, or no end, and be wrong for ever.
func TestAChangeOfWhatIsNotCachedLeavesNoKey(t *testing.T) {
	rdb := testenv.Redis(t)
	c := cache.NewInteractives(rdb, time.Minute)
	require.NoError(t, c.Renew(t.Context(), counts(1, 0, 1, 0)))
	require.Empty(t, rdb.Keys(t.Context(), "*interactive*").Val())
}

func TestChangesThatArriveInAnotherOrderLeaveTheNewest(t *testing.T) {
	c := cache.NewInteractives(testenv.Redis(t), time.Minute)
	stored(t, c, counts(1, 0, 1, 0))
	for _, i := range []domain.Interactive{counts(3, 0, 3, 0), counts(2, 0, 2, 0), counts(3, 0, 9, 0)} {
		require.NoError(t, c.Renew(t.Context(), i))
		got, _, err := c.Get(t.Context(), "article", 5)
		require.NoError(t, err)
		require.Equal(t, counts(3, 0, 3, 0), got)
	}
}

// A reader that read the row before a change must not store it after the change.
func TestACopyOfTheRowBeforeAChangeIsNotStored(t *testing.T) {
	rdb := testenv.Redis(t)
	c := cache.NewInteractives(rdb, time.Minute)
	_, lease, err := c.Get(t.Context(), "article", 5)
	require.ErrorIs(t, err, cache.ErrMiss)
	require.NoError(t, c.Renew(t.Context(), counts(2, 0, 1, 0)))
	require.NoError(t, c.Store(t.Context(), lease, counts(1, 0, 0, 0), time.Minute))
	require.Empty(t, rdb.Keys(t.Context(), "*interactive*").Val())
	stored(t, c, counts(2, 0, 1, 0)) // the next one may
}

// One whose write comes late must not count again what a reader has stored already.
func TestAChangeThatIsInTheCopyAlreadyCountsOnce(t *testing.T) {
	c := cache.NewInteractives(testenv.Redis(t), time.Minute)
	stored(t, c, counts(2, 0, 1, 0)) // read after the change
	require.NoError(t, c.Renew(t.Context(), counts(2, 0, 1, 0)))
	got, _, err := c.Get(t.Context(), "article", 5)
	require.NoError(t, err)
	require.EqualValues(t, 1, got.LikeCnt)
}

func TestOfManyWhoFindNoCopyOneMayStore(t *testing.T) {
	c := cache.NewInteractives(testenv.Redis(t), time.Minute)
	leases := make([]cache.Turn, 8)
	var all sync.WaitGroup
	for n := range leases {
		all.Go(func() { _, leases[n], _ = c.Get(t.Context(), "article", 5) })
	}
	all.Wait()
	holders := 0
	for _, lease := range leases {
		if lease != (cache.Turn{}) {
			holders++
		}
	}
	require.Equal(t, 1, holders)
}

// Who dies with the lease must not keep the others from storing for ever.
func TestALeaseEnds(t *testing.T) {
	c := cache.NewInteractives(testenv.Redis(t), 50*time.Millisecond)
	_, dead, err := c.Get(t.Context(), "article", 5)
	require.ErrorIs(t, err, cache.ErrMiss)
	require.Eventually(t, func() bool {
		_, lease, err := c.Get(t.Context(), "article", 5)
		require.ErrorIs(t, err, cache.ErrMiss)
		return lease != (cache.Turn{})
	}, 15*time.Second, 10*time.Millisecond)
	require.NoError(t, c.Store(t.Context(), dead, counts(1, 0, 0, 0), time.Minute))
	_, _, err = c.Get(t.Context(), "article", 5)
	require.ErrorIs(t, err, cache.ErrMiss, "the turn of another")
}

func TestACopyThatIsNotWholeIsAMissAndIsReplaced(t *testing.T) {
	rdb := testenv.Redis(t)
	c := cache.NewInteractives(rdb, time.Minute)
	for _, fields := range []map[string]any{
		{"like_cnt": 1},
		{"version": 1, "read_cnt": 0, "like_cnt": "many", "collect_cnt": 0},
	} {
		require.NoError(t, rdb.HSet(t.Context(), countsKey, fields).Err())
		_, _, err := c.Get(t.Context(), "article", 5)
		require.ErrorIs(t, err, cache.ErrMiss)
		require.NoError(t, rdb.Del(t.Context(), countsKey).Err())
	}
	require.NoError(t, rdb.HSet(t.Context(), countsKey, "like_cnt", 1).Err())
	require.NoError(t, c.Renew(t.Context(), counts(4, 1, 2, 3)))
	got, _, err := c.Get(t.Context(), "article", 5)
	require.NoError(t, err)
	require.Equal(t, counts(4, 1, 2, 3), got)
}

func TestManyCopiesAreRenewedInOneRoundTrip(t *testing.T) {
	rdb := testenv.Redis(t)
	trips := &tripCounter{}
	rdb.AddHook(trips)
	c := cache.NewInteractives(rdb, time.Minute)
	var changed []domain.Interactive
	for id := range int64(50) {
		changed = append(changed, domain.Interactive{Biz: "article", BizID: id, Version: 1, ReadCnt: id})
	}
	require.NoError(t, c.Renew(t.Context(), changed...))
	require.NoError(t, c.Renew(t.Context()))
	require.Equal(t, 1, trips.n)
}

// tripCounter counts round trips that run scripts.
type tripCounter struct{ n int }

func (c *tripCounter) count(cmds ...redis.Cmder) {
	if slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return strings.HasPrefix(cmd.Name(), "eval") }) {
		c.n++
	}
}

func (*tripCounter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *tripCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { c.count(cmd); return next(ctx, cmd) }
}

func (c *tripCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { c.count(cmds...); return next(ctx, cmds) }
}

func TestARedisThatIsAwayIsNoMissOfCounters(t *testing.T) {
	rdb := testenv.Redis(t)
	c := cache.NewInteractives(rdb, time.Minute)
	_, lease, err := c.Get(t.Context(), "article", 5)
	require.ErrorIs(t, err, cache.ErrMiss)
	require.NoError(t, rdb.Close())
	_, _, err = c.Get(t.Context(), "article", 5)
	require.Error(t, err)
	require.NotErrorIs(t, err, cache.ErrMiss)
	require.Error(t, c.Store(t.Context(), lease, counts(1, 0, 0, 0), time.Minute))
	require.Error(t, c.Renew(t.Context(), counts(1, 0, 0, 0)))
}
