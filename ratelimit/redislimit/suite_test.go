package redislimit_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
)

// rates whose tokens take whole microseconds, as the models know no other.
var rates = map[string]ratelimit.Rate{
	"10 per s":   ratelimit.PerSecond(10),
	"5 per hour": ratelimit.PerHour(5),
	"4 in 400us": {Count: 4, Per: 400 * time.Microsecond},
}

func TestRedisLimitersConform(t *testing.T) {
	for name, algorithm := range algorithms {
		for rateName, rate := range rates {
			t.Run(name+", "+rateName, func(t *testing.T) {
				rdb := testenv.Redis(t)
				ratelimittest.Test(t, func() ratelimittest.Harness {
					require.NoError(t, rdb.FlushDB(context.Background()).Err())
					burst := max(4, rate.Count/2)
					l, c := limiter(t, rdb, algorithm.make, rate, bursting(name, burst)...)
					h := ratelimittest.Harness{Limiter: l, Quota: l.Quota(), Advance: c.advance, Tick: time.Microsecond}
					if name != "sliding window" { // what fades in between microseconds, the model sees; see below
						h.Model = algorithm.model(l.Quota())
					}
					return h
				})
			})
		}
	}
}

func TestMultiConforms(t *testing.T) {
	rdb := testenv.Redis(t)
	ratelimittest.Test(t, func() ratelimittest.Harness {
		require.NoError(t, rdb.FlushDB(context.Background()).Err())
		c := newClock(t, rdb, 1)
		m, err := redislimit.NewMulti(rdb, []ratelimit.Limit{
			named("tight", ratelimit.PerSecond(10), 5), named("wide", ratelimit.PerSecond(1000), 1000),
		})
		require.NoError(t, err)
		m.OnClock(c.name)
		q := m.Limits()[0].Quota
		return ratelimittest.Harness{
			Limiter: m, Quota: q, Advance: c.advance, Tick: time.Microsecond, Model: ratelimittest.TokenBucket(q),
		}
	})
}

func TestConcurrencyConforms(t *testing.T) {
	rdb := testenv.Redis(t)
	ratelimittest.TestAcquirer(t, func() ratelimittest.AcquirerHarness {
		require.NoError(t, rdb.FlushDB(context.Background()).Err())
		c, err := redislimit.NewConcurrency(rdb, 5, redislimit.WithBudget(time.Minute))
		require.NoError(t, err)
		return ratelimittest.AcquirerHarness{Acquirer: c, Limit: 5}
	})
}

// TestEveryScriptAgreesWithItsModel drives the scripts and their models through
// the same random histories of several keys: steps of any size, to the edges that
// the answers name and around them, and costs of any size.
func TestEveryScriptAgreesWithItsModel(t *testing.T) {
	operations := testenv.Scale(600, 250_000)
	for name, algorithm := range algorithms {
		t.Run(name, func(t *testing.T) {
			rdb := testenv.Redis(t)
			random := rand.New(rand.NewPCG(uint64(len(name)), 7))
			for done := 0; done < operations; {
				require.NoError(t, rdb.FlushDB(context.Background()).Err())
				n := 4 + random.Int64N(16)
				spacing := time.Duration(1+random.Int64N(1000)) * 10 * time.Microsecond
				rate := ratelimit.Rate{Count: n, Per: time.Duration(n) * spacing}
				l, c := limiter(t, rdb, algorithm.make, rate, bursting(name, 1+random.Int64N(2*n))...)
				start := c.now.Load()
				models := []*ratelimittest.Model{algorithm.model(l.Quota()), algorithm.model(l.Quota())}
				edge := time.Duration(0)
				for range 50 {
					c.advance(pause(random, edge, rate.Per))
					cost, k := random.Int64N(l.Quota().Burst+1), random.IntN(2)
					got := take(t, l, []string{"a", "b"}[k], cost)
					want := models[k].Take(time.Duration(c.now.Load()-start)*time.Microsecond, cost)
					late := got.RetryAfter - want.RetryAfter
					require.GreaterOrEqual(t, late, time.Duration(0))
					require.Less(t, late, time.Microsecond)
					got.RetryAfter = want.RetryAfter
					require.Equal(t, want, got)
					edge = max(got.RetryAfter, got.ResetAfter)
					done++
				}
			}
		})
	}
}

func pause(random *rand.Rand, edge, per time.Duration) time.Duration {
	const tick = time.Microsecond
	edge = edge.Truncate(tick)
	switch random.IntN(7) {
	case 0, 1:
		return 0
	case 2:
		return edge
	case 3:
		return max(edge-tick, 0)
	case 4:
		return edge + tick
	default:
		return time.Duration(random.Int64N(int64(2 * per))).Truncate(tick)
	}
}
