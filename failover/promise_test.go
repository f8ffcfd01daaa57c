package failover_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/ratelimit"
)

// Whatever the providers do, all of them at once, a call has its answer by its
// deadline: a result, or an error that names them.
func TestEveryCallHasAnAnswerByItsDeadline(t *testing.T) {
	ways := []func(context.Context, failover.Caller[*provider], func(context.Context, *provider) (int, error)) (int, error){
		failover.Do[*provider, int], failover.DoIdempotent[*provider, int], failover.Hedge[*provider, int],
	}
	var calls, answered, late int
	for seed := range uint64(sized(20, 500)) {
		synctest.Test(t, func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 1))
			policy := policies[seed%uint64(len(policies))].option
			g := group(t, 1+int(seed%4), failover.Config{HedgeAfter: 50 * time.Millisecond}, policy)
			for range 200 {
				deadline := time.Duration(1+chance.IntN(1000)) * time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				begin, mood := time.Now(), chance.Float64()
				_, err := ways[chance.IntN(len(ways))](ctx, g.Group, func(ctx context.Context, p *provider) (int, error) {
					switch x := mood + float64(p.name[0]%3)/10; { // they are ill together, each in its way
					case x < 0.3:
						return 0, nil
					case x < 0.6:
						return 0, errNo
					case x < 0.8:
						return 0, errOdd
					default:
						<-ctx.Done()
						return 0, ctx.Err()
					}
				})
				calls++
				if time.Since(begin) > deadline {
					late++
				}
				var failed *failover.CallError
				if err == nil || errors.As(err, &failed) && len(failed.Attempts) > 0 {
					answered++
				}
				cancel()
				time.Sleep(time.Duration(chance.IntN(100)) * time.Millisecond)
			}
			time.Sleep(time.Second) // those who lost a race
		})
	}
	t.Logf("%d calls: %d answered, %d late", calls, answered, late)
	require.Equal(t, calls, answered)
	require.Zero(t, late)
}

// An hour of a dead provider: a handful of calls until it is out, then one probe for
// each time that it is left alone.
func TestADeadProviderIsProbedOncePerOpenTime(t *testing.T) {
	clock := &manual{}
	g := group(t, 2, failover.Config{Health: circuitbreaker.Config{OpenFor: time.Minute, MaxOpenFor: time.Minute}},
		failover.WithOrder(), failover.WithClock(clock))
	g.providers[0].answer(errNo)
	for range 36_000 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
		clock.pass(100 * time.Millisecond)
	}
	wasted := g.counts()[0]
	t.Logf("%d attempts at a dead provider in 36000 calls within an hour", wasted)
	require.LessOrEqual(t, wasted, int64(5+60))
	require.GreaterOrEqual(t, wasted, int64(5+50), "or nobody would notice its return")
}

// When one of two goes down the other one gets its load, but never more than its own
// limiter lets through: what is too much hears so, and the survivor is not blamed.
func TestTheSurvivorKeepsToItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, burst = 100, 10
		g := group(t, 2, failover.Config{Health: circuitbreaker.Config{OpenFor: 10 * time.Second}})
		limits := map[string]ratelimit.Limiter{}
		for _, p := range g.providers {
			limit, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(perSecond), ratelimit.WithBurst(burst))
			require.NoError(t, err)
			limits[p.name] = limit
		}
		sent, limited, unexpected := map[string]int{}, 0, 0
		second := func() {
			sent, limited = map[string]int{}, 0
			for range 150 {
				_, err := failover.Do(t.Context(), g.Group, func(ctx context.Context, p *provider) (string, error) {
					d, err := limits[p.name].Take(ctx, p.name, 1)
					if err != nil || !d.Allowed {
						return "", errors.Join(err, &ratelimit.LimitedError{Decision: d})
					}
					sent[p.name]++
					return p.call(ctx)
				})
				switch {
				case errors.Is(err, ratelimit.ErrLimited):
					require.Equal(t, failover.Rejected, failover.Classify(t.Context(), err), "nothing was sent")
					limited++
				case err != nil && !errors.Is(err, errNo):
					unexpected++
				}
				time.Sleep(time.Second / 150)
			}
		}
		for range 10 {
			second()
		}
		require.Zero(t, limited, "75 each")
		g.providers[0].answer(errNo)
		most := 0
		for range 30 {
			second()
			most = max(most, sent["b"])
		}
		require.LessOrEqual(t, most, perSecond+burst)
		require.GreaterOrEqual(t, most, perSecond-2)
		require.Positive(t, limited, "fifty a second are too much")
		require.Equal(t, circuitbreaker.Closed, g.Snapshot().Candidates[1].State)

		g.providers[0].answer(nil)
		var shares []int
		for range 40 {
			second()
			shares = append(shares, sent["a"])
			require.LessOrEqual(t, sent["b"], perSecond+burst)
		}
		t.Logf("the survivor got at most %d a second of its %d; the other came back as %v", most, perSecond, shares)
		require.Zero(t, limited)
		require.Zero(t, unexpected)
		require.InDelta(t, 75, shares[len(shares)-1], 2)
	})
}
