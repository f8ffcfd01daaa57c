package failover_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover"
)

// The simulations print their figures with -v, and are the same each time.

// sized is how many calls to simulate.
func sized(short, long int) int {
	if os.Getenv("BULWARK_TEST_LONG") != "" {
		return long
	}
	return short
}

// One call in twenty times out by chance: that must not cost a provider its place.
func TestChanceTimeOutsHardlyEverSwitch(t *testing.T) {
	calls := sized(200_000, 5_000_000)
	for _, c := range []struct {
		name   string
		policy failover.Option
	}{{"sticky", failover.WithStickyTimeouts(4)}, {"judged", failover.WithOrder()}} {
		chance := rand.New(rand.NewPCG(1, 2))
		clock := &manual{}
		g := group(t, 2, failover.Config{}, c.policy, failover.WithClock(clock))
		for range calls {
			_, _ = failover.Do(t.Context(), g.Group, func(context.Context, *provider) (int, error) {
				if chance.Float64() < 0.05 {
					return 0, errLate
				}
				return 0, nil
			})
			clock.pass(time.Millisecond)
		}
		wrong, delayed := 0, 0
		returning := make(map[string]bool) // one that fails on its way back was out already
		for _, e := range g.events() {
			switch {
			case e.Kind == failover.Out && returning[e.From]:
				delayed++
			case e.Kind == failover.Out, e.Kind == failover.Switched:
				wrong++
				returning[e.From] = e.Kind == failover.Out
			case e.Kind == failover.Back:
				returning[e.To] = false
			}
		}
		t.Logf("%s: %d false switches in %d calls with 5 %% time-outs, and %d returns delayed", c.name, wrong, calls, delayed)
		require.LessOrEqual(t, wrong, max(1, calls/1_000_000))
	}
}

// Eleven calls within a minute while the primary is dead: each of them wasted an
// attempt, and its retries, before there was a judge.
func TestADeadPrimaryCostsFewAttempts(t *testing.T) {
	clock := &manual{}
	g := group(t, 2, failover.Config{}, failover.WithOrder(), failover.WithClock(clock))
	g.providers[0].answer(errNo)
	for range 11 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
		clock.pass(time.Minute / 11)
	}
	wasted := g.counts()[0]
	t.Logf("%d attempts at a dead primary in 11 calls", wasted)
	require.LessOrEqual(t, wasted, int64(5))
}

// Each answer is a lie with some chance: timed out, but carried out all the same. What
// must not be doubled never is; what may be is doubled at most as often as the answer
// was Unknown.
func TestNothingIsDoubledThatMustNotBe(t *testing.T) {
	calls := sized(100_000, 1_000_000)
	type result struct{ doubled, unknown, unanswered int }
	simulate := func(do func(context.Context, failover.Caller[*provider], func(context.Context, *provider) (int, error)) (int, error)) (r result) {
		chance := rand.New(rand.NewPCG(3, 4))
		g := group(t, 3, failover.Config{}, failover.WithJudge())
		for content := range calls {
			sent := 0
			_, err := do(withContent(t.Context(), content), g.Group, func(ctx context.Context, _ *provider) (int, error) {
				if contentOf(ctx) != content {
					t.Fatal("another attempt with another content")
				}
				switch x := chance.Float64(); {
				case x < 0.05: // Unknown, and carried out half of the time
					r.unknown++
					if x < 0.025 {
						sent++
					}
					return 0, errLate
				case x < 0.10:
					return 0, errNo
				default:
					sent++
					return 0, nil
				}
			})
			if sent > 1 {
				r.doubled++
			}
			if err == nil && sent == 0 {
				t.Fatal("accepted, but never sent")
			}
			if err != nil {
				r.unanswered++
			}
		}
		return r
	}
	strict := simulate(failover.Do[*provider, int])
	loose := simulate(failover.DoIdempotent[*provider, int])
	t.Logf("of %d calls: Do doubled %d (%d unknown, %d failed); DoIdempotent doubled %d (%d unknown, %d failed)",
		calls, strict.doubled, strict.unknown, strict.unanswered, loose.doubled, loose.unknown, loose.unanswered)
	require.Zero(t, strict.doubled)
	require.Positive(t, loose.doubled, "or the simulation has no teeth")
	require.LessOrEqual(t, loose.doubled, loose.unknown)
	require.Less(t, loose.unanswered, strict.unanswered)
}

type contentKey struct{}

func withContent(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, contentKey{}, n)
}

func contentOf(ctx context.Context) int { return ctx.Value(contentKey{}).(int) }

// Whatever fails, attempts are at most a tenth more than calls, beside the burst.
func TestAttemptsAreBounded(t *testing.T) {
	chance := rand.New(rand.NewPCG(5, 6))
	g := group(t, 3, failover.Config{}, failover.WithJudge())
	attempts, calls := 0, 100_000
	for range calls {
		_, _ = failover.DoIdempotent(t.Context(), g.Group, func(context.Context, *provider) (int, error) {
			attempts++
			if chance.Float64() < 0.7 {
				return 0, errors.Join(errNo)
			}
			return 0, nil
		})
	}
	t.Logf("%d attempts in %d calls of which 70 %% are rejected: amplification %.3f", attempts, calls, float64(attempts)/float64(calls))
	require.LessOrEqual(t, attempts, calls+calls/10+10)
}
