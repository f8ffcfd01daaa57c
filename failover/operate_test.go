package failover_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
)

func TestABadUpdateChangesNothing(t *testing.T) {
	g := group(t, 2, failover.Config{}, failover.WithStickyTimeouts(2))
	for _, bad := range []error{
		g.Update(failover.Config{AttemptShare: 7}, failover.WithStickyTimeouts(9)),
		g.Update(failover.Config{Name: "other"}, failover.WithStickyTimeouts(9)),
		g.Update(failover.Config{Health: circuitbreaker.Config{RampStart: 5}}, failover.WithStickyTimeouts(9)),
		g.Update(failover.Config{}, failover.WithStickyTimeouts(9), failover.WithJudge(detect.Consecutive(0))),
		g.Update(failover.Config{}, failover.WithStickyTimeouts(9), failover.WithOrder()),
	} {
		require.Error(t, bad)
	}
	g.providers[0].answer(errLate)
	for range 3 {
		_, _ = failover.Do(t.Context(), g.Group, ask)
	}
	require.Equal(t, "b", g.Snapshot().Current, "the threshold is still 2")
}

func TestThresholdsChangeWhileCallsRun(t *testing.T) {
	g := group(t, 2, failover.Config{RetryBurst: 1000}, failover.WithOrder())
	require.NoError(t, g.Update(failover.Config{RetryBurst: 1000}, failover.WithJudge(detect.Consecutive(2))))
	g.providers[0].answer(errNo)
	for range 10 {
		_, err := failover.Do(t.Context(), g.Group, ask)
		require.NoError(t, err)
	}
	require.Equal(t, []int64{2, 10}, g.counts())
	require.NoError(t, g.Update(failover.Config{}, failover.WithRoundRobin()))
	require.Equal(t, "round-robin", g.Snapshot().Policy)
	require.Equal(t, circuitbreaker.Open, g.Snapshot().Candidates[0].State, "who is out stays out")
}

func TestADrainedProviderGetsNothingAndComesBackSlowly(t *testing.T) {
	clock := &manual{}
	g := group(t, 1, failover.Config{}, failover.WithClock(clock))
	require.NoError(t, g.SetMode("a", failover.Drained))
	_, err := failover.Do(t.Context(), g.Group, ask)
	require.ErrorIs(t, err, failover.ErrUnavailable)
	require.ErrorIs(t, err, failover.ErrDrained)
	require.Equal(t, []int64{0}, g.counts())
	require.Equal(t, failover.Drained, g.Snapshot().Candidates[0].Mode)

	require.NoError(t, g.SetMode("a", failover.Automatic))
	require.Equal(t, circuitbreaker.HalfOpen, g.Snapshot().Candidates[0].State)
}

// A listener may call the group, whatever made the event, and hears of events in
// their order.
func TestListenersMayUseTheGroup(t *testing.T) {
	var g *failover.Group[int]
	var heard []failover.Event
	candidates := []failover.Candidate[int]{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	g, err := failover.NewGroup(failover.Config{Name: "listened"}, candidates, failover.WithStickyTimeouts(0),
		failover.OnEvent(func(e failover.Event) {
			heard = append(heard, e)
			g.Snapshot()
			if e.Kind == failover.Switched && e.To == "b" {
				require.NoError(t, g.SetMode("a", failover.Drained))
				require.NoError(t, g.Update(failover.Config{}))
			}
			_, _ = failover.Do(context.Background(), g, func(context.Context, int) (int, error) { return 0, nil })
		}))
	require.NoError(t, err)
	_, _ = failover.Do(t.Context(), g, func(context.Context, int) (int, error) { return 0, errLate })
	require.NoError(t, g.SetMode("b", failover.Forced))
	var kinds []failover.EventKind
	for _, e := range heard {
		kinds = append(kinds, e.Kind)
	}
	require.Equal(t, []failover.EventKind{failover.Switched, failover.ModeSet, failover.ModeSet}, kinds[:3])
	require.Equal(t, "forced", heard[2].Reason)
}

func TestAListenersPanicIsContained(t *testing.T) {
	var later int
	g := group(t, 2, failover.Config{}, failover.WithStickyTimeouts(0),
		failover.OnEvent(func(failover.Event) { panic("listener") }), failover.OnEvent(func(failover.Event) { later++ }))
	g.providers[0].answer(errLate)
	_, err := failover.Do(t.Context(), g.Group, ask)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 1, g.Snapshot().ListenerPanics)
	require.Equal(t, 1, later)
}

func TestSwitchesAreHeardInOrder(t *testing.T) {
	var heard []uint64
	g := group(t, 5, failover.Config{}, failover.WithStickyTimeouts(0),
		failover.OnEvent(func(e failover.Event) { heard = append(heard, e.Generation) }))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				_, _ = failover.Do(t.Context(), g.Group, func(context.Context, *provider) (int, error) {
					runtime.Gosched()
					return 0, errLate
				})
			}
		})
	}
	all.Wait()
	require.EqualValues(t, g.Snapshot().Generation, len(heard))
	for i, generation := range heard {
		require.EqualValues(t, i+1, generation)
	}
}

func TestEverythingIsObserved(t *testing.T) {
	recorder := observetest.NewRecorder(t)
	g := group(t, 2, failover.Config{Name: "sms"}, failover.WithOrder(), failover.WithObserver(recorder))
	seen := failover.Observe(g.Group, recorder)
	g.providers[0].answer(errNo)
	_, err := failover.Do(t.Context(), seen, ask)
	require.NoError(t, err)
	call := recorder.Only("failover", "call")
	require.Equal(t, observe.OK, call.Result.Outcome)
	require.Equal(t, "sms", call.Label("group"))
	require.Equal(t, "b", call.Label("candidate"))
	attempts := recorder.Ended("failover", "attempt")
	require.Len(t, attempts, 2)
	require.Equal(t, observe.Failed, attempts[0].Result.Outcome)
	require.Equal(t, observe.OK, attempts[1].Result.Outcome)

	recorder.Reset()
	require.NoError(t, g.SetMode("a", failover.Drained))
	require.Equal(t, "mode-set", recorder.Only("failover", "event").Label("event"))
	require.NoError(t, g.SetMode("b", failover.Drained))
	recorder.Reset()
	_, err = failover.DoIdempotent(t.Context(), seen, ask)
	require.ErrorIs(t, err, failover.ErrUnavailable)
	require.Equal(t, observe.Rejected, recorder.Only("failover", "call").Result.Outcome)
	require.Equal(t, "none", recorder.Only("failover", "call").Label("candidate"))

	recorder.Reset()
	require.NoError(t, g.SetMode("b", failover.Forced))
	recorder.Reset()
	require.Panics(t, func() {
		_, _ = failover.Do(t.Context(), seen, func(context.Context, *provider) (int, error) { panic("oops") })
	})
	require.Equal(t, observe.Panicked, recorder.Only("failover", "call").Result.Outcome)
	require.Equal(t, observe.Panicked, recorder.Only("failover", "attempt").Result.Outcome)

	for _, kind := range recorder.Records() {
		require.NoError(t, kind.Kind.Validate())
	}
	for reading := range g.Readings() {
		require.NoError(t, reading.Gauge.Validate())
	}
}

func TestALateAnswerOfALoserIsNeutral(t *testing.T) {
	g := group(t, 2, failover.Config{HedgeAfter: time.Millisecond}, failover.WithOrder())
	var losers sync.WaitGroup
	losers.Add(1)
	name, err := failover.Hedge(t.Context(), g.Group, func(ctx context.Context, p *provider) (string, error) {
		if p.name == "a" {
			defer losers.Done()
			<-ctx.Done()
			return "", errOdd // not even the context's error
		}
		return p.call(ctx)
	})
	require.NoError(t, err)
	require.Equal(t, "b", name)
	losers.Wait()
	require.Eventually(t, func() bool { return g.Snapshot().Candidates[0].InFlight == 0 }, time.Minute, time.Millisecond)
	require.Zero(t, g.Snapshot().Candidates[0].Failures)
}

func TestAHedgeThatIsNotNeededIsNotMade(t *testing.T) {
	g := group(t, 2, failover.Config{HedgeAfter: time.Hour}, failover.WithOrder())
	for range 100 {
		_, err := failover.Hedge(t.Context(), g.Group, ask)
		require.NoError(t, err)
	}
	require.Equal(t, []int64{100, 0}, g.counts())
	g.providers[0].answer(errLate)
	name, err := failover.Hedge(t.Context(), g.Group, ask) // a failure is not waited upon
	require.NoError(t, err)
	require.Equal(t, "b", name)
}

func TestHedgesAreBoundedByTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, failover.Config{RetryBurst: 3, RetryRatio: 1e-9}, failover.WithOrder())
		for range 50 {
			_, err := failover.Hedge(t.Context(), g.Group, func(ctx context.Context, p *provider) (string, error) {
				time.Sleep(time.Second)
				return p.call(ctx)
			})
			require.NoError(t, err)
		}
		time.Sleep(time.Second) // for those that lost
		require.Equal(t, []int64{50, 3}, g.counts())
	})
}

func TestAHedgedCallEndsWithItsCaller(t *testing.T) {
	g := group(t, 2, failover.Config{HedgeAfter: time.Millisecond}, failover.WithOrder())
	ctx, cancel := context.WithCancel(t.Context())
	stubborn := make(chan struct{})
	_, err := failover.Hedge(ctx, g.Group, func(context.Context, *provider) (int, error) {
		cancel()
		<-stubborn // deaf to its context
		return 0, nil
	})
	require.ErrorIs(t, err, context.Canceled)
	var failed *failover.CallError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, failover.Unknown, failed.Outcome())
	close(stubborn)
}

func TestAHedgedPanicReachesTheCaller(t *testing.T) {
	g := group(t, 2, failover.Config{}, failover.WithOrder())
	require.PanicsWithValue(t, "oops", func() {
		_, _ = failover.Hedge(t.Context(), g.Group, func(context.Context, *provider) (int, error) { panic("oops") })
	})
	require.Equal(t, 1, g.Snapshot().Candidates[0].Failures)
	left := make(chan bool, 1)
	go func() {
		returned := false
		defer func() { left <- !returned }()
		_, _ = failover.Hedge(t.Context(), g.Group, func(context.Context, *provider) (int, error) { runtime.Goexit(); return 0, nil })
		returned = true
	}()
	require.True(t, <-left)

	deaf := make(chan struct{})
	name, err := failover.Hedge(t.Context(), g.Group, func(ctx context.Context, p *provider) (string, error) {
		if p.name == "a" {
			<-deaf
			panic("too late")
		}
		return p.call(ctx)
	})
	require.NoError(t, err)
	require.Equal(t, "b", name)
	close(deaf)
	require.Eventually(t, func() bool { return g.Snapshot().LatePanics == 1 }, time.Minute, time.Millisecond)
}
