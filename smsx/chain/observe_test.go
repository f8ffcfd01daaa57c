package chain_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

func TestReportsSayWhatBecameOfAMessage(t *testing.T) {
	fails := func(cause error, o smsx.Outcome) smsx.Service {
		return smsx.ServiceFunc(func(_ context.Context, m smsx.Message) (smsx.Receipt, error) {
			r := smsx.Same(m, smsx.Result{Outcome: o, Provider: "p", Reason: smsx.ReasonDown})
			return r, r.Err(cause)
		})
	}
	partly := newProvider("p", func(_ string, n smsx.Number, _ int) verdict {
		if n == smsxtest.Number(t, 0) {
			return accepted
		}
		return blocked
	})
	cases := map[string]struct {
		next                     smsx.Service
		outcome                  observe.Outcome
		result, reason, provider string
	}{
		"accepted":  {newProvider("p", always(accepted)), observe.OK, "accepted", "accepted", "p"},
		"partial":   {partly, observe.Failed, "partial", "number", "p"},
		"rejected":  {newProvider("p", always(down)), observe.Failed, "rejected", "down", "p"},
		"unknown":   {newProvider("p", always(unknown)), observe.Failed, "unknown", "down", "p"},
		"timed out": {fails(context.DeadlineExceeded, smsx.Unknown), observe.Timeout, "unknown", "down", "p"},
		"left":      {fails(context.Canceled, smsx.Rejected), observe.Canceled, "rejected", "down", "p"},
		"limited":   {chain.Limit(partly, failing{}, chain.Key("p", "app"), nil), observe.Failed, "rejected", "account_limit", ""},
		"deferred":  {rescue(t, newProvider("p", always(down)), chain.RescueConfig{}), observe.Degraded, "deferred", "accepted", "sms"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rec := observetest.NewRecorder(t)
			_, err := chain.Observe(c.next, "front", rec).Send(t.Context(), smsxtest.Message(t, 2))
			got := rec.Only("sms", "send")
			require.Equal(t, c.outcome, got.Outcome)
			require.Equal(t, err, got.Err)
			require.Equal(t, int64(2), got.Amount)
			require.Equal(t, []string{"front", c.result, c.reason, c.provider},
				[]string{got.Label("service"), got.Label("result"), got.Label("reason"), got.Label("provider")})
		})
	}
}

// No number, argument or key of a message shows in any label, line or error, however
// it ends.
func TestNoLabelLineOrErrorShowsNumbersOrArguments(t *testing.T) {
	for _, v := range []verdict{accepted, down, blocked, unknown} {
		lines, rec := loggertest.New(t), observetest.NewRecorder(t)
		s, err := chain.New(chain.Config{Name: "sms", Retry: chain.RetryConfig{Attempts: 2, Backoff: 1}}, []chain.Provider{{Name: "p", Value: newProvider("p", always(v))}},
			chain.WithLogger(lines.Logger()), chain.WithObserver(rec), chain.WithRescue(async.NewMemory()), chain.WithLimit(limiter(t, 1000)))
		require.NoError(t, err)
		m := smsxtest.Message(t, 2)
		_, err = s.Send(t.Context(), m)
		secrets := []string{m.Numbers[0].E164()[3:], m.Numbers[1].E164()[3:], m.Args[0].Value}
		for _, secret := range secrets {
			lines.RequireNowhere(secret)
			if err != nil {
				require.NotContains(t, err.Error(), secret)
			}
			for _, r := range rec.Records() {
				for _, value := range append(r.Operation.Values[:], r.Result.Values[:]...) {
					require.NotContains(t, value, secret)
				}
			}
		}
		require.NotEmpty(t, rec.Ended("sms", "send"))
		require.Len(t, lines.Records(), 1)
	}
}

func TestTheLevelOfALineIsThatOfItsNews(t *testing.T) {
	lines := loggertest.New(t)
	lines.SetLevel(logger.LevelWarn)
	_, err := chain.Log(newProvider("p", always(accepted)), "sms", lines.Logger()).Send(t.Context(), smsxtest.Message(t, 1))
	require.NoError(t, err)
	require.Empty(t, lines.Records())
	_, err = chain.Log(newProvider("p", always(blocked)), "sms", lines.Logger()).Send(t.Context(), smsxtest.Message(t, 1))
	require.ErrorIs(t, err, smsx.ErrRejected)
	lines.RequireLine(logger.LevelWarn, "sms not sent", logger.String("reason", "number"), logger.String("provider", "p"), logger.String("number", "***00"))
}

func TestVerdictsOfErrorsFromElsewhere(t *testing.T) {
	for err, want := range map[error]async.Verdict{
		nil: async.Succeeded, errors.New("what nobody classified"): async.Uncertain, context.DeadlineExceeded: async.Uncertain,
		smsx.Message{}.Check(time.Now()): async.Hopeless, chain.ErrBudget: async.Uncertain,
	} {
		require.Equal(t, want, chain.Verdict(err), "%v", err)
	}
}

func TestWithoutARescueRunWaits(t *testing.T) {
	s, err := chain.New(chain.Config{Name: "sms"}, []chain.Provider{{Name: "p", Value: newProvider("p", always(down))}})
	require.NoError(t, err)
	require.Nil(t, s.Rescue())
	require.NotNil(t, s.Failover().Group())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Run(ctx))
	_, err = s.Send(t.Context(), smsxtest.Message(t, 1))
	require.ErrorIs(t, err, smsx.ErrRejected)
}
