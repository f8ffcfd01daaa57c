package idempotency

import (
	"context"

	"github.com/bulwark-go/bulwark/observe"
)

var (
	decisionsKind = observe.Kind{
		Component: "idempotency", Action: "decisions", Help: "Deliveries by whether they were first.",
		Form: observe.Instant, StartLabels: []string{"scope"}, EndLabels: []string{"decision", "via"},
	}
	filterFailuresKind = observe.Kind{
		Component: "idempotency", Action: "filter_failures", Help: "Uses of a pre-check that failed; the database decided without it.",
		Form: observe.Instant, StartLabels: []string{"step"},
	}
)

// Observe returns a Store that reports each decision of next to o, as
// "idempotency/decisions", labelled by scope, decision (first, repeat, in_progress,
// conflict, or undecided beside an error) and via (filter, redis, database). A repeat
// is Skipped, a conflict Failed, a lease Rejected. With an observer that is nil or
// [observe.Nop] it returns next itself.
func Observe[Tx any](next Store[Tx], o observe.Observer) Store[Tx] {
	if observe.IsNop(o) {
		return next
	}
	return &observed[Tx]{next: next, observer: o}
}

type observed[Tx any] struct {
	next     Store[Tx]
	observer observe.Observer
}

func (s *observed[Tx]) Do(ctx context.Context, key Key, payload []byte, effect func(Tx) error) (d Decision, err error) {
	ended := false
	defer func() { s.report(ctx, key, d, err, ended) }()
	d, err = s.next.Do(ctx, key, payload, effect)
	ended = true
	return d, err
}

func (s *observed[Tx]) DoAnswer(ctx context.Context, key Key, payload []byte, effect func(Tx) ([]byte, error)) (d Decision, err error) {
	ended := false
	defer func() { s.report(ctx, key, d, err, ended) }()
	d, err = s.next.DoAnswer(ctx, key, payload, effect)
	ended = true
	return d, err
}

func (s *observed[Tx]) DoBatch(ctx context.Context, batch []Delivery, effect func(Tx, []int) error) (ds []Decision, err error) {
	ended := false
	defer func() {
		for i := range batch {
			var d Decision
			if err == nil && ended {
				d = ds[i]
			}
			s.report(ctx, batch[i].Key, d, err, ended)
		}
	}()
	ds, err = s.next.DoBatch(ctx, batch, effect)
	ended = true
	return ds, err
}

// Peek decides nothing, so it is not reported.
func (s *observed[Tx]) Peek(ctx context.Context, batch []Delivery) ([]Decision, error) {
	return s.next.Peek(ctx, batch)
}

// report tells of one decision; ended is false when the effect panicked.
func (s *observed[Tx]) report(ctx context.Context, key Key, d Decision, err error, ended bool) {
	r := observe.Result{Outcome: observe.Panicked, Err: err, Values: observe.Values{d.Kind.String(), d.Via.String()}}
	if ended {
		r.Outcome = outcome(d, err)
	}
	observe.Emit(ctx, s.observer, observe.Operation{Kind: &decisionsKind, Values: observe.Values{string(key.Scope)}}, r)
}

func outcome(d Decision, err error) observe.Outcome {
	switch d.Kind {
	case First:
		return observe.OK
	case Repeat:
		return observe.Skipped
	case InProgress:
		return observe.Rejected
	case Conflict:
		return observe.Failed
	default:
		return observe.OutcomeOf(err)
	}
}
