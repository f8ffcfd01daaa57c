package chain_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/chaos"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

// runFor lets workers run for a while.
func runFor(t *testing.T, r *chain.Rescue, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	require.NoError(t, r.Run(ctx))
}

func depth(t *testing.T, r *chain.Rescue, class smsx.Class, state async.State) int64 {
	stats, err := r.Queue(class).Stats(t.Context())
	require.NoError(t, err)
	return stats.Depth[state]
}

// A message is delivered once: it is not sent and queued as well.
func TestEachMessageIsDeliveredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		behind := memory.New("p")
		p := chaos.New("p", behind)
		r := rescue(t, p, chain.RescueConfig{Config: async.Config{Backoff: time.Second}})
		require.NoError(t, p.Set(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown, Share: 0.5}))
		var sent []smsx.Number
		for i := range 50 {
			m := smsxtest.Message(t, 1)
			m.Numbers = []smsx.Number{smsxtest.Number(t, i)}
			_, err := r.Send(t.Context(), m)
			require.NoError(t, err)
			sent = append(sent, m.Numbers[0])
		}
		require.NoError(t, p.Set(chaos.Fault{}))
		runFor(t, r, 5*time.Minute)
		for _, n := range sent {
			require.Equal(t, 1, count(behind)(n))
		}
		require.Len(t, behind.Sent(), 50)
	})
}

// The request's context ends with its handler; what it had stored lives on.
func TestStoredMessagesOutliveTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		behind := memory.New("p")
		p := chaos.New("p", behind)
		require.NoError(t, p.Script(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown}))
		r := rescue(t, p, chain.RescueConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		receipt, err := r.Send(ctx, smsxtest.Message(t, 1))
		cancel()
		require.NoError(t, err)
		require.True(t, receipt.Results[0].Deferred)
		require.Empty(t, behind.Sent())
		runFor(t, r, 5*time.Minute)
		require.Len(t, behind.Sent(), 1)
	})
}

func TestTheStoredMessageIsTheOneThatCame(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 32))
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	for name, opts := range map[string][]async.Option{"plain": nil, "sealed": {async.WithCodec(chain.Sealed(aead))}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				behind := memory.New("p")
				p := chaos.New("p", behind)
				require.NoError(t, p.Script(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown}))
				r := rescue(t, p, chain.RescueConfig{}, opts...)
				m := smsxtest.Message(t, 1)
				m.Args = append(m.Args, smsx.Arg{Name: "odd;name", Value: `"a;b"\,码`})
				m.NotAfter = time.Now().UTC().Add(time.Hour)
				_, err := r.Send(t.Context(), m)
				require.NoError(t, err)
				rows, err := r.Queue(smsx.AtMostOnce).List(t.Context(), async.Filter{})
				require.NoError(t, err)
				require.Len(t, rows, 1)
				require.NotContains(t, rows[0].Key, "139")
				require.NotContains(t, rows[0].LastError, m.Numbers[0].E164()[3:])
				if name == "sealed" {
					require.NotContains(t, string(rows[0].Payload), m.Args[0].Value)
					require.NotContains(t, string(rows[0].Payload), m.Numbers[0].E164()[3:])
				}
				runFor(t, r, 5*time.Minute)
				require.Equal(t, []smsx.Message{m}, behind.Sent())
			})
		})
	}
	for _, codec := range []async.Codec[smsx.Message]{chain.Plain(), chain.Sealed(aead)} {
		for _, bad := range []string{"", "{", "493817 is no JSON", `{"numbers":["13912345678"]}`, "0123456789ab and more than a nonce"} {
			_, err := codec.Decode([]byte(bad))
			require.Error(t, err)
			require.NotContains(t, err.Error(), "493817")
		}
	}
}

func TestUnknownIsNotStoredToBeSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider("p", until(1, unknown))
		r := rescue(t, p, chain.RescueConfig{})
		m := smsxtest.Message(t, 1)
		_, err := r.Send(t.Context(), m)
		require.ErrorIs(t, err, smsx.ErrUnknown)
		runFor(t, r, 5*time.Minute)
		require.Equal(t, 1, p.calls())

		p = newProvider("p", until(1, unknown))
		r = rescue(t, p, chain.RescueConfig{})
		m.Class = smsx.AtLeastOnce
		receipt, err := r.Send(t.Context(), m)
		require.NoError(t, err)
		require.True(t, receipt.Results[0].Deferred)
		runFor(t, r, 5*time.Minute)
		require.Equal(t, 2, p.calls())
	})
}

// A worker whose send has an unknown outcome parks the message, or sends it again:
// what the message says.
func TestAWorkersUnknownIsWhatTheMessageSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for class, calls := range map[smsx.Class]int{smsx.AtMostOnce: 2, smsx.AtLeastOnce: 3} {
			p := newProvider("p", func(_ string, _ smsx.Number, attempt int) verdict { return []verdict{down, unknown, accepted}[attempt] })
			r := rescue(t, p, chain.RescueConfig{})
			m := smsxtest.Message(t, 1)
			m.Class = class
			_, err := r.Send(t.Context(), m)
			require.NoError(t, err)
			runFor(t, r, 10*time.Minute)
			require.Equal(t, calls, p.calls())
			require.Equal(t, int64(3-calls), depth(t, r, class, async.Unknown))
		}
	})
}

func TestAReconcilerFindsOutWhatBecameOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider("p", always(unknown))
		asked := 0
		r := rescue(t, p, chain.RescueConfig{}, async.WithReconciler(func(_ context.Context, m smsx.Message) (async.Verdict, error) {
			asked++
			return async.Succeeded, nil
		}))
		receipt, err := r.Send(t.Context(), smsxtest.Message(t, 1))
		require.ErrorIs(t, err, smsx.ErrUnknown, "nobody knows yet")
		require.Equal(t, smsx.Unknown, receipt.Results[0].Outcome)
		runFor(t, r, 5*time.Minute)
		require.Equal(t, 1, asked)
		require.Equal(t, 1, p.calls())
		require.Equal(t, int64(1), depth(t, r, smsx.AtMostOnce, async.Delivered))
	})
}

func TestHopelessMessagesAreNotStored(t *testing.T) {
	for _, v := range []verdict{blocked, template, {smsx.Rejected, smsx.ReasonNumberLimit}} {
		r := rescue(t, newProvider("p", always(v)), chain.RescueConfig{})
		for _, n := range []int{1, 3} {
			receipt, err := r.Send(t.Context(), smsxtest.Message(t, n))
			require.ErrorIs(t, err, smsx.ErrRejected)
			require.Equal(t, v.reason, receipt.Results[0].Reason)
			require.Zero(t, depth(t, r, smsx.AtMostOnce, async.Queued))
		}
	}
}

func TestWhatIsLeftOfABatchIsStoredNumberByNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := smsxtest.Message(t, 5)
		verdicts := map[smsx.Number]verdict{m.Numbers[0]: accepted, m.Numbers[1]: down, m.Numbers[2]: unknown, m.Numbers[3]: blocked, m.Numbers[4]: down}
		p := newProvider("p", func(_ string, n smsx.Number, attempt int) verdict {
			if attempt > 0 {
				return accepted
			}
			return verdicts[n]
		})
		r := rescue(t, p, chain.RescueConfig{})
		receipt, err := r.Send(t.Context(), m)
		require.ErrorIs(t, err, smsx.ErrUnknown)
		require.Equal(t, []smsx.Outcome{smsx.Accepted, smsx.Accepted, smsx.Unknown, smsx.Rejected, smsx.Accepted}, outcomes(receipt))
		for i, res := range receipt.Results {
			require.Equal(t, m.Numbers[i], res.Number)
			require.Equal(t, i == 1 || i == 4, res.Deferred)
		}
		require.Equal(t, 1, p.calls())
		runFor(t, r, 5*time.Minute)
		require.Equal(t, 3, p.calls())
		for i, n := range m.Numbers {
			require.Len(t, p.did[n], map[bool]int{true: 2, false: 1}[i == 1 || i == 4])
		}
	})
}

func TestLimitedOrJudgedMessagesAreStored(t *testing.T) {
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			p := newProvider("p", always(accepted))
			b := breaker(t)
			require.NoError(t, b.SetMode(circuitbreaker.ForcedOpen))
			r := rescue(t, p, chain.RescueConfig{}, async.WithJudge(b))
			receipt, err := r.Send(t.Context(), smsxtest.Message(t, n))
			require.NoError(t, err)
			require.Zero(t, p.calls())
			require.True(t, receipt.Results[n-1].Deferred)
			require.NoError(t, b.SetMode(circuitbreaker.ForcedClosed))
			runFor(t, r, 5*time.Minute)
			require.Equal(t, n, p.calls())

			l := limiter(t, 1)
			_, err = l.Take(t.Context(), "sms", 1)
			require.NoError(t, err)
			p = newProvider("p", always(accepted))
			r = rescue(t, p, chain.RescueConfig{}, async.WithLimiter(l))
			_, err = r.Send(t.Context(), smsxtest.Message(t, n))
			require.NoError(t, err)
			require.Zero(t, p.calls())
		})
	}
}

// The judge of the rescue hears of the providers, not of bad numbers in a batch.
func TestABadNumberInABatchMakesNobodyIll(t *testing.T) {
	m := smsxtest.Message(t, 3)
	p := newProvider("p", func(_ string, n smsx.Number, _ int) verdict {
		if n == m.Numbers[1] {
			return blocked
		}
		return accepted
	})
	b := breaker(t, circuitbreaker.WithDetector(detect.Consecutive(1)))
	r := rescue(t, p, chain.RescueConfig{}, async.WithJudge(b))
	for range 5 {
		_, err := r.Send(t.Context(), m)
		require.ErrorIs(t, err, smsx.ErrPartial)
	}
	require.Equal(t, circuitbreaker.Closed, b.Snapshot().State)
}

func TestALateMessageIsNeitherStoredNorSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider("p", always(down))
		r := rescue(t, p, chain.RescueConfig{MinLeft: time.Minute, Config: async.Config{Backoff: time.Millisecond}})
		m := smsxtest.Message(t, 1)
		m.NotAfter = time.Now().Add(30 * time.Second)
		_, err := r.Send(t.Context(), m)
		require.ErrorIs(t, err, smsx.ErrRejected, "sent at once or not at all")
		require.Equal(t, 1, p.calls())

		m.NotAfter = time.Now().Add(10 * time.Minute)
		_, err = r.Send(t.Context(), m)
		require.NoError(t, err)
		time.Sleep(9*time.Minute + time.Second)
		before := p.calls()
		runFor(t, r, 5*time.Minute)
		require.Equal(t, before, p.calls(), "in its last minute it is of no use")
		require.Equal(t, int64(1), depth(t, r, smsx.AtMostOnce, async.Expired))
	})
}

func TestTheSameMessageIsStoredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{1, 3} {
			behind := memory.New("p")
			p := chaos.New("p", behind)
			require.NoError(t, p.Set(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown}))
			r := rescue(t, p, chain.RescueConfig{})
			for range 4 {
				_, err := r.Send(t.Context(), smsxtest.Message(t, n))
				require.NoError(t, err)
			}
			require.Equal(t, int64(n), depth(t, r, smsx.AtMostOnce, async.Queued))
			require.NoError(t, p.Set(chaos.Fault{}))
			runFor(t, r, 5*time.Minute)
			require.Len(t, behind.Sent(), n)
		}
	})
}

// lossy is a store that keeps what it is given and loses its answer.
type lossy struct{ *async.Memory }

func (s lossy) Put(ctx context.Context, all []async.Entry) ([]async.Stored, error) {
	_, _ = s.Memory.Put(ctx, all)
	return nil, errors.New("connection lost")
}

func TestAStoreThatLosesItsAnswerLeavesTheOutcomeUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{1, 2} {
			p := newProvider("p", until(1, down))
			r, err := chain.NewRescue(p, lossy{async.NewMemory()}, chain.RescueConfig{Config: async.Config{Name: "sms"}})
			require.NoError(t, err)
			m := smsxtest.Message(t, n)
			_, err = r.Send(t.Context(), m)
			require.ErrorIs(t, err, smsx.ErrUnknown, "the store may deliver it")
			runFor(t, r, 5*time.Minute)
			require.Len(t, p.did[m.Numbers[0]], 2, "as it does here")
		}
	})
}

func TestAFullStoreRejects(t *testing.T) {
	r := rescue(t, newProvider("p", always(down)), chain.RescueConfig{Config: async.Config{MaxBacklog: 1}})
	m := smsxtest.Message(t, 3)
	receipt, err := r.Send(t.Context(), m)
	require.ErrorIs(t, err, async.ErrFull)
	require.ErrorIs(t, err, smsx.ErrPartial)
	require.Equal(t, []smsx.Outcome{smsx.Accepted, smsx.Rejected, smsx.Rejected}, outcomes(receipt))
}

// failing is a limiter that can't be asked.
type failing struct{}

func (failing) Take(context.Context, string, int64) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, errors.New("limiter down")
}

func TestALimiterThatFailsIsTreatedAsConfigured(t *testing.T) {
	for _, n := range []int{1, 2} {
		for policy, want := range map[async.FailurePolicy]struct {
			calls    int
			rejected bool
		}{async.StoreIt: {0, false}, async.SendIt: {1, false}, async.RefuseIt: {0, true}} {
			t.Run(fmt.Sprint(n, policy), func(t *testing.T) {
				p := newProvider("p", always(accepted))
				r := rescue(t, p, chain.RescueConfig{Config: async.Config{LimiterFailure: policy}}, async.WithLimiter(failing{}))
				receipt, err := r.Send(t.Context(), smsxtest.Message(t, n))
				require.Equal(t, want.calls, p.calls())
				require.Equal(t, want.rejected, errors.Is(err, smsx.ErrRejected))
				require.Equal(t, policy == async.StoreIt, receipt.Results[0].Deferred)
			})
		}
	}
}

func TestModesOverrideEverything(t *testing.T) {
	for _, n := range []int{1, 2} {
		p := newProvider("p", always(accepted))
		r := rescue(t, p, chain.RescueConfig{Config: async.Config{Mode: async.AlwaysLater}})
		receipt, err := r.Send(t.Context(), smsxtest.Message(t, n))
		require.NoError(t, err)
		require.True(t, receipt.Results[0].Deferred)
		require.Zero(t, p.calls())

		p = newProvider("p", always(down))
		r = rescue(t, p, chain.RescueConfig{Config: async.Config{Mode: async.AlwaysNow}})
		_, err = r.Send(t.Context(), smsxtest.Message(t, n))
		require.ErrorIs(t, err, smsx.ErrRejected)
		require.Zero(t, depth(t, r, smsx.AtMostOnce, async.Queued))
	}
}

func TestManyCallersAreStoredAndDeliveredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		behind := memory.New("p")
		p := chaos.New("p", behind)
		require.NoError(t, p.Set(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown, Share: 0.7}))
		r := rescue(t, p, chain.RescueConfig{Config: async.Config{Backoff: time.Second, MaxBackoff: 10 * time.Second, Retries: 100}})
		var wait sync.WaitGroup
		for i := range 40 {
			wait.Go(func() {
				m := smsxtest.Message(t, 1)
				m.ID = fmt.Sprint(i % 20) // each comes twice
				m.Numbers = []smsx.Number{smsxtest.Number(t, i)}
				_, err := r.Send(t.Context(), m)
				require.NoError(t, err)
			})
		}
		wait.Wait()
		require.NoError(t, p.Set(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown, Share: 0.2}))
		var runs sync.WaitGroup
		for range 3 {
			runs.Go(func() { runFor(t, r, 10*time.Minute) })
		}
		runs.Wait()
		for i := range 40 {
			require.Equal(t, 1, count(behind)(smsxtest.Number(t, i)), i)
		}
	})
}
