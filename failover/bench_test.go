package failover_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover"
)

func nothing(context.Context, *provider) (int, error) { return 0, nil }

var policies = []struct {
	name   string
	option failover.Option
}{
	{"round-robin", failover.WithRoundRobin()},
	{"sticky", failover.WithStickyTimeouts(3)},
	{"ordered", failover.WithOrder()},
	{"weighted", failover.WithWeights()},
	{"two-choices", failover.WithTwoChoices()},
}

func BenchmarkDo(b *testing.B) {
	for _, policy := range policies {
		b.Run(policy.name, func(b *testing.B) {
			g := group(b, 3, failover.Config{}, policy.option)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				_, _ = failover.Do(ctx, g.Group, nothing)
			}
		})
	}
}

func BenchmarkDoParallel(b *testing.B) {
	g := group(b, 3, failover.Config{}, failover.WithRoundRobin())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx := context.Background()
		for pb.Next() {
			_, _ = failover.Do(ctx, g.Group, nothing)
		}
	})
}

func TestASuccessfulCallAllocatesNothing(t *testing.T) {
	for _, policy := range policies {
		g := group(t, 3, failover.Config{}, policy.option)
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			_, _ = failover.Do(t.Context(), g.Group, nothing)
		}), policy.name)
	}
}
