package redislimit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

func named(name string, rate ratelimit.Rate, burst int64) ratelimit.Limit {
	return ratelimit.Limit{Name: name, Quota: ratelimit.Quota{Rate: rate, Burst: burst}}
}

func TestARefusedDecisionChargesNoLimit(t *testing.T) {
	rdb := testenv.Redis(t)
	c := newClock(t, rdb, 1)
	m, err := redislimit.NewMulti(rdb, []ratelimit.Limit{
		named("minute", ratelimit.PerMinute(100), 100), named("second", ratelimit.PerSecond(10), 10),
	})
	require.NoError(t, err)
	m.OnClock(c.name)
	for range 10 {
		d := take(t, m, "k", 1)
		require.True(t, d.Allowed)
		require.Equal(t, "second", d.Rule, "the one with the least left")
	}
	for range 50 {
		d := take(t, m, "k", 1)
		require.False(t, d.Allowed)
		require.Equal(t, "second", d.Rule)
		require.Equal(t, 100*time.Millisecond, d.RetryAfter)
	}
	for range 9 {
		c.advance(time.Second)
		require.True(t, take(t, m, "k", 10).Allowed)
	}
	c.advance(time.Second)
	d := take(t, m, "k", 0)
	require.Equal(t, int64(10), d.Remaining, "the minute's bucket has some more")
	_, err = m.Take(t.Context(), "k", 11)
	require.ErrorIs(t, err, ratelimit.ErrRequest, "more than the smallest limit ever grants")
}

// Random histories against one model for each limit: a decision is admitted when
// all models admit it, and then all are charged. In the end Redis holds exactly
// what the models say, so no refusal left a charge behind.
func TestMultiAgreesWithItsModels(t *testing.T) {
	options := testenv.RedisOptions(t)
	options.PoolSize = 16
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	const workers = 16
	var wg sync.WaitGroup
	for worker := range workers {
		c := newClock(t, rdb, 1)
		c.name += strconv.Itoa(worker)
		random := rand.New(rand.NewPCG(uint64(worker), 4))
		wg.Go(func() {
			for n := range testenv.Scale(160, 1_000_000) / workers {
				if t.Failed() {
					return
				}
				multiHistory(t, rdb, c, random, fmt.Sprint(worker, ":", n))
			}
		})
	}
	wg.Wait()
}

// failsOf lets require end a goroutine that is not the test's.
type failsOf struct{ *testing.T }

func (f failsOf) FailNow() { f.Fail(); runtime.Goexit() }

func multiHistory(test *testing.T, rdb *redis.Client, c *clock, random *rand.Rand, subject string) {
	t := failsOf{test}
	c.t = t
	c.set(c.now.Load())
	start := c.now.Load()
	var limits []ratelimit.Limit
	var models []*ratelimittest.Model
	for i := range 1 + random.IntN(8) {
		n := 1 + random.Int64N(50)
		rate := ratelimit.Rate{Count: n, Per: time.Duration(n*(1+random.Int64N(40))) * time.Millisecond}
		limits = append(limits, named(strconv.Itoa(i), rate, 3+random.Int64N(4)))
		models = append(models, ratelimittest.TokenBucket(limits[i].Quota))
	}
	m, err := redislimit.NewMulti(rdb, limits)
	require.NoError(t, err)
	m.OnClock(c.name)
	now := time.Duration(0)
	for range 4 + random.IntN(4) {
		if random.IntN(2) == 0 {
			c.advance(time.Duration(random.Int64N(50_000)) * time.Microsecond)
			now = time.Duration(c.now.Load()-start) * time.Microsecond
		}
		cost, all := random.Int64N(4), true
		for _, model := range models {
			all = model.Take(now, 0).Remaining >= cost && all
		}
		d := take(t, m, subject, cost)
		require.Equal(t, all, d.Allowed)
		if !all {
			continue
		}
		least := d.Limit
		for _, model := range models {
			after := model.Take(now, cost)
			require.True(t, after.Allowed)
			least = min(least, after.Remaining)
		}
		require.Equal(t, least, d.Remaining)
	}
	at := key("ratelimit:multi", subject)
	held, err := rdb.HGetAll(context.Background(), at).Result()
	require.NoError(t, err)
	for i, model := range models {
		tat, _ := strconv.ParseInt(held[strconv.Itoa(i)], 10, 64)
		missing := time.Duration(max(tat-c.now.Load(), 0)) * time.Microsecond
		require.Equal(t, model.Take(now, 0).ResetAfter, missing, "limit %d was charged in part", i)
	}
	require.NoError(t, rdb.Del(context.Background(), at).Err())
}

func TestMultiIsAtomicUnderConcurrency(t *testing.T) {
	m, err := redislimit.NewMulti(testenv.Redis(t), []ratelimit.Limit{
		named("a", ratelimit.PerHour(60), 60), named("b", ratelimit.PerHour(40), 40),
	})
	require.NoError(t, err)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				if d, err := m.Take(context.Background(), "k", 1); err == nil && d.Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(40), admitted.Load())
}

func TestMultiRetunesAndRefusesBadLimits(t *testing.T) {
	rdb := testenv.Redis(t)
	limits := []ratelimit.Limit{named("a", ratelimit.PerMinute(10), 10), named("b", ratelimit.PerHour(100), 100)}
	m, err := redislimit.NewMulti(rdb, limits)
	require.NoError(t, err)
	require.True(t, take(t, m, "k", 9).Allowed)
	limits[0].Quota.Burst = 5
	require.NoError(t, m.Retune(limits))
	d := take(t, m, "k", 1)
	require.False(t, d.Allowed)
	require.Equal(t, "a", d.Rule)
	require.LessOrEqual(t, d.RetryAfter, 6*time.Second, "usage above the new burst is cut down to it")
	require.Equal(t, limits, m.Limits())
	var field *ratelimit.FieldError
	require.ErrorAs(t, m.Retune(limits[:1]), &field)
	require.ErrorAs(t, m.Retune([]ratelimit.Limit{limits[1], limits[0]}), &field)
	require.ErrorAs(t, m.Retune([]ratelimit.Limit{limits[0], {Name: "b"}}), &field)
	require.Equal(t, limits, m.Limits())
	require.Equal(t, int64(5+10), m.Most("a", time.Minute+1))
	require.Zero(t, m.Most("c", time.Minute))
	_, err = redislimit.NewMulti(rdb, []ratelimit.Limit{{}, limits[0], limits[0]})
	for _, text := range []string{"limits[0].name", "limits[0]: ratelimit: rate.count 0", "limits[2].name"} {
		require.ErrorContains(t, err, text)
	}
}

func TestMultiKeepsItsKeyInOrder(t *testing.T) {
	rdb := testenv.Redis(t)
	c := newClock(t, rdb, 1)
	m, err := redislimit.NewMulti(rdb, []ratelimit.Limit{named("a", ratelimit.PerSecond(5), 5), named("b", ratelimit.PerMinute(60), 10)})
	require.NoError(t, err)
	at := key("ratelimit:multi", "k")
	take(t, m, "k", 0)
	require.Zero(t, rdb.Exists(t.Context(), at).Val(), "looking writes nothing")
	take(t, m, "k", 5)
	ttl := rdb.PTTL(t.Context(), at).Val()
	require.Greater(t, ttl, 5*time.Second, "as long as the slowest bucket needs")
	require.LessOrEqual(t, ttl, 6100*time.Millisecond)

	m.OnClock(c.name)
	require.NoError(t, rdb.Del(t.Context(), at).Err())
	require.True(t, take(t, m, "k", 5).Allowed)
	c.advance(-24 * time.Hour)
	d := take(t, m, "k", 1)
	require.False(t, d.Allowed)
	c.advance(d.RetryAfter)
	require.True(t, take(t, m, "k", 1).Allowed, "a clock set back locks for one bucket only")

	for _, garbage := range []string{"x", "nan", "-1", "1.5"} {
		require.NoError(t, rdb.HSet(t.Context(), at, "b", garbage).Err())
		var state *redislimit.StateError
		_, err := m.Take(t.Context(), "k", 1)
		require.ErrorAs(t, err, &state)
		require.False(t, strings.Contains(err.Error(), at))
	}
	require.NoError(t, rdb.Del(t.Context(), at).Err())
	require.NoError(t, rdb.Set(t.Context(), at, "1", 0).Err())
	var state *redislimit.StateError
	_, err = m.Take(t.Context(), "k", 1)
	require.ErrorAs(t, err, &state)
}
