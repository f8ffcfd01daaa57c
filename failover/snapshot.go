package failover

import (
	"iter"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/observe"
)

// Snapshot is a group's state at one moment, for dashboards and tests.
type Snapshot struct {
	// Name is the group's.
	Name string
	// Policy is the policy's name: "round-robin", "sticky-timeouts", "ordered",
	// "weighted" or "two-choices".
	Policy string
	// Current is the candidate that a sticky group stands at; empty for others.
	Current string
	// Generation is how often a sticky group has switched.
	Generation uint64
	// Timeouts is how many time-outs in a row it has had there.
	Timeouts int
	// Retries is how many further attempts the budget would pay for now.
	Retries float64
	// Candidates are in the order that they were given in.
	Candidates []CandidateSnapshot
	// ListenerPanics is how many panics of listeners were contained.
	ListenerPanics uint64
	// LatePanics is how many calls of [Hedge] panicked when there was an answer
	// already, so that nobody was left to raise the panic to.
	LatePanics uint64
}

// CandidateSnapshot is what is known about one provider.
type CandidateSnapshot struct {
	// Name and Domain are the candidate's.
	Name, Domain string
	// Mode is what an operator made of it.
	Mode Mode
	// State is its judge's: it is out while that is Open.
	State circuitbreaker.State
	// Share is the share of its calls that the judge lets it have.
	Share float64
	// InFlight is how many calls are under way.
	InFlight int
	// Failures is how many calls in a row have failed.
	Failures int
	// Reason is why it was taken out last, in words.
	Reason string
}

// Snapshot returns the group's state now.
func (g *Group[P]) Snapshot() Snapshot { return g.core.snapshot() }

func (c *core) snapshot() Snapshot {
	set := c.settings.Load()
	s := Snapshot{
		Name: set.Name, Policy: set.policy.String(), LatePanics: c.latePanics.Load(),
		Retries:    float64(c.budget.tokens.Load()) / token,
		Candidates: make([]CandidateSnapshot, len(c.members)),
	}
	if set.policy == sticky {
		at := position(c.sticky.Load())
		s.Current, s.Generation, s.Timeouts = c.members[at.index()].name, uint64(at.generation()), at.count()
	}
	c.events.mu.Lock()
	s.ListenerPanics = c.events.queue.Panicked()
	c.events.mu.Unlock()
	for i, m := range c.members {
		h := &c.health[i]
		judge := h.breaker.Snapshot()
		s.Candidates[i] = CandidateSnapshot{
			Name: m.name, Domain: m.domain, Mode: c.modeOf(i), State: judge.State, Share: judge.Share,
			InFlight: int(h.inFlight.Load()), Failures: int(h.streak.Load()), Reason: judge.Reason,
		}
	}
	return s
}

var (
	stateGauge = observe.Gauge{
		Component: "failover", Name: "candidate_state",
		Help:   "What the judge made of a provider: 0 well, 1 out, 2 probed, 3 returning.",
		Labels: []string{"group", "candidate"},
	}
	modeGauge = observe.Gauge{
		Component: "failover", Name: "candidate_mode",
		Help:   "What an operator made of a provider: 0 automatic, 1 drained, 2 forced.",
		Labels: []string{"group", "candidate"},
	}
	retriesGauge = observe.Gauge{
		Component: "failover", Name: "retry_tokens",
		Help:   "Further attempts that the retry budget would pay for.",
		Labels: []string{"group"},
	}
)

// Readings implements [observe.Source].
func (g *Group[P]) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		s := g.Snapshot()
		if !yield(observe.Reading{Gauge: &retriesGauge, Values: observe.Values{s.Name}, Value: s.Retries}) {
			return
		}
		for _, c := range s.Candidates {
			values := observe.Values{s.Name, c.Name}
			if !yield(observe.Reading{Gauge: &stateGauge, Values: values, Value: float64(c.State)}) ||
				!yield(observe.Reading{Gauge: &modeGauge, Values: values, Value: float64(c.Mode)}) {
				return
			}
		}
	}
}
