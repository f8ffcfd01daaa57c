package failover

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/observe"
)

// leg is one attempt.
type leg struct {
	core    *core
	set     *settings
	index   int
	ticket  circuitbreaker.Ticket // the zero one on a last resort
	began   position
	hurried bool // the caller left no time for a missed deadline to mean anything
	lost    bool // another one was faster
	end     observe.End
}

// start notes that the call begins.
func (l *leg) start(ctx context.Context, w *watch) context.Context {
	l.core.health[l.index].inFlight.Add(1)
	if w != nil {
		ctx, l.end = w.attempt(ctx, l.core.members[l.index].name)
	}
	return ctx
}

// settle notes what the call came to, under the context of the caller, and returns it.
func (l *leg) settle(ctx context.Context, err error) Outcome {
	outcome, verdict := Accepted, circuitbreaker.Success
	if err != nil {
		outcome = l.set.outcome(ctx, err)
		verdict = l.verdict(ctx, outcome, err)
	}
	l.judge(ctx, verdict, err)
	l.stick(verdict, err)
	l.finish(observe.Result{Outcome: observed(outcome, verdict, err), Err: err})
	return outcome
}

// outcome asks the classifier, and takes no nonsense from it.
func (s *settings) outcome(ctx context.Context, err error) Outcome {
	if o := s.classify(ctx, err); o == Rejected || o == Final {
		return o
	}
	return Unknown
}

// verdict tells what an error says about the provider's health.
func (l *leg) verdict(ctx context.Context, outcome Outcome, err error) circuitbreaker.Outcome {
	ended := ctx.Err()
	switch {
	case errors.Is(ended, context.Canceled), errors.Is(err, context.Canceled), refused(err),
		l.hurried && ended != nil, l.lost:
		return circuitbreaker.Neutral
	case outcome == Final, l.set.failures != nil && !l.set.failures(err):
		return circuitbreaker.Success
	default:
		return circuitbreaker.Failure
	}
}

// judge tells the provider's judge, and counts failures in a row.
func (l *leg) judge(ctx context.Context, verdict circuitbreaker.Outcome, err error) {
	h := &l.core.health[l.index]
	switch verdict {
	case circuitbreaker.Success:
		if h.streak.Load() != 0 {
			h.streak.Store(0)
		}
		l.ticket.Done(verdict)
	case circuitbreaker.Failure:
		h.streak.Add(1)
		l.ticket.Report(ctx, err) // which finds how long to leave the provider alone
	default:
		l.ticket.Done(verdict)
	}
}

// stick tells a sticky group of a success or a time-out where it stands.
func (l *leg) stick(verdict circuitbreaker.Outcome, err error) {
	if l.set.policy != sticky || l.began.index() != l.index {
		return
	}
	switch {
	case err == nil:
		l.core.stayed(l.began)
	case verdict != circuitbreaker.Neutral && TimedOut(err):
		l.core.timedOut(l.set, l.began)
	}
}

// abandon notes that the call did not return.
func (l *leg) abandon() {
	l.core.health[l.index].streak.Add(1)
	l.ticket.Done(circuitbreaker.Failure)
	l.finish(observe.Result{Outcome: observe.Panicked})
}

func (l *leg) finish(result observe.Result) {
	l.core.health[l.index].inFlight.Add(-1)
	if l.end != nil {
		l.end(result)
	}
}
