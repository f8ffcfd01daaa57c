package failover

import (
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
)

// Config holds a group's plain settings. Only Name is required; a zero field means
// its default.
type Config struct {
	// Name tells groups apart, in errors and as a metric's label.
	Name string
	// MaxAttempts is how many providers one call may try; all of them by default.
	MaxAttempts int
	// AttemptTimeout bounds each attempt; 0, the default, leaves that to the caller's
	// deadline.
	AttemptTimeout time.Duration
	// AttemptShare is the share of the time that is left until the caller's deadline
	// that one attempt gets while another may follow, over 0 up to 1; 0.6 by default.
	// [Do] leaves an attempt all of the time: after a time-out it could not go on.
	AttemptShare float64
	// RetryRatio is how many attempts beyond the first one a hundred calls may make on
	// average, divided by a hundred; 0.1 by default, at most 10. Negative allows none
	// at all. Providers that are passed over cost nothing.
	RetryRatio float64
	// RetryBurst is how many further attempts may be saved up; 10 by default. In n
	// calls there are never more than RetryBurst + n × RetryRatio.
	RetryBurst int
	// HedgeAfter is how long [Hedge] waits before it asks another provider as well;
	// 100 ms by default. The 95th percentile of your latencies is a good value: then
	// one call in twenty asks twice.
	HedgeAfter time.Duration
	// LastResortEvery is how often a call goes to the least bad provider while all are
	// judged ill; 1 s by default.
	LastResortEvery time.Duration
	// MinBudget is the least time that the caller's context must have left at the
	// start of an attempt for a missed deadline to count against a provider; 20 ms by
	// default. Negative counts every missed deadline.
	MinBudget time.Duration
	// Health is how a provider that was taken out is left alone, probed and given its
	// share back. Its Name must be empty. The defaults are those of package
	// circuitbreaker, except that the first time is a minute, and that one probe at a
	// time is made, of which one failure is enough: there are other providers, so that
	// nothing is gained by insisting. While the share grows it takes five failures, as
	// a single one is chance.
	Health circuitbreaker.Config
}

// withDefaults returns c, for so many candidates, with its zero fields filled in.
func (c Config) withDefaults(candidates int) Config {
	fill(&c.MaxAttempts, max(candidates, 1))
	fill(&c.AttemptShare, 0.6)
	fill(&c.RetryRatio, 0.1)
	fill(&c.RetryBurst, 10)
	fill(&c.HedgeAfter, 100*time.Millisecond)
	fill(&c.LastResortEvery, time.Second)
	fill(&c.MinBudget, 20*time.Millisecond)
	fill(&c.Health.OpenFor, time.Minute)
	fill(&c.Health.Probes, 1)
	fill(&c.Health.RampFailures, 5)
	return c
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// longest bounds durations, so that sums of them never overflow.
const longest = 365 * 24 * time.Hour

// check returns the violations of a config whose defaults are filled in. Those of
// Health are for the breakers to tell.
func (c Config) check() error {
	var v violations
	v.require(c.Name != "", "Name", fmt.Sprintf("%q", c.Name), "given")
	v.require(c.MaxAttempts >= 1, "MaxAttempts", c.MaxAttempts, "at least 1")
	v.require(c.AttemptTimeout >= 0 && c.AttemptTimeout <= longest, "AttemptTimeout", c.AttemptTimeout, "between 0s and a year")
	v.require(c.AttemptShare > 0 && c.AttemptShare <= 1, "AttemptShare", c.AttemptShare, "above 0 and at most 1")
	v.require(c.RetryRatio <= 10, "RetryRatio", c.RetryRatio, "at most 10") // and no NaN
	v.require(c.RetryBurst >= 1 && c.RetryBurst <= 1e6, "RetryBurst", c.RetryBurst, "between 1 and 1000000")
	v.require(c.HedgeAfter > 0 && c.HedgeAfter <= longest, "HedgeAfter", c.HedgeAfter, "above 0s and at most a year")
	v.require(c.LastResortEvery > 0 && c.LastResortEvery <= longest, "LastResortEvery", c.LastResortEvery, "above 0s and at most a year")
	v.require(c.MinBudget <= longest, "MinBudget", c.MinBudget, "at most a year")
	v.require(c.Health.Name == "", "Health.Name", fmt.Sprintf("%q", c.Health.Name), "empty: the candidates' names are used")
	return errors.Join(v...)
}
