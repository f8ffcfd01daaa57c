package concurrency_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
)

// watcher calls itself with what it is told.
type watcher func(observe.Operation, observe.Result)

func (w watcher) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	return ctx, func(r observe.Result) { w(op, r) }
}

func TestObserveReportsTickets(t *testing.T) {
	l, err := concurrency.New(1)
	require.NoError(t, err)
	var outcomes []observe.Outcome
	a := concurrency.Observe(l, "db", watcher(func(op observe.Operation, r observe.Result) {
		require.NoError(t, op.Kind.Validate())
		require.Equal(t, observe.Values{"db"}, op.Values)
		outcomes = append(outcomes, r.Outcome)
	}))
	_, err = a.Acquire(t.Context(), "k")
	require.NoError(t, err)
	_, err = a.Acquire(t.Context(), "k")
	require.NoError(t, err)
	_, err = a.Acquire(t.Context(), "")
	require.ErrorIs(t, err, ratelimit.ErrKey)
	require.Equal(t, []observe.Outcome{observe.OK, observe.Rejected, observe.Failed}, outcomes)
	require.Same(t, l, concurrency.Observe(l, "db", nil))
}

func TestObservedAcquirersConform(t *testing.T) {
	ratelimittest.TestAcquirer(t, func() ratelimittest.AcquirerHarness {
		l, err := concurrency.New(5)
		require.NoError(t, err)
		quiet := watcher(func(observe.Operation, observe.Result) {})
		return ratelimittest.AcquirerHarness{Acquirer: concurrency.Observe(l, "db", quiet), Limit: 5}
	})
}
