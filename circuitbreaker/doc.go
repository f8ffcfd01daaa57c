// Package circuitbreaker stops calling what is down, notices when it is back, and
// returns to it step by step.
//
//	breaker, err := circuitbreaker.New(circuitbreaker.Config{Name: "billing"})
//	order, err := circuitbreaker.Do(ctx, breaker, client.Get)
//	if errors.Is(err, circuitbreaker.ErrOpen) { ... }
//
// A [Breaker] is closed while its detectors (package detect) find nothing. On
// their verdict it opens and refuses every call; after a while it is half-open and
// lets a few probes pass; when those succeed it ramps: one call in a hundred, then
// twice as many after each clean step, until it is closed again. A [Throttle] has
// no open state and refuses just as large a share as the other side fails.
//
// Each admitted call has a [Ticket] of the generation it was admitted in. A result
// of an earlier generation has no effect, however late it comes; a probe that
// never answers is given up after [Config.Lease]. Use [Do] where you can call a
// function, Allow and [Ticket.Done] in middleware, and [Marks] where an interface
// knows only allow, success and failure.
//
// The detector decides within one generation and is made anew for the next, so
// nothing heard before an outage counts after it. On a breaker that is called more
// than 100 000 times a second from one goroutine, successes are handed to it two
// dozen at a time and one call in sixteen is timed; failures always count at once,
// and a verdict waits until every success has been counted. Below that pace, each
// call is heard and timed by itself.
//
// What counts as what is up to the classifier, [Classify] unless set otherwise: a
// call that its caller cancelled is no failure of the other side, and neither is
// the refusal of another breaker or a limit further in.
//
// In which order to wrap: [Observe] outside, so that refusals are seen; a retry
// outside the gate must not repeat an [ErrOpen]; a time limit inside it, so that the
// gate hears of time-outs. Keep one breaker for each thing that fails alone, in a
// [Group] where these are many.
//
// Errors: [ErrOpen], which each refusal wraps, as [*OpenError]; constructors return
// errors that name each bad setting. [Group] returns [ErrFull].
//
// Nothing here starts a goroutine, except that a breaker which opens sets a timer
// for the end of that time; and [Breaker.Run], which is optional.
package circuitbreaker
