package failover_test

import (
	"context"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/failover"
)

func TestLoadSpreadsOverAllProviders(t *testing.T) {
	g := group(t, 3, failover.Config{})
	for range 3000 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
	}
	require.Equal(t, []int64{1000, 1000, 1000}, g.counts())
}

func TestThoseWhoStandInShareTheLoad(t *testing.T) {
	g := group(t, 3, failover.Config{})
	require.NoError(t, g.SetMode("a", failover.Drained))
	for range 3000 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
	}
	require.Equal(t, []int64{0, 1500, 1500}, g.counts())
}

// Whatever the weights, everybody has exactly their share of each full round of turns,
// and never waits longer than twice the mean.
func TestWeightsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 20), 1, 8).Draw(t, "weights")
		var candidates []failover.Candidate[int]
		total := 0
		for i, w := range weights {
			candidates = append(candidates, failover.Candidate[int]{Name: string(rune('a' + i)), Value: i, Weight: w})
			total += w
		}
		g, err := failover.NewGroup(failover.Config{Name: "weights"}, candidates, failover.WithWeights())
		require.NoError(t, err)
		got := make([]int, len(weights))
		last := make([]int, len(weights))
		for turn := 1; turn <= 3*total; turn++ {
			i, err := failover.Do(context.Background(), g, func(_ context.Context, i int) (int, error) { return i, nil })
			require.NoError(t, err)
			got[i]++
			require.LessOrEqual(t, turn-last[i], 2*total/weights[i]+1)
			last[i] = turn
		}
		for i, w := range weights {
			require.Equal(t, 3*w, got[i])
		}
	})
}

func TestOfTwoChoicesTheIdleOneIsAsked(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	g := group(t, 2, failover.Config{}, failover.WithTwoChoices(), failover.WithRand(chance.Float64))
	_, err := failover.Do(t.Context(), g.Group, func(ctx context.Context, busy *provider) (int, error) {
		for range 100 {
			name, err := failover.Do(ctx, g.Group, ask)
			require.NoError(t, err)
			require.NotEqual(t, busy.name, name)
		}
		return 0, nil
	})
	require.NoError(t, err)
}

func TestTwoChoicesUseEverybody(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	g := group(t, 4, failover.Config{}, failover.WithTwoChoices(), failover.WithRand(chance.Float64))
	for range 4000 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
	}
	for _, n := range g.counts() {
		require.InDelta(t, 1000, float64(n), 150)
	}
}

func TestASecondChoiceIsOfAnotherDomain(t *testing.T) {
	f := &fixture{}
	var candidates []failover.Candidate[*provider]
	for i, domain := range []string{"north", "north", "south", ""} {
		p := &provider{name: string(rune('a' + i))}
		p.answer(errNo)
		f.providers = append(f.providers, p)
		candidates = append(candidates, failover.Candidate[*provider]{Name: p.name, Value: p, Domain: domain})
	}
	g := f.build(t, failover.Config{}, candidates, failover.WithOrder())
	var order string
	_, err := failover.Do(t.Context(), g.Group, func(ctx context.Context, p *provider) (string, error) {
		order += p.name
		return p.call(ctx)
	})
	require.ErrorIs(t, err, errNo)
	require.Equal(t, "acdb", order)
}

func TestAForcedProviderIsAskedFirst(t *testing.T) {
	g := group(t, 4, failover.Config{RetryBurst: 1000})
	require.NoError(t, g.SetMode("c", failover.Forced))
	g.providers[2].answer(errNo)
	for range 100 { // although it fails
		name, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
		require.NotEqual(t, "c", name)
	}
	require.EqualValues(t, 100, g.counts()[2])
	require.ErrorIs(t, g.SetMode("x", failover.Forced), failover.ErrUnknownCandidate)
	require.Error(t, g.SetMode("c", failover.Mode(7)))
}

// No call tries a provider twice, leaves one untried that it may try, or ends without
// an answer: for any set of dead and drained providers and any policy.
func TestEveryPolicyTriesEachProviderOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 64).Draw(t, "providers")
		all := ^uint64(0) >> (64 - n)
		dead, drained := rapid.Uint64().Draw(t, "dead")&all, rapid.Uint64().Draw(t, "drained")&all
		policy := rapid.SampledFrom([]failover.Option{failover.WithRoundRobin(), failover.WithStickyTimeouts(0),
			failover.WithOrder(), failover.WithWeights(), failover.WithTwoChoices()}).Draw(t, "policy")
		var candidates []failover.Candidate[int]
		for i := range n {
			candidates = append(candidates, failover.Candidate[int]{
				Name: string(rune('A' + i)), Value: i, Weight: 1 + i%7, Domain: []string{"", "x", "y"}[i%3]})
		}
		g, err := failover.NewGroup(failover.Config{Name: "any", RetryBurst: 1000}, candidates, policy)
		require.NoError(t, err)
		for i := range n {
			if drained&(1<<i) != 0 {
				require.NoError(t, g.SetMode(candidates[i].Name, failover.Drained))
			}
		}
		for range 3 {
			var tried uint64
			_, err := failover.Do(context.Background(), g, func(_ context.Context, i int) (int, error) {
				require.Zero(t, tried&(1<<i), "tried twice")
				tried |= 1 << i
				if dead&(1<<i) != 0 {
					return 0, errNo
				}
				return i, nil
			})
			require.Zero(t, tried&drained)
			switch alive := all &^ drained &^ dead; {
			case alive != 0:
				require.NoError(t, err)
				require.Equal(t, 1, bits.OnesCount64(tried&alive))
			case all&^drained == 0:
				require.ErrorIs(t, err, failover.ErrUnavailable)
			default:
				require.ErrorIs(t, err, errNo)
				require.Equal(t, all&^drained, tried)
			}
		}
	})
}
