package chain_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/chaos"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

func TestLoadSpreadsAcrossProviders(t *testing.T) {
	services := []*memory.Service{memory.New("a"), memory.New("b"), memory.New("c")}
	var providers []chain.Provider
	for _, s := range services {
		providers = append(providers, chain.Provider{Name: "p" + string(rune('0'+len(providers))), Value: s})
	}
	f := group(t, failover.Config{}, providers, failover.WithRoundRobin())
	for range 30 {
		_, err := f.Send(t.Context(), smsxtest.Message(t, 1))
		require.NoError(t, err)
	}
	for _, s := range services {
		require.Len(t, s.Sent(), 10)
	}
}

func TestNoProvidersAreRefused(t *testing.T) {
	for _, opts := range [][]failover.Option{nil, {failover.WithStickyTimeouts(3)}, {failover.WithOrder()}} {
		_, err := chain.NewFailover(failover.Config{Name: "sms"}, nil, opts...)
		require.ErrorIs(t, err, chain.ErrConfig)
	}
}

func TestARejectedMessageGoesToTheNextProvider(t *testing.T) {
	bad, good := newProvider("bad", always(down)), newProvider("good", always(accepted))
	f := group(t, failover.Config{}, []chain.Provider{{Name: "bad", Value: bad}, {Name: "good", Value: good}}, failover.WithOrder())
	receipt, err := f.Send(t.Context(), smsxtest.Message(t, 2))
	require.NoError(t, err)
	for _, r := range receipt.Results {
		require.Equal(t, "good", r.Provider)
	}
}

func TestOnlyWhatIsLeftGoesToTheNextProvider(t *testing.T) {
	m := smsxtest.Message(t, 4)
	first := newProvider("first", func(_ string, n smsx.Number, _ int) verdict {
		return map[smsx.Number]verdict{m.Numbers[0]: accepted, m.Numbers[1]: down, m.Numbers[2]: unknown, m.Numbers[3]: blocked}[n]
	})
	for class, want := range map[smsx.Class][]smsx.Outcome{
		smsx.AtMostOnce:  {smsx.Accepted, smsx.Accepted, smsx.Unknown, smsx.Rejected},
		smsx.AtLeastOnce: {smsx.Accepted, smsx.Accepted, smsx.Accepted, smsx.Rejected},
	} {
		second := newProvider("second", always(accepted))
		f := group(t, failover.Config{}, []chain.Provider{{Name: "first", Value: first}, {Name: "second", Value: second}}, failover.WithOrder())
		m.Class = class
		receipt, err := f.Send(t.Context(), m)
		require.Equal(t, want, outcomes(receipt))
		require.Error(t, err)
		require.Zero(t, len(second.did[m.Numbers[0]]), "accepted already")
		require.Zero(t, len(second.did[m.Numbers[3]]), "blocked everywhere")
	}
}

func TestUnknownIsNotTriedElsewhere(t *testing.T) {
	first, second := newProvider("first", always(unknown)), newProvider("second", always(accepted))
	f := group(t, failover.Config{}, []chain.Provider{{Name: "first", Value: first}, {Name: "second", Value: second}}, failover.WithOrder(), failover.WithJudge())
	m := smsxtest.Message(t, 1)
	_, err := f.Send(t.Context(), m)
	require.ErrorIs(t, err, smsx.ErrUnknown)
	require.Zero(t, second.calls())
	m.Class = smsx.AtLeastOnce
	_, err = f.Send(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, 1, second.calls())
}

func TestACallerWhoLeavesStopsAtOnce(t *testing.T) {
	for _, class := range []smsx.Class{smsx.AtMostOnce, smsx.AtLeastOnce} {
		ctx, cancel := context.WithCancel(t.Context())
		first := smsx.ServiceFunc(func(_ context.Context, m smsx.Message) (smsx.Receipt, error) {
			cancel()
			r := smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Provider: "first", Reason: smsx.ReasonDown})
			return r, r.Err(ctx.Err())
		})
		second := newProvider("second", always(accepted))
		f := group(t, failover.Config{}, []chain.Provider{{Name: "first", Value: first}, {Name: "second", Value: second}}, failover.WithOrder())
		m := smsxtest.Message(t, 1)
		m.Class = class
		_, err := f.Send(ctx, m)
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, second.calls())
	}
}

func TestAProviderIsLeftAfterMoreThanNTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		behind := memory.New("first")
		first := chaos.New("first", behind)
		second := newProvider("second", always(accepted))
		f := group(t, failover.Config{}, []chain.Provider{{Name: "first", Value: first}, {Name: "second", Value: second}}, failover.WithStickyTimeouts(2))
		send := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := f.Send(ctx, smsxtest.Message(t, 1))
			return err
		}
		hang := chaos.Fault{Kind: chaos.Hangs}
		require.NoError(t, first.Script(hang, hang, chaos.Fault{}, hang, hang, hang))
		require.ErrorIs(t, send(), smsx.ErrUnknown)
		require.ErrorIs(t, send(), smsx.ErrUnknown)
		require.NoError(t, send(), "a success starts the count over")
		for range 3 {
			require.ErrorIs(t, send(), smsx.ErrUnknown)
		}
		require.Zero(t, second.calls())
		for range 5 {
			require.NoError(t, send())
		}
		require.Equal(t, 5, second.calls(), "and stays switched")
		require.Len(t, behind.Sent(), 1)
	})
}

func TestAnIllProviderIsLeftAlone(t *testing.T) {
	first, second := newProvider("first", always(down)), newProvider("second", always(accepted))
	f := group(t, failover.Config{}, []chain.Provider{{Name: "first", Value: first}, {Name: "second", Value: second}},
		failover.WithOrder(), failover.WithJudge(detect.Consecutive(3)))
	for range 20 {
		_, err := f.Send(t.Context(), smsxtest.Message(t, 1))
		require.NoError(t, err)
	}
	require.Equal(t, 3, first.calls())
	require.Equal(t, 20, second.calls())
}

func TestBadNumbersMakeNoProviderIll(t *testing.T) {
	for _, v := range []verdict{blocked, template} {
		only := newProvider("only", always(v))
		f := group(t, failover.Config{}, []chain.Provider{{Name: "only", Value: only}}, failover.WithJudge(detect.Consecutive(1)))
		b := chain.Break(only, breaker(t, circuitbreaker.WithDetector(detect.Consecutive(1))))
		for range 10 {
			_, err := f.Send(t.Context(), smsxtest.Message(t, 1))
			require.ErrorIs(t, err, smsx.ErrRejected)
			_, err = b.Send(t.Context(), smsxtest.Message(t, 1))
			require.ErrorIs(t, err, smsx.ErrRejected)
		}
		require.Equal(t, 20, only.calls())
	}
}

// A denial of our own limiter is no answer of the provider's: neither a failure that
// takes it out, nor a success between two failures.
func TestOurOwnDenialsTellNothingAboutAProvider(t *testing.T) {
	none := limiter(t, 1)
	_, err := none.Take(t.Context(), "p/app/SMS_1", 1)
	require.NoError(t, err)
	denied := chain.Limit(memory.New("p"), none, chain.Key("p", "app"), nil)
	failing := newProvider("p", always(down))
	for name, build := range map[string]func(smsx.Service) smsx.Service{
		"failover": func(s smsx.Service) smsx.Service {
			return group(t, failover.Config{}, []chain.Provider{{Name: "p", Value: s}}, failover.WithJudge(detect.Consecutive(2)))
		},
		"breaker": func(s smsx.Service) smsx.Service {
			return chain.Break(s, breaker(t, circuitbreaker.WithDetector(detect.Consecutive(2))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			s := build(smsx.ServiceFunc(func(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
				calls++
				if calls == 1 || calls == 12 {
					return failing.Send(ctx, m)
				}
				return denied.Send(ctx, m)
			}))
			send := func() error { _, err := s.Send(t.Context(), smsxtest.Message(t, 1)); return err }
			require.ErrorIs(t, send(), smsx.ErrRejected)
			for range 10 {
				require.ErrorIs(t, send(), ratelimit.ErrLimited)
			}
			require.NotErrorIs(t, send(), ratelimit.ErrLimited)
			require.Equal(t, 12, calls)
			for range 5 {
				require.ErrorIs(t, send(), circuitbreaker.ErrOpen, "two failures in a row")
			}
			require.LessOrEqual(t, calls, 13, "but for one of the group's last resort")
		})
	}
}

func TestAnOpenBreakerRejectsWithoutAsking(t *testing.T) {
	p := newProvider("p", always(down))
	s := chain.Break(p, breaker(t, circuitbreaker.WithDetector(detect.Consecutive(2))))
	for range 2 {
		_, err := s.Send(t.Context(), smsxtest.Message(t, 1))
		require.ErrorIs(t, err, smsx.ErrRejected)
	}
	receipt, err := s.Send(t.Context(), smsxtest.Message(t, 2))
	require.ErrorIs(t, err, circuitbreaker.ErrOpen)
	require.Equal(t, smsx.Rejected, smsx.OutcomeOf(err))
	require.Len(t, receipt.Results, 2)
	require.Equal(t, 2, p.calls())
}

// A refusal of a breaker must not use up what the limiter grants.
func TestWhatTheBreakerRefusesCostsNoPermit(t *testing.T) {
	l := limiter(t, 1)
	b := breaker(t)
	require.NoError(t, b.SetMode(circuitbreaker.ForcedOpen))
	p := newProvider("p", always(accepted))
	s, err := chain.New(chain.Config{Name: "sms"}, []chain.Provider{{Name: "p", Value: p}}, chain.WithLimit(l),
		chain.WithBreakers(func(string) (circuitbreaker.Gate, error) { return b, nil }))
	require.NoError(t, err)
	_, err = s.Send(t.Context(), smsxtest.Message(t, 1))
	require.ErrorIs(t, err, circuitbreaker.ErrOpen)
	require.NoError(t, b.SetMode(circuitbreaker.ForcedClosed))
	_, err = s.Send(t.Context(), smsxtest.Message(t, 1))
	require.NoError(t, err)
	_, err = s.Send(t.Context(), smsxtest.Message(t, 1))
	require.ErrorIs(t, err, ratelimit.ErrLimited)
}

func TestReceiptsThatDoNotFitAreUnknown(t *testing.T) {
	for name, broken := range map[string]smsx.ServiceFunc{
		"empty": func(context.Context, smsx.Message) (smsx.Receipt, error) { return smsx.Receipt{}, nil },
		"short": func(_ context.Context, m smsx.Message) (smsx.Receipt, error) {
			return smsx.Receipt{Results: smsx.Same(m, smsx.Result{Outcome: smsx.Accepted}).Results[:1]}, nil
		},
	} {
		f := group(t, failover.Config{}, []chain.Provider{{Name: "p", Value: broken}})
		receipt, err := f.Send(t.Context(), smsxtest.Message(t, 2))
		require.ErrorIs(t, err, smsx.ErrUnknown, name)
		require.Equal(t, []smsx.Outcome{smsx.Unknown, smsx.Unknown}, outcomes(receipt))
	}
}
