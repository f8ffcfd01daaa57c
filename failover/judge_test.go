package failover_test

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/failover"
)

func TestADeadProviderIsOutAfterFiveCalls(t *testing.T) {
	clock := &manual{}
	g := group(t, 2, failover.Config{}, failover.WithOrder(), failover.WithClock(clock))
	g.providers[0].answer(errNo)
	for range 100 {
		name, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
		require.Equal(t, "b", name)
	}
	require.Equal(t, []int64{5, 100}, g.counts())
	require.Equal(t, failover.Out, g.events()[0].Kind)
	require.Equal(t, "a", g.events()[0].From)

	clock.pass(time.Minute) // one probe, and not one more while it is down
	for range 100 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
	}
	require.Equal(t, []int64{1, 100}, g.counts())
}

func TestAProviderComesBackStepByStep(t *testing.T) {
	clock := &manual{}
	g := group(t, 2, failover.Config{}, failover.WithOrder(), failover.WithClock(clock))
	g.providers[0].answer(errNo)
	call := func() {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
	}
	for range 5 {
		call()
	}
	clock.pass(time.Minute)
	g.providers[0].answer(nil)
	for range 3 {
		call() // the probes
	}
	g.counts()
	var shares []int64
	for range 8 {
		for range 1000 {
			call()
		}
		shares = append(shares, g.counts()[0])
		clock.pass(time.Second)
	}
	for i, share := range shares[:7] {
		require.InDelta(t, 10*math.Pow(2, float64(i)), float64(share), 2, "step %d of %v", i, shares)
	}
	require.EqualValues(t, 1000, shares[7])
	var kinds []failover.EventKind
	for _, e := range g.events() {
		kinds = append(kinds, e.Kind)
	}
	require.Equal(t, []failover.EventKind{failover.Out, failover.Probing, failover.Returning, failover.Back}, kinds)
}

func TestWhenAllAreOutTheLeastBadIsAskedNowAndThen(t *testing.T) {
	clock := &manual{}
	g := group(t, 3, failover.Config{RetryBurst: 100}, failover.WithOrder(), failover.WithClock(clock))
	for _, p := range g.providers {
		p.answer(errNo)
	}
	for range 5 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.ErrorIs(t, err, errNo)
		require.NotErrorIs(t, err, failover.ErrUnavailable)
	}
	require.Equal(t, []int64{5, 5, 5}, g.counts())
	for second := range 30 {
		asked, refused := 0, 0
		for range 100 {
			_, err := failover.Do(t.Context(), g.Group, ask)
			switch {
			case errors.Is(err, failover.ErrUnavailable):
				refused++
				require.ErrorIs(t, err, circuitbreaker.ErrOpen)
				var failed *failover.CallError
				require.ErrorAs(t, err, &failed)
				require.Len(t, failed.Attempts, 3)
			case err != nil:
				asked++
			}
		}
		require.Equal(t, 1, asked, "second %d", second)
		require.Equal(t, 99, refused)
		clock.pass(time.Second)
	}
	require.Equal(t, []int64{10, 10, 10}, g.counts(), "those who failed least take turns")

	g.providers[1].answer(nil)
	for range 10 {
		_, _ = failover.Do(t.Context(), g.Group, ask)
		clock.pass(time.Second)
	}
	require.GreaterOrEqual(t, g.counts()[1], int64(8), "the one that answers is the least bad from then on")
}

func TestAProviderThatHangsUpIsTakenOut(t *testing.T) {
	g := group(t, 2, failover.Config{RetryBurst: 1000}, failover.WithOrder(),
		failover.WithJudge(detect.Consecutive(2)), failover.WithFailures(failover.BrokenConnection))
	g.providers[0].answer(errNo)
	for range 100 {
		_, err := failover.DoIdempotent(t.Context(), g.Group, ask)
		require.NoError(t, err)
	}
	require.Empty(t, g.events(), "other errors are no failures here")
	g.providers[0].answer(io.ErrUnexpectedEOF)
	for range 3 {
		_, _ = failover.DoIdempotent(t.Context(), g.Group, ask)
	}
	require.Equal(t, []int64{102, 103}, g.counts())
}

func TestAProviderThatSlowsDownIsTakenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, failover.Config{}, failover.WithOrder(), failover.WithJudge(detect.LatencyGrowth()))
		latency := 100 * time.Millisecond
		work := func(_ context.Context, p *provider) (string, error) {
			time.Sleep(latency)
			return p.name, nil
		}
		for range 300 {
			_, err := failover.Do(t.Context(), g.Group, work)
			require.NoError(t, err)
		}
		require.Empty(t, g.events())
		latency *= 2
		calls := 0
		for len(g.events()) == 0 {
			calls++
			_, err := failover.Do(t.Context(), g.Group, work)
			require.NoError(t, err)
		}
		require.LessOrEqual(t, calls, 25)
	})
}

func TestAProviderThatHangsIsTakenOutBeforeAnyTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, failover.Config{}, failover.WithOrder(), failover.WithJudge(detect.InFlightAge(time.Second, 3)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 3 {
			go func() {
				_, _ = failover.Do(ctx, g.Group, func(ctx context.Context, _ *provider) (int, error) {
					<-ctx.Done()
					return 0, ctx.Err()
				})
			}()
		}
		synctest.Wait()
		time.Sleep(1100 * time.Millisecond)
		name, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
		require.Equal(t, "b", name)
	})
}

func TestEachProviderCanHaveAJudgeOfItsOwn(t *testing.T) {
	f := &fixture{providers: []*provider{{name: "a"}, {name: "b"}}}
	g := f.build(t, failover.Config{}, []failover.Candidate[*provider]{
		{Name: "a", Value: f.providers[0], Judge: detect.Consecutive(1)}, {Name: "b", Value: f.providers[1]},
	})
	for _, p := range g.providers {
		p.answer(errNo)
	}
	for range 2 {
		_, _ = failover.Do(t.Context(), g.Group, ask)
	}
	s := g.Snapshot()
	require.Equal(t, circuitbreaker.Open, s.Candidates[0].State)
	require.Equal(t, circuitbreaker.Closed, s.Candidates[1].State)
}

// A breaker of the provider's own, inside, is not the provider's failure.
func TestTheRefusalOfABreakerInsideGoesOnAndBlamesNobody(t *testing.T) {
	g := group(t, 2, failover.Config{RetryBurst: 100}, failover.WithOrder())
	g.providers[0].answer(&circuitbreaker.OpenError{Name: "inner"})
	for range 20 {
		name, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
		require.Equal(t, "b", name)
	}
	require.Equal(t, circuitbreaker.Closed, g.Snapshot().Candidates[0].State)
}
