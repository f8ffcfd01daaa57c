package chain_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

// noop is each decorator in a form that has nothing to do.
var noop = map[string]func(testing.TB, smsx.Service) smsx.Service{
	"limit": func(t testing.TB, s smsx.Service) smsx.Service {
		return chain.Limit(s, limiter(t, 1_000_000), chain.Key("p", "app"), nil)
	},
	"break": func(t testing.TB, s smsx.Service) smsx.Service { return chain.Break(s, breaker(t)) },
	"retry": func(t testing.TB, s smsx.Service) smsx.Service {
		r, err := chain.NewRetry(s, chain.RetryConfig{Attempts: 1})
		require.NoError(t, err)
		return r
	},
	"round robin": func(t testing.TB, s smsx.Service) smsx.Service {
		return group(t, failover.Config{}, []chain.Provider{{Name: "only", Value: s}}, failover.WithJudge())
	},
	"on timeout": func(t testing.TB, s smsx.Service) smsx.Service {
		return group(t, failover.Config{}, []chain.Provider{{Name: "only", Value: s}}, failover.WithStickyTimeouts(3))
	},
	"judged": func(t testing.TB, s smsx.Service) smsx.Service {
		return group(t, failover.Config{}, []chain.Provider{{Name: "only", Value: s}}, failover.WithJudge(async.Crash(async.JudgeConfig{})))
	},
	"rescue": func(t testing.TB, s smsx.Service) smsx.Service {
		return rescue(t, s, chain.RescueConfig{Config: async.Config{Mode: async.AlwaysNow}})
	},
	"observe": func(t testing.TB, s smsx.Service) smsx.Service {
		return chain.Observe(s, "sms", observetest.NewRecorder(t))
	},
	"observe nothing": func(t testing.TB, s smsx.Service) smsx.Service { return chain.Observe(s, "sms", observe.Nop()) },
	"log": func(t testing.TB, s smsx.Service) smsx.Service {
		return chain.Log(s, "sms", loggertest.New(t).Logger())
	},
	"everything": func(t testing.TB, s smsx.Service) smsx.Service {
		all, err := chain.New(chain.Config{Name: "sms"}, []chain.Provider{{Name: "only", Value: s}},
			chain.WithLimit(limiter(t, 1_000_000)), chain.WithRescue(async.NewMemory()), chain.WithObserver(observetest.NewRecorder(t)),
			chain.WithBreakers(func(string) (circuitbreaker.Gate, error) { return breaker(t), nil }), chain.WithLogger(logger.New(nil)))
		require.NoError(t, err)
		return all
	},
}

func TestEveryDecoratorIsAService(t *testing.T) {
	for name, decorate := range noop {
		t.Run(name, func(t *testing.T) {
			smsxtest.Test(t, func(t testing.TB) smsxtest.Bench {
				behind := memory.New("memory")
				return smsxtest.Bench{Service: decorate(t, behind), Sent: count(behind)}
			})
		})
	}
}

// A decorator that passes on less than it got is how a service comes to send to no
// number at all.
func TestDecoratorsPassEveryFieldOn(t *testing.T) {
	for name, decorate := range noop {
		t.Run(name, func(t *testing.T) {
			behind := memory.New("memory")
			m := smsxtest.Message(t, 3)
			m.Class = smsx.AtLeastOnce
			_, err := decorate(t, behind).Send(t.Context(), m)
			require.NoError(t, err)
			require.Equal(t, []smsx.Message{m}, behind.Sent())
		})
	}
}

func TestDecoratingWithANoOpChangesNothing(t *testing.T) {
	cases := map[string]verdict{"accepted": accepted, "blocked": blocked, "down": down, "unknown": unknown, "template": template}
	for name, decorate := range noop {
		if name == "everything" {
			continue // its rescue has something to do
		}
		for what, v := range cases {
			t.Run(name+" "+what, func(t *testing.T) {
				plain, decorated := newProvider("p", always(v)), newProvider("p", always(v))
				m := smsxtest.Message(t, 2)
				want, wantErr := plain.Send(t.Context(), m)
				got, err := decorate(t, decorated).Send(t.Context(), m)
				require.Equal(t, want, got)
				require.Equal(t, smsx.OutcomeOf(wantErr), smsx.OutcomeOf(err))
				require.Equal(t, smsx.Fault(wantErr), smsx.Fault(err))
				require.Equal(t, wantErr == nil, err == nil)
				require.Equal(t, plain.seen, decorated.seen)
			})
		}
	}
}

func TestAPanicGoesThroughEveryDecorator(t *testing.T) {
	for name, decorate := range noop {
		t.Run(name, func(t *testing.T) {
			s := decorate(t, smsx.ServiceFunc(func(context.Context, smsx.Message) (smsx.Receipt, error) { panic("bug") }))
			require.PanicsWithValue(t, "bug", func() { _, _ = s.Send(t.Context(), smsxtest.Message(t, 1)) })
		})
	}
}

func TestWrongOrdersAreRefused(t *testing.T) {
	pass := func(next smsx.Service) (smsx.Service, error) {
		return smsx.ServiceFunc(next.Send), nil
	}
	s := memory.New("memory")
	for outer := chain.Observing; outer <= chain.Limiting; outer++ {
		for inner := chain.Observing; inner <= chain.Limiting; inner++ {
			_, err := chain.Stack(s, chain.Layer{Rank: outer, Wrap: pass}, chain.Layer{Rank: inner, Wrap: pass})
			single := outer == inner && outer >= chain.Deduplicating && outer <= chain.Retrying
			if outer > inner || single {
				require.ErrorIs(t, err, chain.ErrOrder, "%v outside of %v", outer, inner)
				require.ErrorContains(t, err, outer.String())
			} else {
				require.NoError(t, err, "%v outside of %v", outer, inner)
			}
		}
	}
	_, err := chain.Stack(s, chain.Layer{Wrap: pass}, chain.Layer{Rank: chain.Charging}, chain.Layer{Rank: 99, Wrap: pass})
	for _, what := range []string{"layers[0].Rank", "layers[1].Wrap", "layers[2].Rank"} {
		require.ErrorContains(t, err, what)
	}
	_, err = chain.Stack(nil)
	require.ErrorIs(t, err, chain.ErrConfig)
	_, err = chain.Stack(s, chain.Layer{Rank: chain.Charging, Wrap: func(smsx.Service) (smsx.Service, error) { return nil, nil }})
	require.ErrorIs(t, err, chain.ErrConfig)
	bad := errors.New("bad quota")
	_, err = chain.Stack(s, chain.Layer{Rank: chain.Charging, Wrap: func(smsx.Service) (smsx.Service, error) { return nil, bad }})
	require.ErrorIs(t, err, bad)
}

// The decorators refuse to be put around what belongs outside of them, also without
// Stack, and also where only metrics or lines stand between.
func TestDecoratorsRefuseToStandOutsideOfTheirBetters(t *testing.T) {
	stored := rescue(t, memory.New("memory"), chain.RescueConfig{})
	hidden := chain.Log(chain.Observe(stored, "sms", observetest.NewRecorder(t)), "sms", logger.Logger{})
	for name, below := range map[string]smsx.Service{"rescue": stored, "observed rescue": hidden} {
		_, err := chain.NewRetry(below, chain.RetryConfig{})
		require.ErrorIs(t, err, chain.ErrOrder, name)
		_, err = chain.NewRescue(below, async.NewMemory(), chain.RescueConfig{Config: async.Config{Name: "sms"}})
		require.ErrorIs(t, err, chain.ErrOrder, name)
		_, err = chain.NewFailover(failover.Config{Name: "sms"}, []chain.Provider{{Name: "p", Value: below}})
		require.ErrorIs(t, err, chain.ErrOrder, name)
		_, err = chain.New(chain.Config{Name: "sms"}, []chain.Provider{{Name: "p", Value: below}})
		require.ErrorIs(t, err, chain.ErrOrder, name)
	}
	whole, err := chain.New(chain.Config{Name: "sms"}, []chain.Provider{{Name: "p", Value: memory.New("p")}})
	require.NoError(t, err)
	_, err = chain.New(chain.Config{Name: "sms"}, []chain.Provider{{Name: "whole", Value: whole}})
	require.ErrorIs(t, err, chain.ErrOrder)
	nested := group(t, failover.Config{}, []chain.Provider{{Name: "p", Value: memory.New("p")}})
	_, err = chain.NewFailover(failover.Config{Name: "sms"}, []chain.Provider{{Name: "region", Value: nested}})
	require.NoError(t, err)
}

func TestCallersLayersStandInTheirPlaces(t *testing.T) {
	var order []string
	layer := func(name string) func(smsx.Service) (smsx.Service, error) {
		return func(next smsx.Service) (smsx.Service, error) {
			return smsx.ServiceFunc(func(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
				order = append(order, name)
				return next.Send(ctx, m)
			}), nil
		}
	}
	p := newProvider("p", always(down))
	s, err := chain.New(chain.Config{Name: "sms", Retry: chain.RetryConfig{Attempts: 3, Backoff: 1}}, []chain.Provider{{Name: "p", Value: p}},
		chain.WithLayer(chain.Charging, layer("quota")), chain.WithLayer(chain.Authorising, layer("token")),
		chain.WithLayer(chain.Deduplicating, layer("once")), chain.WithLayer(chain.Authorising, layer("template")),
		chain.WithRescue(async.NewMemory()), chain.WithFailover(failover.WithJudge()))
	require.NoError(t, err)
	receipt, err := s.Send(t.Context(), smsxtest.Message(t, 1))
	require.NoError(t, err)
	require.True(t, receipt.Results[0].Deferred)
	require.Equal(t, []string{"token", "template", "once", "quota"}, order, "each once, whatever is tried further in")
	require.Equal(t, 3, p.calls())
}

func TestBadSettingsAreNamedAll(t *testing.T) {
	pass := func(next smsx.Service) (smsx.Service, error) { return next, nil }
	_, err := chain.New(chain.Config{Failover: failover.Config{Name: "x"}, Rescue: chain.RescueConfig{Config: async.Config{Name: "y"}}}, nil,
		chain.WithRescue(nil, async.WithOwner("me")), chain.WithLayer(chain.Rescuing, pass), nil, chain.WithDenied(nil))
	require.ErrorIs(t, err, chain.ErrConfig)
	for _, what := range []string{"Name \"\"", "Failover.Name", "Rescue.Name", "WithRescue", "WithLayer rescuing", "option 2"} {
		require.ErrorContains(t, err, what)
	}
	_, err = chain.New(chain.Config{Name: "sms"}, nil)
	require.ErrorIs(t, err, chain.ErrConfig, "no provider")
	_, err = chain.New(chain.Config{Name: "sms"}, []chain.Provider{{Name: "p"}})
	require.ErrorContains(t, err, "providers[0].Value")
	_, err = chain.New(chain.Config{Name: "sms", Retry: chain.RetryConfig{Attempts: -1, Backoff: -1, Ratio: 2, Burst: -1}}, []chain.Provider{{Name: "p", Value: memory.New("p")}})
	for _, what := range []string{"Attempts -1", "Backoff -1", "Ratio 2", "Burst -1"} {
		require.ErrorContains(t, err, what)
	}
	_, err = chain.New(chain.Config{Name: "sms", Rescue: chain.RescueConfig{MinLeft: -1, Config: async.Config{Class: async.AtLeastOnce, Workers: -1}}},
		[]chain.Provider{{Name: "p", Value: memory.New("p")}}, chain.WithRescue(async.NewMemory()))
	for _, what := range []string{"MinLeft", "Class", "Workers"} {
		require.ErrorContains(t, err, what)
	}
	_, err = chain.New(chain.Config{Name: "sms"}, []chain.Provider{{Name: "p", Value: memory.New("p")}},
		chain.WithBreakers(func(string) (circuitbreaker.Gate, error) { return nil, nil }))
	require.ErrorContains(t, err, `breaker of "p"`)
}
