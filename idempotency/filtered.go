package idempotency

import (
	"context"

	"github.com/bulwark-go/bulwark/observe"
)

// FilterOption configures [Filtered].
type FilterOption interface{ apply(*filterSettings) }

type filterOption func(*filterSettings)

func (f filterOption) apply(s *filterSettings) { f(s) }

type filterSettings struct {
	trusted  bool
	observer observe.Observer
}

// WithTrustedMarks lets a mark answer a repeat without the database, if its digest is
// the delivery's, so that only who was told of that very delivery after its commit can
// have said it. It spares nearly all repeats their read. What it costs: a mark that
// outlives its effect makes a first delivery a repeat, and that is a loss. So do not
// trust marks whose Redis the database of another environment shares, and flush them
// when you restore the database from a backup. [Store.DoAnswer] never goes by them.
func WithTrustedMarks() FilterOption {
	return filterOption(func(s *filterSettings) { s.trusted = true })
}

// WithFilterObserver reports uses of the filter that failed to o, as
// "idempotency/filter_failures" labelled by step, look or remember.
func WithFilterObserver(o observe.Observer) FilterOption {
	return filterOption(func(s *filterSettings) { s.observer = o })
}

// Filtered returns a Store that asks filter first. What it has not seen goes to next,
// which inserts; what it may have seen is looked up with [Store.Peek], which spares a
// repeat its transaction, and goes to next if it is not there. The filter learns of
// deliveries after next has committed them, and of repeats. If it fails, next decides
// alone, and the failure is counted.
func Filtered[Tx any](next Store[Tx], filter Filter, opts ...FilterOption) Store[Tx] {
	s := &filtered[Tx]{next: next, filter: filter}
	for _, o := range opts {
		if o != nil {
			o.apply(&s.settings)
		}
	}
	s.settings.observer = observe.OrNop(s.settings.observer)
	if filter == nil {
		return next
	}
	return s
}

type filtered[Tx any] struct {
	next     Store[Tx]
	filter   Filter
	settings filterSettings
}

func (s *filtered[Tx]) Do(ctx context.Context, key Key, payload []byte, effect func(Tx) error) (Decision, error) {
	return s.one(ctx, Delivery{key, payload}, s.settings.trusted, func() (Decision, error) {
		return s.next.Do(ctx, key, payload, effect)
	})
}

// DoAnswer needs the answer, which no mark has.
func (s *filtered[Tx]) DoAnswer(ctx context.Context, key Key, payload []byte, effect func(Tx) ([]byte, error)) (Decision, error) {
	return s.one(ctx, Delivery{key, payload}, false, func() (Decision, error) {
		return s.next.DoAnswer(ctx, key, payload, effect)
	})
}

func (s *filtered[Tx]) Peek(ctx context.Context, batch []Delivery) ([]Decision, error) {
	return s.next.Peek(ctx, batch)
}

func (s *filtered[Tx]) one(ctx context.Context, d Delivery, trusted bool, do func() (Decision, error)) (Decision, error) {
	if err := d.Key.Validate(); err != nil {
		return Decision{}, err
	}
	mark := Mark{d.Key.Fingerprint(), d.Digest()}
	hint := s.look(ctx, []Fingerprint{mark.Key})[0]
	known := hint.Seen && hint.Digest == mark.Digest
	if known && trusted {
		return Decision{Kind: Repeat, Via: hint.Via}, nil
	}
	var decision Decision
	if hint.Seen {
		peeked, err := s.next.Peek(ctx, []Delivery{d})
		if err != nil {
			return Decision{}, err
		}
		decision = peeked[0]
	}
	err := decision.Err(d.Key)
	if decision.Kind != Repeat && decision.Kind != Conflict {
		decision, err = do()
	}
	if err == nil && decision.Done() && !known {
		s.remember(ctx, []Mark{mark})
	}
	return decision, err
}

// DoBatch takes out what a trusted mark answers. The rest is looked up if none of it is
// sure to be new, and else goes to next as it is: that looks up what it must itself.
func (s *filtered[Tx]) DoBatch(ctx context.Context, batch []Delivery, effect func(Tx, []int) error) ([]Decision, error) {
	b := asked{batch: batch, marks: make([]Mark, len(batch)), decisions: make([]Decision, len(batch))}
	keys := make([]Fingerprint, len(batch))
	for i, d := range batch {
		if err := d.Key.Validate(); err != nil {
			return nil, err
		}
		b.marks[i] = Mark{d.Key.Fingerprint(), d.Digest()}
		keys[i] = b.marks[i].Key
	}
	b.hints = s.look(ctx, keys)
	if s.settings.trusted {
		b.answerKnown()
	}
	if b.allSeen() {
		if err := b.settle(ctx, s.next.Peek); err != nil {
			return nil, err
		}
	}
	left, at := b.left()
	if len(left) > 0 {
		decided, err := s.next.DoBatch(ctx, left, func(tx Tx, first []int) error { return effect(tx, pick(at, first)) })
		if err != nil {
			return nil, err
		}
		for i, d := range decided {
			b.decisions[at[i]] = d
		}
	}
	s.remember(ctx, b.toRemember())
	return b.decisions, nil
}

// asked is a batch with what the filter said.
type asked struct {
	batch     []Delivery
	marks     []Mark
	hints     []Hint
	decisions []Decision
}

func (b *asked) known(i int) bool {
	return b.hints[i].Seen && b.hints[i].Digest == b.marks[i].Digest
}

// answerKnown decides what a mark proves.
func (b *asked) answerKnown() {
	for i := range b.batch {
		if b.known(i) {
			b.decisions[i] = Decision{Kind: Repeat, Via: b.hints[i].Via}
		}
	}
}

func (b *asked) allSeen() bool {
	for i, d := range b.decisions {
		if d.Kind == Undecided && !b.hints[i].Seen {
			return false
		}
	}
	return true
}

// settle decides what peek finds to be decided.
func (b *asked) settle(ctx context.Context, peek func(context.Context, []Delivery) ([]Decision, error)) error {
	left, at := b.left()
	if len(left) == 0 {
		return nil
	}
	peeked, err := peek(ctx, left)
	if err != nil {
		return err
	}
	for i, d := range peeked {
		if d.Kind == Repeat || d.Kind == Conflict {
			d.Answer = nil
			b.decisions[at[i]] = d
		}
	}
	return nil
}

// left are the undecided deliveries, and where in the batch they are.
func (b *asked) left() (left []Delivery, at []int) {
	for i, d := range b.decisions {
		if d.Kind == Undecided {
			left, at = append(left, b.batch[i]), append(at, i)
		}
	}
	return left, at
}

// toRemember are the marks of what is committed and not known yet.
func (b *asked) toRemember() []Mark {
	var marks []Mark
	for i, d := range b.decisions {
		if d.Done() && !b.known(i) {
			marks = append(marks, b.marks[i])
		}
	}
	return marks
}

func pick(at, indexes []int) []int {
	picked := make([]int, len(indexes))
	for i, index := range indexes {
		picked[i] = at[index]
	}
	return picked
}

// look returns a hint for each key, zero ones if the filter fails.
func (s *filtered[Tx]) look(ctx context.Context, keys []Fingerprint) []Hint {
	none := make([]Hint, len(keys))
	if len(keys) == 0 {
		return none
	}
	hints, err := s.filter.Look(ctx, keys)
	if err != nil {
		s.failed(ctx, "look", err)
	}
	if err != nil || len(hints) != len(keys) {
		return none
	}
	return hints
}

// remember marks what is committed, whether or not the caller still waits.
func (s *filtered[Tx]) remember(ctx context.Context, done []Mark) {
	if len(done) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if err := s.filter.Remember(ctx, done); err != nil {
		s.failed(ctx, "remember", err)
	}
}

func (s *filtered[Tx]) failed(ctx context.Context, step string, err error) {
	observe.Emit(ctx, s.settings.observer,
		observe.Operation{Kind: &filterFailuresKind, Values: observe.Values{step}},
		observe.Result{Outcome: observe.OutcomeOf(err), Err: err})
}
