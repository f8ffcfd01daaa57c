package chain_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/memory"
)

// count returns how often a number was sent to.
func count(services ...*memory.Service) func(smsx.Number) int {
	return func(n smsx.Number) (times int) {
		for _, s := range services {
			for _, m := range s.Sent() {
				if slices.Contains(m.Numbers, n) {
					times++
				}
			}
		}
		return times
	}
}

// verdict is what a provider makes of one number.
type verdict struct {
	outcome smsx.Outcome
	reason  smsx.Reason
}

var (
	accepted = verdict{smsx.Accepted, smsx.ReasonAccepted}
	down     = verdict{smsx.Rejected, smsx.ReasonDown}
	blocked  = verdict{smsx.Rejected, smsx.ReasonNumber}
	template = verdict{smsx.Rejected, smsx.ReasonTemplate}
	unknown  = verdict{smsx.Unknown, smsx.ReasonDown}
)

// judge decides about numbers, one attempt after the other.
type judge func(provider string, n smsx.Number, attempt int) verdict

// provider answers as it is told and remembers what it did.
type provider struct {
	name string
	tell judge
	mu   *sync.Mutex
	did  map[smsx.Number][]verdict
	seen []smsx.Message
	all  *[]attempt // of all providers, in order
}

type attempt struct {
	number smsx.Number
	verdict
}

func newProvider(name string, tell judge) *provider {
	return &provider{name: name, tell: tell, mu: new(sync.Mutex), did: map[smsx.Number][]verdict{}}
}

func (p *provider) Send(_ context.Context, m smsx.Message) (smsx.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, m)
	var r smsx.Receipt
	for _, n := range m.Numbers {
		v := p.tell(p.name, n, len(p.did[n]))
		p.did[n] = append(p.did[n], v)
		if p.all != nil {
			*p.all = append(*p.all, attempt{n, v})
		}
		id := ""
		if v.outcome == smsx.Accepted {
			id = "id"
		}
		r.Results = append(r.Results, smsx.Result{Number: n, Outcome: v.outcome, Provider: p.name, Reason: v.reason, MessageID: id})
	}
	return r, r.Err(nil)
}

func (p *provider) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen)
}

// always gives each attempt the same.
func always(v verdict) judge { return func(string, smsx.Number, int) verdict { return v } }

func group(t testing.TB, cfg failover.Config, providers []chain.Provider, opts ...failover.Option) *chain.Failover {
	cfg.Name = "sms"
	f, err := chain.NewFailover(cfg, providers, opts...)
	require.NoError(t, err)
	return f
}

func limiter(t testing.TB, n int) ratelimit.Limiter {
	l, err := ratelimit.NewTokenBucket(ratelimit.PerHour(int64(n)), ratelimit.WithBurst(int64(n)))
	require.NoError(t, err)
	return l
}

func breaker(t testing.TB, opts ...circuitbreaker.Option) *circuitbreaker.Breaker {
	b, err := circuitbreaker.New(circuitbreaker.Config{Name: "sms"}, opts...)
	require.NoError(t, err)
	return b
}

func rescue(t testing.TB, next smsx.Service, cfg chain.RescueConfig, opts ...async.Option) *chain.Rescue {
	cfg.Name = "sms"
	r, err := chain.NewRescue(next, async.NewMemory(), cfg, opts...)
	require.NoError(t, err)
	return r
}

func outcomes(r smsx.Receipt) []smsx.Outcome {
	var all []smsx.Outcome
	for _, res := range r.Results {
		all = append(all, res.Outcome)
	}
	return all
}
