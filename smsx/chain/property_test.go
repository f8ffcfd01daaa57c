package chain_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

// verdicts are all that a provider can make of a number.
var verdicts = []verdict{
	accepted, down, blocked, template, unknown,
	{smsx.Rejected, smsx.ReasonNumberLimit}, {smsx.Rejected, smsx.ReasonAccountLimit}, {smsx.Rejected, smsx.ReasonBalance},
	{smsx.Rejected, smsx.ReasonAuth}, {smsx.Rejected, smsx.ReasonUnknown}, {smsx.Unknown, smsx.ReasonUnknown},
}

// history is what the providers did with each number, in order: the truth that
// receipts are held against.
type history map[smsx.Number][]smsx.Outcome

func truth(attempts []attempt) history {
	h := history{}
	for _, a := range attempts {
		h[a.number] = append(h[a.number], a.outcome)
	}
	return h
}

// checkContract holds the contract of a service against an answer.
func checkContract(t require.TestingT, m smsx.Message, receipt smsx.Receipt, err error) {
	require.Len(t, receipt.Results, len(m.Numbers))
	all := true
	for i, r := range receipt.Results {
		require.Equal(t, m.Numbers[i], r.Number)
		all = all && r.Outcome == smsx.Accepted
	}
	require.Equal(t, all, err == nil, "nil exactly when all were accepted: %v", err)
	var failed *smsx.SendError
	if err != nil {
		require.ErrorAs(t, err, &failed)
		require.Equal(t, receipt, failed.Receipt)
	}
}

// checkTruth holds a receipt against what was done: the model of the whole stack.
func checkTruth(t require.TestingT, m smsx.Message, receipt smsx.Receipt, h history) {
	for _, r := range receipt.Results {
		did := h[r.Number]
		sent := 0
		for i, o := range did {
			if o == smsx.Accepted {
				sent++
				require.Equal(t, len(did)-1, i, "nothing after it was accepted")
			}
			if o == smsx.Unknown && m.Class == smsx.AtMostOnce {
				require.Equal(t, len(did)-1, i, "nothing after it is unknown")
			}
		}
		switch {
		case r.Deferred:
			require.Zero(t, sent, "stored though it was sent")
		case len(did) == 0:
			require.Equal(t, smsx.Rejected, r.Outcome)
		default:
			require.Equal(t, did[len(did)-1], r.Outcome)
		}
	}
}

// stacks are what the properties must hold for.
var stacks = map[string]func(*rapid.T, []chain.Provider) (smsx.Service, *chain.Rescue){
	"failover": func(t *rapid.T, providers []chain.Provider) (smsx.Service, *chain.Rescue) {
		policy := rapid.SampledFrom([]failover.Option{failover.WithRoundRobin(), failover.WithStickyTimeouts(1), failover.WithOrder(), failover.WithTwoChoices()}).Draw(t, "policy")
		f, err := chain.NewFailover(failover.Config{Name: "sms", RetryRatio: 10, RetryBurst: 100}, providers, policy, failover.WithJudge())
		require.NoError(t, err)
		return f, nil
	},
	"retry": func(t *rapid.T, providers []chain.Provider) (smsx.Service, *chain.Rescue) {
		r, err := chain.NewRetry(providers[0].Value, chain.RetryConfig{Attempts: rapid.IntRange(1, 5).Draw(t, "attempts"), Ratio: 1, Burst: 100})
		require.NoError(t, err)
		return r, nil
	},
	"everything": func(t *rapid.T, providers []chain.Provider) (smsx.Service, *chain.Rescue) {
		cfg := chain.Config{Name: "sms", Failover: failover.Config{RetryRatio: 10, RetryBurst: 100}}
		if rapid.Bool().Draw(t, "retry") {
			cfg.Retry = chain.RetryConfig{Attempts: 3, Ratio: 1}
		}
		cfg.Rescue.Workers = 1 // so that a history can be drawn again
		cfg.Rescue.Backoff, cfg.Rescue.Retries = time.Second, rapid.IntRange(1, 4).Draw(t, "retries")
		s, err := chain.New(cfg, providers, chain.WithRescue(async.NewMemory()), chain.WithFailover(failover.WithJudge()))
		require.NoError(t, err)
		return s, s.Rescue()
	},
}

func TestNoHistoryDoublesOrLosesAMessage(t *testing.T) {
	for name, build := range stacks {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				synctest.Test(t, func(t *testing.T) { oneHistory(rt, build) })
			})
		})
	}
}

func oneHistory(t *rapid.T, build func(*rapid.T, []chain.Provider) (smsx.Service, *chain.Rescue)) {
	var attempts []attempt
	var lock sync.Mutex
	draws := 0
	tell := func(string, smsx.Number, int) verdict {
		draws++
		return rapid.SampledFrom(verdicts).Draw(t, fmt.Sprint("verdict ", draws))
	}
	var providers []chain.Provider
	for i := range rapid.IntRange(1, 3).Draw(t, "providers") {
		p := newProvider(fmt.Sprint("p", i), tell)
		p.all, p.mu = &attempts, &lock
		providers = append(providers, chain.Provider{Name: p.name, Value: p})
	}
	s, stored := build(t, providers)
	m := smsx.Message{Template: "SMS_1", ID: "id", Class: rapid.SampledFrom([]smsx.Class{smsx.AtMostOnce, smsx.AtLeastOnce}).Draw(t, "class")}
	for i := range rapid.IntRange(1, 4).Draw(t, "numbers") {
		m.Numbers = append(m.Numbers, numbers[i])
	}
	receipt, err := s.Send(context.Background(), m)
	checkContract(t, m, receipt, err)
	checkTruth(t, m, receipt, truth(attempts))
	if stored == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	require.NoError(t, stored.Run(ctx))
	h := truth(attempts)
	queue := stored.Queue(m.Class)
	for _, r := range receipt.Results {
		if !r.Deferred {
			continue
		}
		rows, err := queue.List(context.Background(), async.Filter{Keys: []string{r.MessageID}})
		require.NoError(t, err)
		require.Len(t, rows, 1, "not lost")
		last := h[r.Number][len(h[r.Number])-1]
		want := map[async.State]smsx.Outcome{async.Delivered: smsx.Accepted, async.Unknown: smsx.Unknown}
		if o, ok := want[rows[0].State]; ok {
			require.Equal(t, o, last)
		} else {
			require.NotEqual(t, smsx.Accepted, last, "delivered, and the store does not know: %v", rows[0].State)
		}
	}
	// What the workers did is held to the same: nothing after accepted or unknown.
	final := smsx.Receipt{}
	for _, n := range m.Numbers {
		res := smsx.Result{Number: n, Outcome: smsx.Rejected}
		if did := h[n]; len(did) > 0 {
			res.Outcome = did[len(did)-1]
		}
		final.Results = append(final.Results, res)
	}
	checkTruth(t, m, final, h)
}

var numbers = func() []smsx.Number {
	var all []smsx.Number
	for i := range 10 {
		n, err := smsx.ParseNumber(fmt.Sprintf("+861390000000%d", i))
		if err != nil {
			panic(err)
		}
		all = append(all, n)
	}
	return all
}()

func FuzzStoredMessagesComeBackAsTheyWent(f *testing.F) {
	f.Add("SMS_1", "code", "493817", "id", true)
	f.Add("", ";", `"\`, "\xff", false)
	f.Fuzz(func(t *testing.T, template, name, value, id string, again bool) {
		m := smsx.Message{Template: template, Args: []smsx.Arg{{Name: name, Value: value}}, Numbers: []smsx.Number{smsxtest.Number(t, 1)}, ID: id}
		if again {
			m.Class = smsx.AtLeastOnce
		}
		b, err := chain.Plain().Encode(m)
		require.NoError(t, err)
		got, err := chain.Plain().Decode(b)
		require.NoError(t, err)
		valid := func(s string) string { return string([]rune(s)) } // JSON has no other text
		m.Template, m.ID, m.Args[0] = valid(template), valid(id), smsx.Arg{Name: valid(name), Value: valid(value)}
		require.Equal(t, m, got)
	})
}
