package circuitbreaker

import (
	"context"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// Ticket stands for one admitted call, and says to the gate how it ended. End it
// exactly once; a second time has no effect but to be counted in
// [Snapshot.Misused]. Do not copy a Ticket and use both, nor one Ticket from two
// goroutines at a time. The zero Ticket belongs to no gate; ending it does nothing.
type Ticket struct {
	shard    *shard        // of a Breaker
	throttle *Throttle     // else
	start    time.Duration // a nanosecond late, so that 0 is for calls that are not timed
	id       uint64
	end      observe.End
	kind     kind
	done     bool
}

// ending is all that is known about the end of a call.
type ending struct {
	outcome    Outcome
	leaveAlone time.Duration // as the other side asked
	err        error
	panicked   bool
}

// Done ends the call.
func (t *Ticket) Done(outcome Outcome) {
	if outcome != Success || !t.gathered() {
		t.finish(ending{outcome: outcome})
	}
}

// gathered ends the call as a success if the shard alone can take that.
func (t *Ticket) gathered() bool {
	if t.start != 0 || t.kind != normal || t.done || t.shard == nil || !t.shard.gather() {
		return false
	}
	t.done = true
	if t.end != nil {
		t.end(observe.Result{})
	}
	return true
}

// Report ends the call with the outcome that the gate's classifier finds in err,
// under the context that the call ran under. It returns that outcome. If err has a
// method RetryAfter() time.Duration, as for an answer with such a header, a breaker
// that opens stays open for at least that long, within [Config.MaxOpenFor].
func (t *Ticket) Report(ctx context.Context, err error) Outcome {
	return t.report(ctx, err, false)
}

func (t *Ticket) report(ctx context.Context, err error, hurried bool) Outcome {
	set := t.settings()
	if set == nil { // of no gate here; an observer wants to hear all the same
		t.finish(ending{outcome: Classify(ctx, err), err: err})
		return Neutral
	}
	if err == nil && set.plain && t.gathered() {
		return Success
	}
	e := ending{outcome: set.outcome(ctx, err, hurried), err: err}
	if e.outcome == Failure {
		e.leaveAlone = retryAfter(err)
	}
	t.finish(e)
	return e.outcome
}

// abandon ends a call that did not return: it panicked or left its goroutine.
func (t *Ticket) abandon() { t.finish(ending{outcome: Failure, panicked: true}) }

// finish tells the observer and the gate.
func (t *Ticket) finish(e ending) {
	if t.done {
		t.misused()
		return
	}
	t.done = true
	if t.end != nil {
		t.end(e.result())
	}
	switch {
	case t.shard != nil && t.kind != bypass:
		t.shard.view.breaker.settle(t, e)
	case t.throttle != nil:
		t.throttle.settle(t, e.outcome)
	}
}

func (t *Ticket) misused() {
	switch {
	case t.shard != nil:
		t.shard.view.breaker.misuse()
	case t.throttle != nil:
		t.throttle.misuse()
	}
}

func (t *Ticket) settings() *settings {
	switch {
	case t.shard != nil:
		return t.shard.view.set
	case t.throttle != nil:
		return t.throttle.settings()
	default:
		return nil
	}
}

// hurried tells whether ctx leaves the call too little time for missing it to mean
// anything.
func (t *Ticket) hurried(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	if !ok {
		return false
	}
	set := t.settings()
	return set != nil && set.MinBudget > 0 && time.Until(deadline) < set.MinBudget
}
