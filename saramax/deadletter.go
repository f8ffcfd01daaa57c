package saramax

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// WithDeadLetter puts the records that cannot be worked off into the dead-letter topic
// of their topic, see [DeadLetterTopic], through publisher. A record passes only when
// the copy is acknowledged. The copy has the record's key, value and headers byte for
// byte, and tells in headers of its own, such as [HeaderError], what happened.
//
// How much may go there is bounded by [WithDeadLetterBudget]. The topic must exist, and neither
// be compacted nor forget within three days; Run checks that, see
// [FailureTopics].
func WithDeadLetter(publisher Publisher) Option {
	return optionFunc(func(s *settings) {
		if publisher == nil {
			s.errs = append(s.errs, errors.New("WithDeadLetter needs a publisher"))
		}
		asideOf(s).deadLetter = publisher
	})
}

// WithFailurePolicy decides where failed records go; [DefaultFailurePolicy] without it.
func WithFailurePolicy(policy FailurePolicy) Option {
	return optionFunc(func(s *settings) {
		if policy == nil {
			s.errs = append(s.errs, errors.New("WithFailurePolicy needs a policy"))
		}
		asideOf(s).policy = policy
	})
}

// aside is the [Parker] of the options in this file and of retry topics. It is put
// together by options, completed by the topics that the consumer reads, and not
// changed after that.
type aside struct {
	deadLetter Publisher
	retry      Publisher
	delays     []time.Duration
	policy     FailurePolicy
	budget     Budget
	order      RetryOrder
	unchecked  bool

	routes *routes
	ledger *ledger
	// blockades are there while the consumer runs, under BlockKey, by source. Handlers
	// that were abandoned may still ask those of an earlier run.
	blockades atomic.Pointer[map[string]*blockade]
	emit      func(Event)
	now       func() time.Time
}

// asideOf returns the aside of s, and connects a new one to the engine's seams.
func asideOf(s *settings) *aside {
	if a, ok := s.parker.(*aside); ok {
		return a
	}
	if s.parker != nil {
		s.errs = append(s.errs, errTwoParkers)
	}
	a := &aside{policy: DefaultFailurePolicy, now: time.Now}
	s.parker, s.budget, s.bind = a, a, a.bind
	s.starts = append(s.starts, a.check)
	return a
}

var errTwoParkers = errors.New("WithParker and WithDeadLetter each say where records go: take one of them")

// Park implements [Parker].
func (a *aside) Park(ctx context.Context, r Rejected) error {
	f := a.failure(r)
	if r.Reason == ReasonBlocked { // who follows a blocked key has not failed
		return a.move(ctx, r.Message, f)
	}
	yes, turned := a.ledger.ask(r.Reason)
	if turned {
		a.tell(yes, r)
	}
	if !yes {
		return ErrBudgetSpent
	}
	err := a.move(ctx, r.Message, f)
	if err != nil {
		a.ledger.undo()
	}
	return err
}

// move puts a copy of msg where f says, and returns when it is acknowledged.
func (a *aside) move(ctx context.Context, msg *sarama.ConsumerMessage, f Failure) error {
	source := a.routes.station(msg.Topic).source
	if tier := a.next(f); tier > 0 {
		if err := a.block(ctx, msg, f, tier); err != nil {
			return err
		}
		out := copyTo(a.routes.topic(source, tier), msg, f, a.now())
		out.Partition = msg.Partition // for publishers that do not choose one by key
		return publish(ctx, a.retry, out)
	}
	if err := publish(ctx, a.deadLetter, copyTo(a.routes.deadLetter(source), msg, f, a.now())); err != nil {
		return err
	}
	return a.release(ctx, msg)
}

// admit implements [budget].
func (a *aside) admit(string, int32) (int, time.Duration) { return a.ledger.probe() }

// settle implements [budget]. What was rejected has been counted before it was parked.
func (a *aside) settle(topic string, partition int32, end settlement) {
	if end == settledDone && a.ledger.passed() {
		a.emit(Event{Kind: EventBudgetOpened, Topic: topic, Partition: partition, Offset: -1})
	}
}

// tell tells that the budget is spent, or no longer.
func (a *aside) tell(open bool, r Rejected) {
	e := Event{
		Kind: EventBudgetSpent, Topic: r.Message.Topic, Partition: r.Message.Partition, Offset: r.Message.Offset,
		Reason: r.Reason, Err: r.Cause,
	}
	if open {
		e.Kind = EventBudgetOpened
	}
	a.emit(e)
}

// failure is what is known of r, its earlier failures included.
func (a *aside) failure(r Rejected) Failure {
	headers, at := headersOf(r.Message.Headers), a.routes.station(r.Message.Topic)
	now := a.now()
	f := Failure{
		Origin: originOf(placeOf(r.Message), headers), Group: r.Group, Reason: r.Reason, Err: r.Cause,
		Attempt: r.Attempts, Tier: at.tier, First: now, Last: now,
	}
	// What a record in its own topic says of failures is another life's, or another
	// group's.
	if at.tier > 0 {
		if first := headerTime(headers, HeaderFirstFailure); !first.IsZero() {
			f.First = first
		}
	}
	return f
}

func placeOf(msg *sarama.ConsumerMessage) Origin {
	return Origin{Topic: msg.Topic, Partition: msg.Partition, Offset: msg.Offset, Time: msg.Timestamp}
}

// next is the tier to which a failed record goes; 0 for the dead-letter topic.
func (a *aside) next(f Failure) int {
	step := Later()
	if f.Reason != ReasonBlocked { // which is no failure
		step = a.policy(f)
	}
	tier := f.Tier + 1
	if step.bury || tier > a.routes.tiers() {
		return 0
	}
	for a.order != BlockKey && tier < a.routes.tiers() && a.delays[tier-1] < step.after {
		tier++
	}
	return tier
}

// earlier is how many attempts a record had before it came into the topic it lies in.
func (a *aside) earlier(msg *sarama.ConsumerMessage) int {
	if a.routes.station(msg.Topic).tier == 0 {
		return 0
	}
	f, _ := FailureIn(headersOf(msg.Headers))
	return f.Attempt
}

// due is when a record may be handled. It counts from the record's timestamp, which in
// a retry topic is when it was put there: one delay for all records of a topic brings
// them due in their order.
func (a *aside) due(msg *sarama.ConsumerMessage) time.Time {
	delay := a.routes.delay(msg.Topic)
	if delay == 0 {
		return time.Time{}
	}
	return msg.Timestamp.Add(delay)
}

// bind completes a once the consumer is known, and returns the topics that it reads
// beside its own.
func (a *aside) bind(h *GroupHandler, topics []string) ([]string, error) {
	var errs []error
	if a.deadLetter == nil {
		errs = append(errs, errors.New("retry topics, a budget and a failure policy need WithDeadLetter: "+
			"a record that fails for the last time must go somewhere"))
	}
	if h.set.parker != Parker(a) {
		errs = append(errs, errTwoParkers)
	}
	if len(a.delays) > 0 && len(topics) == 0 {
		errs = append(errs, errors.New("WithRetryTopics needs a Consumer, which knows its topics"))
	}
	routes, err := newRoutes(h.name, topics, a.delays)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	a.routes, a.ledger, a.emit = routes, newLedger(a.budget, a.now), h.emit
	if h.set.order == Unordered || len(a.delays) == 0 {
		a.order = BlockNothing
	}
	if a.order == BlockKey {
		h.set.redirect, h.set.claimed = a.redirect, a.claimed
		h.set.starts, h.set.ends = append(h.set.starts, a.open), append(h.set.ends, a.close)
		if h.work != nil {
			h.work = releasing{h.work, a}
		}
	}
	return routes.retryTopics(), nil
}

// check looks at the topics at the start of a run: what is wrong with them shows only
// when a record has failed, and then it is late.
func (a *aside) check(_ context.Context, group string, client sarama.Client) error {
	if a.unchecked {
		return nil
	}
	admin, err := sarama.NewClusterAdminFromClient(client) // which has nothing to close but the client
	if err != nil {
		return fmt.Errorf("saramax: check the topics for failures: %w", err)
	}
	return FailureTopics{Group: group, Topics: a.routes.sources, Delays: a.delays, Order: a.order}.Check(admin)
}
