package failover

import (
	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/observe"
)

// Option configures [NewGroup] and [Group.Update].
type Option interface{ apply(*settings) }

type optionFunc func(*settings)

func (f optionFunc) apply(s *settings) { f(s) }

// WithRoundRobin begins with each provider in turn. It is the policy of a group
// without another.
func WithRoundRobin() Option { return optionFunc(func(s *settings) { s.choose(roundRobin) }) }

// WithStickyTimeouts begins with the same provider until more than n time-outs in a
// row, as [TimedOut] tells them, and then with another: one switch, however many
// calls were under way. A success starts the count over, any other error leaves it,
// and results of calls begun before a switch have no effect on it. There is no judge
// unless [WithJudge] gives one; then, or when its provider is drained, the group also
// switches from a provider that is out.
func WithStickyTimeouts(n int) Option {
	return optionFunc(func(s *settings) { s.choose(sticky); s.timeouts = n })
}

// WithOrder begins with the first candidate that is not out, in the order they were
// given in: the first is the primary. One that was out gets its calls back step by
// step.
func WithOrder() Option { return optionFunc(func(s *settings) { s.choose(ordered) }) }

// WithWeights begins with each provider in proportion to its weight, well mixed.
func WithWeights() Option { return optionFunc(func(s *settings) { s.choose(weighted) }) }

// WithTwoChoices draws two providers and begins with the one that has fewer calls
// under way for its weight.
func WithTwoChoices() Option { return optionFunc(func(s *settings) { s.choose(twoChoices) }) }

// WithJudge sets the detectors of each provider's health; any of them takes it out.
// Without it, a group has detect.ErrorRate(0.5, 20) and detect.Consecutive(5), or
// none with [WithStickyTimeouts]. With no specs, no provider is ever taken out.
func WithJudge(specs ...detect.Spec) Option {
	return optionFunc(func(s *settings) { s.judged, s.specs = true, specs })
}

// WithFailures sets which errors count as failures of the provider for its judge;
// all but those of callers who gave up and [Final] ones without it. Errors of which f
// says false count as successes. See [BrokenConnection] and [TimedOut].
func WithFailures(f func(error) bool) Option {
	return optionFunc(func(s *settings) { s.failures, s.filtered = f, true })
}

// WithClassifier sets how outcomes are found; [Classify] without it.
func WithClassifier(c Classifier) Option { return optionFunc(func(s *settings) { s.classify = c }) }

// WithClock sets the clock of judges and of [Config.LastResortEvery]; without it the
// process's monotonic one is used. Deadlines are those of contexts.
func WithClock(c circuitbreaker.Clock) Option { return optionFunc(func(s *settings) { s.clock = c }) }

// WithRand sets where chance comes from: a function that returns numbers in [0, 1),
// safe for concurrent use; [rand.Float64] without it.
func WithRand(f func() float64) Option { return optionFunc(func(s *settings) { s.rand = f }) }

// WithObserver reports every [Event] to o. Calls are reported by [Observe].
func WithObserver(o observe.Observer) Option {
	return optionFunc(func(s *settings) {
		s.listeners = append(s.listeners[:len(s.listeners):len(s.listeners)], reportEvent(o))
	})
}

// OnEvent calls f with every [Event], in their order and one at a time, without any
// lock held: f may call the group. It runs on the goroutine of some caller or of a
// timer, and so should be quick. A panic in f is contained and counted in
// [Snapshot.ListenerPanics].
func OnEvent(f func(Event)) Option {
	return optionFunc(func(s *settings) { s.listeners = append(s.listeners[:len(s.listeners):len(s.listeners)], f) })
}
