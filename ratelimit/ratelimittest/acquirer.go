package ratelimittest

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/concurrency"
)

// AcquirerHarness is a limiter of calls in flight to be tested, without any.
type AcquirerHarness struct {
	Acquirer concurrency.Acquirer
	// Limit is how many calls of a key may be in flight; at least 2.
	Limit int
	// OneBudget tells that the limiter has one budget for all keys.
	OneBudget bool
	// Keys are two keys to use; nil means any will do.
	Keys []string
}

func (h AcquirerHarness) key(i int) string {
	if h.Keys != nil {
		return h.Keys[i]
	}
	return []string{"a:b", "a:"}[i]
}

func (h AcquirerHarness) acquire(t require.TestingT, key string) concurrency.Ticket {
	ticket, err := h.Acquirer.Acquire(context.Background(), key)
	require.NoError(t, err)
	require.GreaterOrEqual(t, ticket.Remaining, int64(0))
	return ticket
}

// fill takes all tickets there are for a key.
func (h AcquirerHarness) fill(t require.TestingT, key string) (all []concurrency.Ticket) {
	for {
		ticket := h.acquire(t, key)
		if !ticket.Allowed {
			return all
		}
		all = append(all, ticket)
	}
}

// TestAcquirer runs the suite of [concurrency.Acquirer]. create is called for each
// case. A queue, where there is one, must be off.
func TestAcquirer(t *testing.T, create func() AcquirerHarness) {
	cases := map[string]func(*testing.T, AcquirerHarness){
		"exactly the limit is in flight":            exactlyTheLimit,
		"ending a ticket again does nothing":        endingTwice,
		"every way to end a ticket gives it back":   everyEnding,
		"a call that panics or exits gives it back": abruptEndings,
		"keys are apart":                            ticketsOfKeys,
		"an empty key is an error":                  ticketOfNobody,
		"concurrent callers never exceed the limit": concurrentCalls,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(t, create()) })
	}
}

func exactlyTheLimit(t *testing.T, h AcquirerHarness) {
	all := h.fill(t, h.key(0))
	require.Len(t, all, h.Limit)
	require.Equal(t, int64(h.Limit), all[0].Limit)
	require.Zero(t, all[h.Limit-1].Remaining)
	all[0].Release()
	require.Len(t, h.fill(t, h.key(0)), 1)
}

func endingTwice(t *testing.T, h AcquirerHarness) {
	concurrency.Ticket{}.Release()
	all := h.fill(t, h.key(0))
	held := all[0]
	copied := held
	held.Release()
	held.Release()
	copied.Release()
	copied.Drop()
	again := h.fill(t, h.key(0))
	require.Len(t, again, 1)
	held.Release() // its slot may serve the new ticket by now
	copied.Ignore()
	require.Empty(t, h.fill(t, h.key(0)), "an old ticket ended a new one")
}

func everyEnding(t *testing.T, h AcquirerHarness) {
	for _, end := range []func(concurrency.Ticket){
		concurrency.Ticket.Release, concurrency.Ticket.Drop, concurrency.Ticket.Ignore,
	} {
		all := h.fill(t, h.key(0))
		require.Len(t, all, h.Limit)
		for _, ticket := range all {
			end(ticket)
		}
	}
}

func abruptEndings(t *testing.T, h AcquirerHarness) {
	var wg sync.WaitGroup
	for _, abrupt := range []func(){func() { panic("as planned") }, runtime.Goexit} {
		wg.Go(func() {
			defer func() { _ = recover() }()
			ticket, err := h.Acquirer.Acquire(context.Background(), h.key(0))
			if err == nil {
				defer ticket.Release()
			}
			abrupt()
		})
	}
	wg.Wait()
	require.Len(t, h.fill(t, h.key(0)), h.Limit)
}

func ticketsOfKeys(t *testing.T, h AcquirerHarness) {
	if h.OneBudget {
		t.Skip("the limiter has one budget for all keys")
	}
	require.Len(t, h.fill(t, h.key(0)), h.Limit)
	require.Len(t, h.fill(t, h.key(1)), h.Limit)
}

func ticketOfNobody(t *testing.T, h AcquirerHarness) {
	if h.OneBudget {
		t.Skip("the limiter does not look at keys")
	}
	ticket, err := h.Acquirer.Acquire(context.Background(), "")
	require.ErrorIs(t, err, ratelimit.ErrRequest)
	require.False(t, ticket.Allowed)
}

func concurrentCalls(t *testing.T, h AcquirerHarness) {
	var inFlight, worst, admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 300 {
				ticket, err := h.Acquirer.Acquire(context.Background(), h.key(0))
				if err != nil || !ticket.Allowed {
					runtime.Gosched()
					continue
				}
				admitted.Add(1)
				now := inFlight.Add(1)
				for old := worst.Load(); now > old && !worst.CompareAndSwap(old, now); old = worst.Load() {
				}
				runtime.Gosched()
				inFlight.Add(-1)
				ticket.Release()
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, worst.Load(), int64(h.Limit))
	require.Positive(t, admitted.Load())
	require.Len(t, h.fill(t, h.key(0)), h.Limit, "tickets were lost")
}
