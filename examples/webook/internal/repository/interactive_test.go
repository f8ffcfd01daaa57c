package repository_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/observe/observetest"
)

const biz = domain.BizArticle

// counting is a repository of counters on servers that a test can kill.
type counting struct {
	world
	repo  *repository.Interactives
	table *dao.Interactives
	seen  *observetest.Recorder
}

func newCounting(t *testing.T, passMax int) counting {
	t.Helper()
	c := counting{world: newWorld(t, 1), seen: observetest.NewRecorder(t)}
	require.NoError(t, dao.MigrateInteractives(t.Context(), c.db))
	c.table = dao.NewInteractives(c.db)
	settings := repository.Settings{TTL: time.Minute, Timeout: time.Second, PassMax: passMax}
	c.repo = repository.NewInteractives(c.table, cache.NewInteractives(c.rdb, time.Minute),
		func() repository.Settings { return settings }, c.seen)
	return c
}

// counts are reads, likes and collections of the thing.
func (c counting) counts(t *testing.T, id int64) [3]int64 {
	t.Helper()
	got, err := c.repo.Counts(t.Context(), biz, id)
	require.NoError(t, err)
	return [3]int64{got.ReadCnt, got.LikeCnt, got.CollectCnt}
}

func TestOnlyAMissOfCountersReadsSQL(t *testing.T) {
	c := newCounting(t, 1)
	require.NoError(t, c.repo.Like(t.Context(), biz, 1, 7))
	queries := c.queries(t)
	for range 3 {
		require.Equal(t, [3]int64{0, 1, 0}, c.counts(t, 1))
	}
	require.Equal(t, 1, queries())
	for range 3 {
		require.Equal(t, [3]int64{}, c.counts(t, 2), "what has no counters is cached, too")
	}
	require.Equal(t, 2, queries())
}

func TestTheCopyFollowsEachChange(t *testing.T) {
	c := newCounting(t, 1)
	require.Equal(t, [3]int64{}, c.counts(t, 1))
	require.NoError(t, c.repo.Like(t.Context(), biz, 1, 7))
	require.NoError(t, c.repo.Like(t.Context(), biz, 1, 7))
	require.Equal(t, [3]int64{0, 1, 0}, c.counts(t, 1))
	require.NoError(t, c.repo.Collect(t.Context(), biz, 1, 0, 7))
	require.Equal(t, [3]int64{0, 1, 1}, c.counts(t, 1))
	require.NoError(t, c.repo.CancelLike(t.Context(), biz, 1, 7))
	require.NoError(t, c.repo.CancelLike(t.Context(), biz, 1, 7))
	require.Equal(t, [3]int64{0, 0, 1}, c.counts(t, 1))
	require.NoError(t, c.repo.CancelCollect(t.Context(), biz, 1, 7))
	require.Equal(t, [3]int64{}, c.counts(t, 1))
}

// Readers that fill the cache and people who click, all at once: in the end the copy
// is the row.
func TestTheCopyIsTheRowAfterAStorm(t *testing.T) {
	c := newCounting(t, 1)
	const people, rounds = 4, 25
	var clicks, all sync.WaitGroup
	done := make(chan struct{})
	for uid := range int64(people) {
		clicks.Go(func() {
			for round := range rounds {
				act := c.repo.Like
				if round%2 == 1 && uid > 0 {
					act = c.repo.CancelLike
				}
				if err := act(t.Context(), biz, 1, uid+1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if _, err := c.repo.Counts(t.Context(), biz, 1); err != nil {
					t.Error(err)
				}
				if i%3 == 0 { // as when its time ends
					c.rdb.Del(context.WithoutCancel(t.Context()), "interactive:article:1")
				}
			}
		})
	}
	clicks.Wait()
	close(done)
	all.Wait()
	row, err := c.table.ByID(t.Context(), biz, 1)
	require.NoError(t, err)
	require.Equal(t, [3]int64{0, row.LikeCnt, 0}, c.counts(t, 1))
}

func TestAClickCountsWithoutTheCacheAndSaysThatTheCopyIsStale(t *testing.T) {
	c := newCounting(t, 1)
	c.redis.Stop()
	require.NoError(t, c.repo.Like(t.Context(), biz, 1, 7))
	require.Equal(t, 1, c.results("stale"))
	require.Equal(t, [3]int64{0, 1, 0}, c.counts(t, 1), "SQL answers")
	require.Equal(t, 1, c.results("pass"))
	c.redis.StartEmpty()
	require.Equal(t, [3]int64{0, 1, 0}, c.counts(t, 1))
}

// results counts the reports with the result.
func (c counting) results(result string) (n int) {
	for _, used := range c.seen.Ended("interactive_cache", "use") {
		if used.Label("result") == result {
			n++
		}
	}
	return n
}

// A change after one that was lost brings the copy up to both.
func TestTheNextChangeMendsACopyThatMissedOne(t *testing.T) {
	c := newCounting(t, 1)
	require.Equal(t, [3]int64{}, c.counts(t, 1))
	_, _, err := c.table.Like(t.Context(), biz, 1, 7) // and the cache is not told
	require.NoError(t, err)
	require.Equal(t, [3]int64{}, c.counts(t, 1))
	require.NoError(t, c.repo.Collect(t.Context(), biz, 1, 0, 7))
	require.Equal(t, [3]int64{0, 1, 1}, c.counts(t, 1))
}

func TestWithoutLeaveToPassCountersFailWithTheCache(t *testing.T) {
	c := newCounting(t, 0)
	c.redis.Stop()
	_, err := c.repo.Counts(t.Context(), biz, 1)
	require.ErrorIs(t, err, repository.ErrUnavailable)
}

// A reader who leaves is not the cache's failure, and must not open the way to SQL.
func TestAReaderWhoLeftReadsNoCountersFromSQL(t *testing.T) {
	c := newCounting(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	queries := c.queries(t)
	_, err := c.repo.Counts(ctx, biz, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, queries())
}

func TestCountersOfManyComeInOneQuery(t *testing.T) {
	c := newCounting(t, 1)
	for id := range int64(3) {
		require.NoError(t, c.repo.Like(t.Context(), biz, id+1, 7))
	}
	queries := c.queries(t)
	got, err := c.repo.CountsOf(t.Context(), biz, []int64{3, 1, 9, 3})
	require.NoError(t, err)
	require.Equal(t, 1, queries())
	require.Len(t, got, 2, "what has no counters is left out")
	require.EqualValues(t, 1, got[3].LikeCnt)
	require.Equal(t, int64(1), got[1].BizID)
	require.NotContains(t, got, int64(9))
}
