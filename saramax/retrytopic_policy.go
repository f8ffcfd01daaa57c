package saramax

import "time"

// Step is where a record goes that was not worked off where it lay: one of [Later],
// [After] and [Bury]. The zero Step is Later.
//
// Every step leads forward, so a record comes to an end after as many as there are
// retry topics and one.
type Step struct {
	bury  bool
	after time.Duration
}

// Later sends the record to the next retry topic, and to the dead-letter topic when
// there is none left.
func Later() Step { return Step{} }

// After is Later for one that knows how long to wait, from a Retry-After header for
// instance: it skips the retry topics whose delay is shorter than d, but not the last
// one. Under [BlockKey] it is Later, as skipping would overtake.
func After(d time.Duration) Step { return Step{after: d} }

// Bury sends the record to the dead-letter topic.
func Bury() Step { return Step{bury: true} }

// FailurePolicy decides where a record goes that the handler could not work off, with
// all the attempts in place that [WithRetry] grants. It runs on the goroutine that
// handled the record, and must be safe for concurrent use. Whatever it says, no record
// is passed before a copy of it is acknowledged elsewhere.
type FailurePolicy func(Failure) Step

// DefaultFailurePolicy sends on to the next retry topic what another attempt may mend,
// and buries the rest: what is permanent, what does not decode, what makes the handler
// panic or hang.
func DefaultFailurePolicy(f Failure) Step {
	if f.Reason == ReasonAttempts {
		return Later()
	}
	return Bury()
}
