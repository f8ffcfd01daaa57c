package saramax

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

var (
	processKind = observe.Kind{
		Component: "saramax", Action: "process", Help: "Calls of handlers, with one record or a batch.",
		Role: observe.Consumer, StartLabels: []string{"group", "topic"}, Amount: "messages",
	}
	eventKind = observe.Kind{
		Component: "saramax", Action: "event", Help: "What a consumer's owner may want to know of.",
		Form: observe.Instant, StartLabels: []string{"group", "topic", "event"},
	}
)

// outcome is what became of a record, as a label.
type outcome uint8

const (
	outcomeOK outcome = iota
	outcomeRetried
	outcomeDead
	outcomeDropped
	outcomeAbandoned

	outcomeCount
)

var outcomeNames = [outcomeCount]string{"ok", "retried", "dead", "dropped", "abandoned"}

// topicStats counts what happened to the records of one topic.
type topicStats struct {
	outcomes     [outcomeCount]atomic.Int64
	rejected     [reasons]atomic.Int64
	parkFailures atomic.Int64
	fenced       atomic.Int64
	panics       atomic.Int64
	abandoned    atomic.Int64
	lost         atomic.Int64
	resets       atomic.Int64
}

// stats returns a topic's counters. Those of the topics that a consumer was made for
// are there from its beginning, at 0.
func (h *GroupHandler) stats(topic string) *topicStats {
	h.countersMu.RLock()
	s := h.counters[topic]
	h.countersMu.RUnlock()
	if s != nil {
		return s
	}
	h.countersMu.Lock()
	defer h.countersMu.Unlock()
	if s = h.counters[topic]; s == nil {
		s = new(topicStats)
		h.counters[topic] = s
	}
	return s
}

func ignoreReport([]*item, []Verdict, error) {}

// observeCall reports the start of a call, and returns the context to make it under
// and what reports its end.
func (h *GroupHandler) observeCall(ctx context.Context, topic string) (context.Context, func([]*item, []Verdict, error)) {
	if observe.IsNop(h.set.observer) {
		return ctx, ignoreReport
	}
	ctx, end := h.set.observer.Start(ctx, observe.Operation{Kind: &processKind, Values: observe.Values{h.name, topic}})
	return ctx, func(items []*item, verdicts []Verdict, failure error) {
		end(resultOf(len(items), verdicts, failure))
	}
}

// resultOf tells how a call ended: as its worst record did.
func resultOf(n int, verdicts []Verdict, failure error) observe.Result {
	r := observe.Result{Amount: int64(n)}
	if failure != nil {
		r.Outcome, r.Err = observe.OutcomeOf(failure), failure
		if exhausted(failure) == ReasonPanic {
			r.Outcome = observe.Panicked
		}
		return r
	}
	skipped := 0
	for _, v := range verdicts {
		switch v.action {
		case ActionSkip:
			skipped++
		case ActionRetry, ActionDeadLetter:
			r.Outcome, r.Err = observe.OutcomeOf(v.cause), v.cause
			return r
		}
	}
	if skipped == n {
		r.Outcome = observe.Skipped
	}
	return r
}

// emit tells of an event, without any lock held.
func (h *GroupHandler) emit(e Event) {
	if e.Kind == EventPanicked {
		h.stats(e.Topic).panics.Add(1)
	}
	if !observe.IsNop(h.set.observer) {
		observe.Emit(context.Background(), h.set.observer, observe.Operation{
			Kind: &eventKind, Values: observe.Values{h.name, e.Topic, e.Kind.String()},
		}, observe.Result{Outcome: observe.OutcomeOf(e.Err), Err: e.Err})
	}
	h.logEvent(e)
	if h.set.onEvent != nil {
		h.set.onEvent(e)
	}
}

// emitLater tells of an event once the lock is no longer held, in emitWaiting.
func (h *GroupHandler) emitLater(e Event) {
	h.waiting.mu.Lock()
	h.waiting.events = append(h.waiting.events, e)
	h.waiting.any.Store(true)
	h.waiting.mu.Unlock()
}

func (h *GroupHandler) emitWaiting() {
	if !h.waiting.any.Load() {
		return
	}
	h.waiting.mu.Lock()
	events := h.waiting.events
	h.waiting.events = nil
	h.waiting.any.Store(false)
	h.waiting.mu.Unlock()
	for _, e := range events {
		h.emit(e)
	}
}

// eventQueue holds events that came up under a lock.
type eventQueue struct {
	any    atomic.Bool
	mu     sync.Mutex
	events []Event
}

// logLimit lets one line a minute pass for each kind of events.
type logLimit struct {
	mu    sync.Mutex
	last  [eventKinds]time.Time
	quiet [eventKinds]int64
}

func (l *logLimit) pass(kind EventKind) (suppressed int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.last[kind].IsZero() || now.Sub(l.last[kind]) >= time.Minute {
		suppressed, l.last[kind], l.quiet[kind] = l.quiet[kind], now, 0
		return suppressed, true
	}
	l.quiet[kind]++
	return 0, false
}

// logEvent writes a line for what a person should see.
func (h *GroupHandler) logEvent(e Event) {
	switch e.Kind {
	case EventClaimed, EventReleased, EventRejected, EventFenced:
		return
	}
	suppressed, ok := h.quiet.pass(e.Kind)
	if !ok {
		return
	}
	log := h.set.log.With(
		logger.String("group", h.name), logger.String("event", e.Kind.String()), logger.String("topic", e.Topic),
		logger.Int64("partition", int64(e.Partition)), logger.Int64("offset", e.Offset),
		logger.Int64("suppressed", suppressed), logger.Err(e.Err))
	if p, isPanic := e.Err.(*PanicError); isPanic { //nolint:errorlint // only a panic of this call brings its stack along
		log.Error("saramax: handler panicked", logger.String("stack", string(p.Stack)))
		return
	}
	log.Warn("saramax: " + e.Kind.String())
}
