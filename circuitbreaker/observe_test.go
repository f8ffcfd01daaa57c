package circuitbreaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
)

func TestObserveReportsEveryEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := observetest.NewRecorder(t)
		b := newBreaker(t, circuitbreaker.Config{}, circuitbreaker.WithObserver(rec))
		gate := circuitbreaker.Observe(b, "billing", rec)
		run := func(ctx context.Context, err error) {
			_, _ = circuitbreaker.Do(ctx, gate, func(context.Context) (int, error) { return 0, err })
		}
		run(t.Context(), nil)
		run(t.Context(), context.Canceled)
		run(t.Context(), errDown)
		run(t.Context(), context.DeadlineExceeded)
		require.Panics(t, func() {
			_, _ = circuitbreaker.Do(t.Context(), gate, func(context.Context) (int, error) { panic("boom") })
		})
		run(t.Context(), nil)
		var got []observe.Outcome
		for _, r := range rec.Ended("circuitbreaker", "call") {
			require.Equal(t, "billing", r.Label("name"))
			got = append(got, r.Outcome)
		}
		require.Equal(t, []observe.Outcome{observe.OK, observe.Canceled, observe.Failed, observe.Timeout, observe.Panicked, observe.Rejected}, got)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		var moves []string
		for _, r := range rec.Ended("circuitbreaker", "transition") {
			require.Equal(t, "test", r.Label("name"))
			require.Equal(t, "automatic", r.Label("mode"))
			moves = append(moves, r.Label("from")+" "+r.Label("to"))
		}
		require.Equal(t, []string{"closed open", "open half-open"}, moves)
	})
}

func TestTheCallRunsUnderTheObserversContext(t *testing.T) {
	rec := observetest.NewRecorder(t)
	b := newBreaker(t, circuitbreaker.Config{})
	gate := circuitbreaker.Observe(circuitbreaker.Observe(b, "inner", rec), "outer", rec)
	_, err := circuitbreaker.Do(t.Context(), gate, func(ctx context.Context) (int, error) {
		return circuitbreaker.Do(ctx, circuitbreaker.Observe(b, "further in", rec), func(context.Context) (int, error) { return 1, nil })
	})
	require.NoError(t, err)
	records := rec.Records()
	require.Len(t, records, 3)
	for i, r := range records {
		require.Equal(t, i-1, r.Parent)
		require.True(t, r.Ended)
	}
}

func TestObserveWithTickets(t *testing.T) {
	rec := observetest.NewRecorder(t)
	gate := circuitbreaker.Observe(newBreaker(t, circuitbreaker.Config{}), "billing", rec)
	ticket := admitted(t, gate)
	ticket.Done(circuitbreaker.Failure)
	ticket.Done(circuitbreaker.Failure) // ends nothing twice
	require.Equal(t, observe.Failed, rec.Only("circuitbreaker", "call").Outcome)
	quiet := circuitbreaker.Observe(newBreaker(t, circuitbreaker.Config{}), "billing", nil)
	admitted(t, quiet).Done(circuitbreaker.Success)
}

func TestCallsAllocateNothing(t *testing.T) {
	closed := newBreaker(t, circuitbreaker.Config{})
	open := newBreaker(t, circuitbreaker.Config{})
	trip(t, open)
	throttle := newThrottle(t, circuitbreaker.ThrottleConfig{})
	ctx := context.Background()
	fn := func(context.Context) (int, error) { return 1, nil }
	heard := silent{}
	for name, gate := range map[string]circuitbreaker.Gate{
		"listening": circuitbreaker.Observe(closed, "x", &heard),
		"closed":    closed, "open": open, "throttle": throttle, "observed": circuitbreaker.Observe(closed, "x", observe.Nop()),
		"latency": only(t, slowOrGrowing()),
	} {
		require.Zero(t, testing.AllocsPerRun(10_000, func() { _, _ = circuitbreaker.Do(ctx, gate, fn) }), name)
	}
}

// silent listens and keeps nothing.
type silent struct{}

func (*silent) Start(ctx context.Context, _ observe.Operation) (context.Context, observe.End) {
	return ctx, ignoreEnd
}

func ignoreEnd(observe.Result) {}

func TestABusyObservedBreakerStillReportsEveryCall(t *testing.T) {
	rec := observetest.NewRecorder(t)
	b := newBreaker(t, circuitbreaker.Config{}, circuitbreaker.WithClock(&manual{}))
	gate := circuitbreaker.Observe(b, "busy", rec)
	for range 500 {
		admitted(t, gate).Done(circuitbreaker.Success)
	}
	require.Len(t, rec.Ended("circuitbreaker", "call"), 500)
}

// foreign is a gate of another package: it has no tickets of its own.
type foreign struct{}

func (foreign) Allow() (circuitbreaker.Ticket, error) { return circuitbreaker.Ticket{}, nil }

func TestACallThroughAnotherPackagesGateIsReportedToItsEnd(t *testing.T) {
	rec := observetest.NewRecorder(t)
	gate := circuitbreaker.Observe(foreign{}, "other", rec)
	_, err := circuitbreaker.Do(t.Context(), gate, func(context.Context) (int, error) { return 0, errDown })
	require.ErrorIs(t, err, errDown)
	require.Equal(t, observe.Failed, rec.Only("circuitbreaker", "call").Outcome)
}
