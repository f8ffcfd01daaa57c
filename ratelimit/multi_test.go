package ratelimit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
)

func named(name string, rate ratelimit.Rate, burst int64) ratelimit.Limit {
	return ratelimit.Limit{Name: name, Quota: ratelimit.Quota{Rate: rate, Burst: burst}}
}

func newMulti(t *testing.T, limits []ratelimit.Limit, opts ...ratelimit.Option) *ratelimit.Multi {
	t.Helper()
	m, err := ratelimit.NewMulti(limits, opts...)
	require.NoError(t, err)
	return m
}

func TestMultiConforms(t *testing.T) {
	ratelimittest.Test(t, func() ratelimittest.Harness {
		c := new(manual)
		tight := named("tight", ratelimit.PerSecond(10), 5)
		m := newMulti(t, []ratelimit.Limit{tight, named("wide", ratelimit.PerSecond(1000), 1000)}, ratelimit.WithClock(c.read))
		q := m.Limits()[0].Quota
		// The model does not know of a ResetAfter that is the tight limit's.
		return ratelimittest.Harness{Limiter: m, Quota: q, Advance: c.advance, Model: ratelimittest.TokenBucket(q)}
	})
}

func TestARefusedDecisionChargesNoLimit(t *testing.T) {
	c := new(manual)
	m := newMulti(t, []ratelimit.Limit{
		named("user", ratelimit.PerMinute(20), 20), named("ip", ratelimit.PerMinute(10), 10), named("all", ratelimit.PerMinute(1000), 1000),
	}, ratelimit.WithClock(c.read))
	keys := []string{"u", "1.2.3.4", "-"}
	for range 10 {
		d, err := m.TakeKeys(t.Context(), keys, 1)
		require.NoError(t, err)
		require.True(t, d.Allowed)
		require.Equal(t, "ip", d.Rule, "the one with the least left")
	}
	for range 50 {
		d, err := m.TakeKeys(t.Context(), keys, 1)
		require.NoError(t, err)
		require.False(t, d.Allowed)
		require.Equal(t, "ip", d.Rule)
		require.Equal(t, 6*time.Second, d.RetryAfter)
	}
	other := []string{"u", "5.6.7.8", "-"}
	d, err := m.TakeKeys(t.Context(), other, 10)
	require.NoError(t, err)
	require.True(t, d.Allowed, "the refused ones were charged to the user")
	d, err = m.TakeKeys(t.Context(), []string{"v", "9.9.9.9", "-"}, 0)
	require.NoError(t, err)
	require.Equal(t, int64(10), d.Remaining)
	require.Equal(t, "ip", d.Rule)
	_, err = m.TakeKeys(t.Context(), []string{"u"}, 1)
	require.ErrorIs(t, err, ratelimit.ErrRequest)
	_, err = m.TakeKeys(t.Context(), []string{"u", "", "-"}, 1)
	require.ErrorIs(t, err, ratelimit.ErrKey)
	_, err = m.Take(t.Context(), "u", 11)
	require.ErrorIs(t, err, ratelimit.ErrRequest, "more than the smallest limit ever grants")
}

// Random histories against one model for each limit and key: a decision is
// admitted when all models admit it, and then all are charged.
func TestMultiAgreesWithItsModels(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	rounds := 60
	for range rounds {
		c := new(manual)
		var limits []ratelimit.Limit
		for i := range 1 + random.IntN(8) {
			limits = append(limits, named(strconv.Itoa(i), ratelimit.PerSecond(1+random.Int64N(50)), 3+random.Int64N(20)))
		}
		m := newMulti(t, limits, ratelimit.WithClock(c.read))
		models := map[string]*ratelimittest.Model{}
		for range 100 {
			c.advance(time.Duration(random.Int64N(int64(50 * time.Millisecond))))
			cost := random.Int64N(4)
			keys, all := make([]string, len(limits)), true
			for i, l := range limits {
				keys[i] = strconv.Itoa(random.IntN(3))
				id := fmt.Sprint(i, keys[i])
				if models[id] == nil {
					models[id] = ratelimittest.TokenBucket(l.Quota)
				}
				all = models[id].Take(c.read(), 0).Remaining >= cost && all
			}
			d, err := m.TakeKeys(t.Context(), keys, cost)
			require.NoError(t, err)
			require.Equal(t, all, d.Allowed)
			for i := range limits {
				if id := fmt.Sprint(i, keys[i]); all {
					require.True(t, models[id].Take(c.read(), cost).Allowed)
				}
			}
		}
	}
}

func TestMultiIsAtomicUnderConcurrency(t *testing.T) {
	c := new(manual)
	m := newMulti(t, []ratelimit.Limit{
		named("user", ratelimit.PerHour(50), 50), named("ip", ratelimit.PerHour(70), 70), named("all", ratelimit.PerHour(200), 200),
	}, ratelimit.WithClock(c.read))
	var users, ips [10]atomic.Int64
	var all atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				u, ip := (i+g)%10, (i*3+g)%10
				d, err := m.TakeKeys(context.Background(), []string{"u" + strconv.Itoa(u), "i" + strconv.Itoa(ip), "-"}, 1)
				if err == nil && d.Allowed {
					users[u].Add(1)
					ips[ip].Add(1)
					all.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(200), all.Load(), "nothing is lost to decisions that were refused")
	for i := range 10 {
		require.LessOrEqual(t, users[i].Load(), int64(50))
		require.LessOrEqual(t, ips[i].Load(), int64(70))
	}
}

func TestMultiRetunesKeepingUsage(t *testing.T) {
	c := new(manual)
	limits := []ratelimit.Limit{named("a", ratelimit.PerMinute(10), 10), named("b", ratelimit.PerHour(100), 100)}
	m := newMulti(t, limits, ratelimit.WithClock(c.read))
	require.True(t, take(t, m, "k", 6).Allowed)
	limits[0].Quota.Rate.Count, limits[0].Quota.Burst = 50, 50
	require.NoError(t, m.Retune(limits))
	d := take(t, m, "k", 0)
	require.Equal(t, int64(44), d.Remaining)
	require.Equal(t, "a", d.Rule)
	require.Equal(t, limits, m.Limits())

	var field *ratelimit.FieldError
	require.ErrorAs(t, m.Retune(limits[:1]), &field)
	require.ErrorAs(t, m.Retune([]ratelimit.Limit{limits[1], limits[0]}), &field)
	require.ErrorAs(t, m.Retune([]ratelimit.Limit{limits[0], {Name: "b"}}), &field)
	require.Equal(t, limits, m.Limits())
	require.Equal(t, int64(50+50), m.Most("a", time.Minute+1))
	require.Zero(t, m.Most("c", time.Minute))
}

func TestAFullMultiChargesNothing(t *testing.T) {
	m := newMulti(t, []ratelimit.Limit{named("a", ratelimit.PerHour(10), 10), named("b", ratelimit.PerHour(10), 10)}, ratelimit.WithCapacity(3))
	require.True(t, take(t, m, "first", 1).Allowed)
	d := take(t, m, "second", 1) // room for one of its two keys
	require.False(t, d.Allowed)
	require.Equal(t, "b", d.Rule)
	require.Equal(t, int64(10), take(t, m, "second", 0).Remaining)
	require.Equal(t, int64(8), take(t, m, "first", 1).Remaining)
}

func TestNewMultiNamesEachBadSetting(t *testing.T) {
	_, err := ratelimit.NewMulti(nil)
	require.ErrorContains(t, err, "limits 0")
	_, err = ratelimit.NewMulti([]ratelimit.Limit{{}, named("a", ratelimit.PerSecond(1), 0), named("a", ratelimit.PerSecond(1), 0)}, ratelimit.WithCapacity(-1))
	for _, text := range []string{"limits[0].name", "limits[0]: ratelimit: rate.count 0", "limits[2].name", "capacity -1"} {
		require.ErrorContains(t, err, text)
	}
}

func TestMultiDoesNotAllocate(t *testing.T) {
	m := newMulti(t, []ratelimit.Limit{named("a", ratelimit.PerSecond(100), 0), named("b", ratelimit.PerHour(1000), 0)})
	require.Zero(t, testing.AllocsPerRun(200, func() { _, _ = m.Take(context.Background(), "k", 1) }))
}
