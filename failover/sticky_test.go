package failover_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/failover"
)

func TestMoreThanNTimeOutsInARowSwitchOnce(t *testing.T) {
	g := group(t, 3, failover.Config{}, failover.WithStickyTimeouts(3))
	g.providers[0].answer(errLate)
	for i := range 4 {
		require.Equal(t, "a", g.Snapshot().Current, "time-out %d", i)
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	for range 100 { // and stays there, although a would be well again
		g.providers[0].answer(nil)
		name, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
		require.Equal(t, "b", name)
	}
	require.Equal(t, []failover.Event{{
		Group: "test", Kind: failover.Switched, From: "a", To: "b", Generation: 1, Reason: "4 time-outs in a row",
	}}, g.events())
}

func TestASuccessStartsTheCountOver(t *testing.T) {
	g := group(t, 2, failover.Config{}, failover.WithStickyTimeouts(1))
	for range 20 {
		g.providers[0].answer(errLate)
		_, _ = failover.Do(t.Context(), g.Group, ask)
		require.Equal(t, 1, g.Snapshot().Timeouts)
		g.providers[0].answer(errOdd)
		_, _ = failover.Do(t.Context(), g.Group, ask)
		require.Equal(t, 1, g.Snapshot().Timeouts, "another error leaves it")
		g.providers[0].answer(nil)
		_, _ = failover.Do(t.Context(), g.Group, ask)
		require.Zero(t, g.Snapshot().Timeouts)
	}
	require.Empty(t, g.events())
}

// Ten thousand calls are under way when a goes silent: their time-outs come in after
// the switch and must not drive the group away from b.
func TestLateTimeOutsDoNotSwitchAgain(t *testing.T) {
	const calls = 10_000
	g := group(t, 3, failover.Config{}, failover.WithStickyTimeouts(3))
	var began, done sync.WaitGroup
	release := make(chan struct{})
	began.Add(calls)
	for range calls {
		done.Go(func() {
			_, _ = failover.Do(t.Context(), g.Group, func(context.Context, *provider) (int, error) {
				began.Done()
				<-release
				return 0, errLate
			})
		})
	}
	began.Wait()
	close(release)
	done.Wait()
	s := g.Snapshot()
	require.Equal(t, "b", s.Current)
	require.EqualValues(t, 1, s.Generation)
	require.Zero(t, s.Timeouts)
	require.Len(t, g.events(), 1)
}

func TestALateSuccessDoesNotCountForTheNext(t *testing.T) {
	g := group(t, 2, failover.Config{}, failover.WithStickyTimeouts(0))
	_, err := failover.Do(t.Context(), g.Group, func(ctx context.Context, _ *provider) (int, error) {
		_, _ = failover.Do(ctx, g.Group, func(context.Context, *provider) (int, error) { return 0, errLate })
		require.NoError(t, g.Update(failover.Config{}, failover.WithStickyTimeouts(5)))
		_, _ = failover.Do(ctx, g.Group, func(context.Context, *provider) (int, error) { return 0, errLate })
		return 0, nil // at a, while the group is at b
	})
	require.NoError(t, err)
	require.Equal(t, "b", g.Snapshot().Current)
	require.Equal(t, 1, g.Snapshot().Timeouts)
}

func TestOneProviderAloneIsNeverLeft(t *testing.T) {
	g := group(t, 1, failover.Config{}, failover.WithStickyTimeouts(2))
	g.providers[0].answer(errLate)
	for range 50 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	require.Empty(t, g.events())
	require.Equal(t, []int64{50}, g.counts())
}

func TestAStickyGroupLeavesADrainedProvider(t *testing.T) {
	g := group(t, 3, failover.Config{}, failover.WithStickyTimeouts(1))
	require.NoError(t, g.SetMode("a", failover.Drained))
	g.providers[1].answer(errLate)
	for range 2 {
		_, _ = failover.Do(t.Context(), g.Group, ask)
	}
	name, err := failover.Do(t.Context(), g.Group, ask)
	require.NoError(t, err)
	require.Equal(t, "c", name, "b's time-outs count although the group stood at a")
}

func TestAStickyGroupLeavesAProviderThatItsJudgeTookOut(t *testing.T) {
	g := group(t, 3, failover.Config{}, failover.WithStickyTimeouts(10), failover.WithJudge(detect.Consecutive(2)))
	g.providers[0].answer(errNo)
	for range 10 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
	}
	require.Equal(t, []int64{2, 10, 0}, g.counts())
	events := g.events()
	require.Len(t, events, 2)
	require.Equal(t, failover.Event{
		Group: "test", Kind: failover.Switched, From: "a", To: "b", Generation: 1, Reason: "the provider is out",
	}, events[1])
}

// The model of a sticky group: which provider, how many in a row, how many switches.
func TestStickyGroupsKeepToTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, limit := rapid.IntRange(1, 5).Draw(t, "providers"), rapid.IntRange(0, 4).Draw(t, "limit")
		var candidates []failover.Candidate[int]
		for i := range n {
			candidates = append(candidates, failover.Candidate[int]{Name: fmt.Sprint(i), Value: i})
		}
		g, err := failover.NewGroup(failover.Config{Name: "model"}, candidates, failover.WithStickyTimeouts(limit))
		require.NoError(t, err)
		at, count, switches := 0, 0, uint64(0)
		for _, what := range rapid.SliceOfN(rapid.IntRange(0, 2), 1, 200).Draw(t, "answers") {
			asked := -1
			_, _ = failover.Do(context.Background(), g, func(_ context.Context, i int) (int, error) {
				asked = i
				return 0, []error{nil, errLate, errOdd}[what]
			})
			require.Equal(t, at, asked)
			switch what {
			case 0:
				count = 0
			case 1:
				if count < limit {
					count++
				} else if n > 1 {
					at, count, switches = (at+1)%n, 0, switches+1
				}
			}
			s := g.Snapshot()
			require.Equal(t, fmt.Sprint(at), s.Current)
			require.Equal(t, count, s.Timeouts)
			require.Equal(t, switches, s.Generation)
		}
	})
}
