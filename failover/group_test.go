package failover_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/failover"
)

func TestAnEmptyGroupIsRefused(t *testing.T) {
	_, err := failover.NewGroup[int](failover.Config{Name: "none"}, nil)
	require.ErrorContains(t, err, "candidates 0: must be between 1 and 64")
}

func TestEachBadSettingIsNamed(t *testing.T) {
	_, err := failover.NewGroup(failover.Config{
		MaxAttempts: -1, AttemptTimeout: -1, AttemptShare: 2, RetryRatio: 11, RetryBurst: -1, HedgeAfter: -1,
		LastResortEvery: -1, Health: circuitbreaker.Config{Name: "own"},
	}, []failover.Candidate[int]{{Name: "a"}, {Name: "a"}, {Weight: -1}, {Name: "d", Judge: detect.Consecutive(0)}},
		failover.WithOrder(), failover.WithStickyTimeouts(-1), failover.WithClassifier(nil), failover.WithRand(nil),
		failover.WithFailures(nil), failover.OnEvent(nil), failover.WithJudge(nil))
	require.Error(t, err)
	for _, want := range []string{
		`Name "":`, "MaxAttempts -1", "AttemptTimeout -1ns", "AttemptShare 2", "RetryRatio 11", "RetryBurst -1", "HedgeAfter -1ns",
		"LastResortEvery -1ns", `Health.Name "own"`, `candidates[1].Name "a"`, `candidates[2].Name ""`, "candidates[2].Weight -1",
		"candidates[3].Judge", "policies 2", "WithStickyTimeouts -1", "WithClassifier", "WithRand", "WithFailures", "OnEvent 0", "WithJudge 0",
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestSuccessIsNoError(t *testing.T) {
	for _, policy := range []failover.Option{failover.WithRoundRobin(), failover.WithStickyTimeouts(0), failover.WithOrder(), failover.WithWeights(), failover.WithTwoChoices()} {
		g := group(t, 3, failover.Config{}, policy)
		for range 10 {
			name, err := failover.Do(t.Context(), g.Group, ask)
			require.NoError(t, err)
			require.Contains(t, "abc", name)
		}
	}
}

func TestARejectedCallGoesOnToTheNext(t *testing.T) {
	g := group(t, 3, failover.Config{}, failover.WithOrder())
	g.providers[0].answer(errNo)
	g.providers[1].answer(errNo)
	name, err := failover.Do(t.Context(), g.Group, ask)
	require.NoError(t, err)
	require.Equal(t, "c", name)
}

func TestUnknownStopsWhatMustNotBeDoubled(t *testing.T) {
	g := group(t, 2, failover.Config{}, failover.WithOrder())
	g.providers[0].answer(errLate)
	_, err := failover.Do(t.Context(), g.Group, ask)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, []int64{1, 0}, g.counts())

	name, err := failover.DoIdempotent(t.Context(), g.Group, ask)
	require.NoError(t, err)
	require.Equal(t, "b", name)
}

func TestFinalStopsEveryCallAndBlamesNobody(t *testing.T) {
	g := group(t, 2, failover.Config{}, failover.WithOrder())
	g.providers[0].answer(failover.Mark(errOdd, failover.Final))
	for range 100 {
		_, err := failover.DoIdempotent(t.Context(), g.Group, ask)
		require.ErrorIs(t, err, errOdd)
		_, err = failover.Hedge(t.Context(), g.Group, ask)
		require.ErrorIs(t, err, errOdd)
	}
	require.Equal(t, []int64{200, 0}, g.counts())
	require.Zero(t, g.Snapshot().Candidates[0].Failures)
}

func TestOnlyANilErrorIsAccepted(t *testing.T) {
	g := group(t, 2, failover.Config{}, failover.WithOrder(),
		failover.WithClassifier(func(context.Context, error) failover.Outcome { return failover.Accepted }))
	g.providers[0].answer(errOdd)
	_, err := failover.Do(t.Context(), g.Group, ask)
	require.ErrorIs(t, err, errOdd)
	require.Equal(t, []int64{1, 0}, g.counts())
}

func TestACallerWhoLeftIsNoReasonToGoOn(t *testing.T) {
	g := group(t, 3, failover.Config{}, failover.WithOrder())
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := failover.DoIdempotent(ctx, g.Group, func(context.Context, *provider) (int, error) {
		calls++
		cancel()
		return 0, errNo
	})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errNo)
	require.Equal(t, 1, calls)
	require.Zero(t, g.Snapshot().Candidates[0].Failures, "cancelled is not failed")

	_, err = failover.Do(ctx, g.Group, ask)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []int64{0, 0, 0}, g.counts())
}

func TestTheErrorTellsThatTheCallerLeft(t *testing.T) {
	g := group(t, 2, failover.Config{}, failover.WithOrder())
	ctx, cancel := context.WithCancel(t.Context())
	_, err := failover.Do(ctx, g.Group, func(context.Context, *provider) (int, error) {
		cancel()
		return 0, errOdd // says nothing of it
	})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errOdd)
}

func TestADeadlineThatIsOverStopsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 3, failover.Config{AttemptShare: 1}, failover.WithOrder())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		calls := 0
		_, err := failover.DoIdempotent(ctx, g.Group, func(ctx context.Context, _ *provider) (int, error) {
			calls++
			<-ctx.Done()
			return 0, ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, calls)
	})
}

func TestTheDeadlineIsSharedAmongAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 2, failover.Config{}, failover.WithOrder())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var waited []time.Duration
		_, err := failover.DoIdempotent(ctx, g.Group, func(ctx context.Context, _ *provider) (int, error) {
			begin := time.Now()
			<-ctx.Done()
			waited = append(waited, time.Since(begin))
			return 0, ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []time.Duration{600 * time.Millisecond, 400 * time.Millisecond}, waited)
	})
}

func TestHurryIsTheCallersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t, 1, failover.Config{})
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := failover.Do(ctx, g.Group, func(ctx context.Context, _ *provider) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			})
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.Equal(t, circuitbreaker.Closed, g.Snapshot().Candidates[0].State)
	})
}

func TestTheBudgetBoundsFurtherAttempts(t *testing.T) {
	g := group(t, 2, failover.Config{RetryBurst: 5}, failover.WithOrder(), failover.WithJudge())
	g.providers[0].answer(errNo)
	refused := 0
	for range 1000 {
		if _, err := failover.Do(t.Context(), g.Group, ask); err != nil {
			require.ErrorIs(t, err, failover.ErrBudget)
			require.ErrorIs(t, err, errNo)
			refused++
		}
	}
	calls := g.counts()
	require.Equal(t, int64(1000), calls[0])
	require.LessOrEqual(t, calls[1], int64(5+100))
	require.GreaterOrEqual(t, calls[1], int64(5+100-1))
	require.Equal(t, int64(refused), 1000-calls[1])

	require.NoError(t, g.Update(failover.Config{RetryRatio: -1}))
	_, err := failover.Do(t.Context(), g.Group, ask)
	require.ErrorIs(t, err, failover.ErrBudget)
}

func TestTheErrorNamesEveryProvidersReason(t *testing.T) {
	g := group(t, 3, failover.Config{Name: "sms"}, failover.WithOrder())
	require.NoError(t, g.SetMode("c", failover.Drained))
	g.providers[0].answer(errNo)
	g.providers[1].answer(failover.Mark(&os.PathError{Op: "send", Path: "x", Err: io.EOF}, failover.Rejected))
	_, err := failover.Do(t.Context(), g.Group, ask)
	require.EqualError(t, err, `failover: "sms" failed: a rejected: no; b rejected: send x: EOF; c not tried: failover: drained by an operator`)
	require.ErrorIs(t, err, errNo)
	require.ErrorIs(t, err, io.EOF)
	require.ErrorIs(t, err, failover.ErrDrained)
	var path *os.PathError
	require.ErrorAs(t, err, &path)
	require.Equal(t, failover.Rejected, failover.Classify(t.Context(), err), "a group in a group")
}

func TestAPanicCountsAndGoesOn(t *testing.T) {
	g := group(t, 2, failover.Config{}, failover.WithOrder())
	for range 5 {
		require.PanicsWithValue(t, "oops", func() {
			_, _ = failover.Do(t.Context(), g.Group, func(context.Context, *provider) (int, error) { panic("oops") })
		})
	}
	a := g.Snapshot().Candidates[0]
	require.Zero(t, a.InFlight)
	require.Equal(t, 5, a.Failures)
	require.Equal(t, circuitbreaker.Open, a.State)

	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = failover.Do(t.Context(), g.Group, func(context.Context, *provider) (int, error) { runtime.Goexit(); return 0, nil })
	}()
	<-done
	b := g.Snapshot().Candidates[1]
	require.Zero(t, b.InFlight)
	require.Equal(t, 1, b.Failures)
}

func TestAPanicOfTheClassifierLeaksNothing(t *testing.T) {
	g := group(t, 1, failover.Config{}, failover.WithClassifier(func(context.Context, error) failover.Outcome { panic("class") }))
	g.providers[0].answer(errNo)
	require.Panics(t, func() { _, _ = failover.Do(t.Context(), g.Group, ask) })
	require.Zero(t, g.Snapshot().Candidates[0].InFlight)
}

func TestOutcomesOfUsualErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want failover.Outcome
	}{
		{context.DeadlineExceeded, failover.Unknown},
		{io.ErrUnexpectedEOF, failover.Unknown},
		{errOdd, failover.Unknown},
		{failover.Mark(errOdd, failover.Accepted), failover.Unknown},
		{failover.Mark(errOdd, failover.Final), failover.Final},
		{errNo, failover.Rejected},
		{syscall.ECONNREFUSED, failover.Rejected},
		{&net.OpError{Op: "dial", Err: errOdd}, failover.Rejected},
		{&net.OpError{Op: "read", Err: errOdd}, failover.Unknown},
		{&net.DNSError{}, failover.Rejected},
		{&circuitbreaker.OpenError{Name: "x"}, failover.Rejected},
	} {
		require.Equal(t, c.want, failover.Classify(t.Context(), c.err), "%v", c.err)
	}
	require.NoError(t, failover.Mark(nil, failover.Final))
	require.Equal(t, "unknown accepted rejected final invalid", strings.Join([]string{
		failover.Unknown.String(), failover.Accepted.String(), failover.Rejected.String(), failover.Final.String(), failover.Outcome(9).String()}, " "))
}

func TestTimeOutsAndBrokenConnectionsAreToldHoweverWrapped(t *testing.T) {
	for _, err := range []error{errLate, os.ErrDeadlineExceeded, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, syscall.ETIMEDOUT} {
		require.True(t, failover.TimedOut(errors.Join(errOdd, err)), "%v", err)
		require.False(t, failover.BrokenConnection(err), "%v", err)
	}
	for _, err := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, &net.OpError{Op: "write", Err: syscall.EPIPE}, net.ErrClosed} {
		require.True(t, failover.BrokenConnection(errors.Join(errOdd, err)), "%v", err)
		require.False(t, failover.TimedOut(err), "%v", err)
	}
	require.False(t, failover.TimedOut(context.Canceled))
}
