package chain_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

// until gives one verdict for so many attempts, and then accepts.
func until(attempts int, v verdict) judge {
	return func(_ string, _ smsx.Number, attempt int) verdict {
		if attempt < attempts {
			return v
		}
		return accepted
	}
}

func retry(t testing.TB, next smsx.Service, cfg chain.RetryConfig) *chain.Retry {
	r, err := chain.NewRetry(next, cfg)
	require.NoError(t, err)
	return r
}

func TestSuccessComesTheFirstTimeOrTheKthOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for failures, want := range []error{nil, nil, nil, smsx.ErrRejected, smsx.ErrRejected} {
			p := newProvider("p", until(failures, down))
			_, err := retry(t, p, chain.RetryConfig{}).Send(t.Context(), smsxtest.Message(t, 1))
			require.ErrorIs(t, err, want)
			require.Equal(t, min(failures+1, 3), p.calls())
		}
	})
}

func TestWhatTimeDoesNotMendIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, v := range []verdict{blocked, template, {smsx.Rejected, smsx.ReasonBalance}, {smsx.Rejected, smsx.ReasonAuth}, {smsx.Rejected, smsx.ReasonNumberLimit}, unknown} {
			p := newProvider("p", until(1, v))
			_, err := retry(t, p, chain.RetryConfig{}).Send(t.Context(), smsxtest.Message(t, 1))
			require.Error(t, err)
			require.Equal(t, 1, p.calls(), v)
		}
		p := newProvider("p", until(2, unknown))
		m := smsxtest.Message(t, 1)
		m.Class = smsx.AtLeastOnce
		_, err := retry(t, p, chain.RetryConfig{}).Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, 3, p.calls())
	})
}

func TestRefusalsOfOursAreNotTriedAgain(t *testing.T) {
	b := breaker(t)
	require.NoError(t, b.SetMode(circuitbreaker.ForcedOpen))
	for want, next := range map[error]smsx.Service{
		circuitbreaker.ErrOpen: chain.Break(memory.New("p"), b),
		ratelimit.ErrLimited: chain.Limit(smsx.ServiceFunc(func(context.Context, smsx.Message) (smsx.Receipt, error) {
			return smsx.Receipt{}, ratelimit.ErrLimited
		}), limiter(t, 1), chain.Key("p", "app"), nil),
	} {
		calls := 0
		counted := smsx.ServiceFunc(func(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
			calls++
			r, err := next.Send(ctx, m)
			if len(r.Results) == 0 {
				r = smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Reason: smsx.ReasonAccountLimit})
			}
			return r, err
		})
		_, err := retry(t, counted, chain.RetryConfig{}).Send(t.Context(), smsxtest.Message(t, 1))
		require.ErrorIs(t, err, want)
		require.Equal(t, 1, calls)
	}
}

func TestNoPauseGoesPastADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := chain.RetryConfig{Attempts: 100, Backoff: time.Second, MaxBackoff: time.Minute}
		p := newProvider("p", always(down))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := retry(t, p, cfg).Send(ctx, smsxtest.Message(t, 1))
		require.ErrorIs(t, err, smsx.ErrRejected)
		require.Less(t, time.Since(began), time.Minute)
		require.NoError(t, ctx.Err())

		m := smsxtest.Message(t, 1)
		m.NotAfter = time.Now().Add(time.Minute)
		began = time.Now()
		_, err = retry(t, p, cfg).Send(t.Context(), m)
		require.ErrorIs(t, err, smsx.ErrRejected)
		require.Less(t, time.Since(began), time.Minute)
	})
}

func TestACallerWhoLeavesEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider("p", always(down))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := retry(t, p, chain.RetryConfig{Backoff: time.Hour, MaxBackoff: time.Hour}).Send(ctx, smsxtest.Message(t, 1))
			done <- err
		}()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-done, smsx.ErrRejected)
		require.Equal(t, 1, p.calls())
	})
}

func TestFurtherAttemptsAreAShareOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider("p", always(down))
		r := retry(t, p, chain.RetryConfig{Attempts: 3, Ratio: 0.1, Burst: 5})
		const n = 200
		var budget int
		for range n {
			if _, err := r.Send(t.Context(), smsxtest.Message(t, 1)); err != nil {
				require.ErrorIs(t, err, smsx.ErrRejected)
				budget++
			}
		}
		require.Equal(t, n, budget)
		require.LessOrEqual(t, p.calls(), n+5+n/10)
		require.Greater(t, p.calls(), n+n/10-5)
		_, err := r.Send(t.Context(), smsxtest.Message(t, 1))
		require.ErrorIs(t, err, chain.ErrBudget)
	})
}
