package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// batch is what is claimed, published and settled together. Its goroutine has it until
// it is done.
type batch struct {
	number    int64
	messages  []Message
	outcomes  []outcome
	buckets   []int
	attempted bool  // the publisher was called
	missing   int64 // published rows that were not there any more
	err       error // of claim or settlement
	panicked  any
}

// work claims, publishes and settles a batch. Settling survives a panic of the
// publisher and runtime.Goexit.
func (t *term) work(b *batch) {
	defer func() { t.done <- b }()
	refs := make([]rowRef, len(b.messages))
	for i, m := range b.messages {
		refs[i] = rowRef{m.bucket, m.seq}
	}
	use, cancel := t.r.use(t.publish)
	b.err = t.r.store.announce(use, t.id, b.number, refs)
	cancel()
	if b.err != nil {
		return
	}
	t.r.set.hook("claimed")
	defer t.settle(b)
	defer func() { b.panicked = recover() }()
	t.send(b)
}

// errNoAnswer is the error of messages whose publisher did not return.
var errNoAnswer = errors.New("the publisher ended without an answer")

// send publishes a batch round by round: a round has one message of each aggregate, and
// an aggregate that fails has no other round.
func (t *term) send(b *batch) {
	cfg, began := &t.r.cfg, time.Now()
	stopped := make(map[int64]bool)
	t.condemn(b, stopped)
	for !t.stopping() && time.Since(began) < cfg.BatchTime {
		var round []int
		seen := make(map[int64]bool)
		for i, m := range b.messages {
			if b.outcomes[i].verdict != untried || stopped[m.aggregate] || cfg.Order == OneByOne && seen[m.aggregate] {
				continue
			}
			seen[m.aggregate] = true
			round = append(round, i)
		}
		if len(round) == 0 {
			return
		}
		t.round(b, round)
		for _, i := range round {
			if b.outcomes[i].verdict != sent && !(b.outcomes[i].verdict == dead && cfg.OnDead == FollowersFlow) {
				stopped[b.messages[i].aggregate] = true
			}
		}
	}
}

// stopping tells a batch to send nothing more. What it has not sent stays.
func (t *term) stopping() bool { return t.running.Err() != nil || t.publish.Err() != nil }

// condemn marks rows that had all their attempts, the last of which their relay did not
// survive.
func (t *term) condemn(b *batch, stopped map[int64]bool) {
	for i, m := range b.messages {
		if m.Attempts >= t.r.cfg.MaxAttempts && !stopped[m.aggregate] {
			b.outcomes[i] = outcome{verdict: dead, reason: ReasonAttempts}
			stopped[m.aggregate] = t.r.cfg.OnDead == FollowersWait
		}
	}
}

// round publishes one round.
func (t *term) round(b *batch, indexes []int) {
	messages := make([]Message, len(indexes))
	for i, at := range indexes {
		messages[i] = b.messages[at]
		b.outcomes[at] = t.judge(messages[i], errNoAnswer) // unless there is one
	}
	b.attempted = true
	errs := t.publishAll(messages)
	for i, at := range indexes {
		b.outcomes[at] = t.judge(messages[i], errs[i])
	}
	t.r.set.hook("published")
}

// publishAll calls the publisher, reports it, and returns an error or nil for each message.
func (t *term) publishAll(messages []Message) []error {
	ctx, end := t.r.set.observer.Start(t.publish, observe.Operation{Kind: &publishKind, Values: observe.Values{t.r.cfg.Name}})
	result := observe.Result{Outcome: observe.Panicked, Amount: int64(len(messages))}
	defer func() { end(result) }()
	errs := t.r.publisher.Publish(ctx, messages)
	if errs == nil {
		errs = make([]error, len(messages))
	}
	if len(errs) != len(messages) {
		wrong := fmt.Errorf("the publisher answered for %d of %d messages", len(errs), len(messages))
		errs = make([]error, len(messages))
		for i := range errs {
			errs[i] = wrong
		}
	}
	err := errors.Join(errs...)
	result.Outcome, result.Err = observe.OutcomeOf(err), err
	return errs
}

// judge says what an answer means.
func (t *term) judge(m Message, err error) outcome {
	switch {
	case err == nil:
		return outcome{verdict: sent}
	case errors.Is(err, ErrRefused):
		return outcome{dead, err, ReasonRefused}
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrLeaseLost), errors.Is(err, context.Canceled) && t.publish.Err() != nil:
		return outcome{verdict: unavailable, err: err}
	case m.Attempts+1 >= t.r.cfg.MaxAttempts:
		return outcome{dead, err, ReasonAttempts}
	}
	return outcome{verdict: failed, err: err}
}

// settle writes down what became of a batch. It goes on trying while the lease lasts:
// what was published and is not deleted would be published again.
func (t *term) settle(b *batch) {
	ctx := context.WithoutCancel(t.publish)
	for failures := 1; ; failures++ {
		use, cancel := t.r.use(ctx)
		b.missing, b.err = t.r.store.settle(use, t.id, b.number, b.messages, b.outcomes)
		cancel()
		if b.err == nil || errors.Is(b.err, ErrLeaseLost) || t.publish.Err() != nil {
			break
		}
		t.r.failed("settle", b.err)
		wait(t.publish, backoff(10*time.Millisecond, time.Second, failures), nil)
	}
	if b.err == nil {
		t.r.set.hook("settled")
		t.report(b)
	}
}
