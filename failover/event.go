package failover

import (
	"context"
	"sync"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/internal/dispatch"
	"github.com/bulwark-go/bulwark/observe"
)

// EventKind is what happened. The zero EventKind is Switched.
type EventKind uint8

// The kinds of events.
const (
	// Switched: a sticky group goes on with another provider.
	Switched EventKind = iota
	// Out: a judge took a provider out.
	Out
	// Probing: a provider that was out gets single calls.
	Probing
	// Returning: it gets a share of its calls that grows.
	Returning
	// Back: it gets all of its calls.
	Back
	// ModeSet: an operator set a provider's [Mode]; Reason is the mode.
	ModeSet

	eventKinds
)

var eventKindNames = [eventKinds]string{"switched", "out", "probing", "returning", "back", "mode-set"}

// String returns the kind's name; "invalid" for a value out of range.
func (k EventKind) String() string {
	if k >= eventKinds {
		return "invalid"
	}
	return eventKindNames[k]
}

// Event is one change in who gets calls.
type Event struct {
	// Group is the group's name.
	Group string
	// Kind is what happened.
	Kind EventKind
	// From is the provider that loses calls, To the one that gains some; each may be
	// empty.
	From, To string
	// Generation counts the switches of a sticky group; 0 for other kinds.
	Generation uint64
	// Reason is for people.
	Reason string
}

// events delivers what happened, in order and without a lock.
type events struct {
	mu    sync.Mutex
	queue dispatch.Queue[Event]
}

// push adds an event. The caller holds mu.
func (e *events) push(event Event) { e.queue.Push(event) }

// hold keeps events back while the caller holds other locks.
func (e *events) hold() {
	e.mu.Lock()
	e.queue.Hold()
	e.mu.Unlock()
}

// release ends hold. Flush afterwards.
func (e *events) release() {
	e.mu.Lock()
	e.queue.Release()
	e.mu.Unlock()
}

// flush calls the listeners with all that is queued. Whoever comes first delivers what
// others push meanwhile.
func (c *core) flush() {
	e := &c.events
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue.Deliver(&e.mu, func(event *Event) []func(Event) {
		set := c.settings.Load()
		event.Group = set.Name
		return set.listeners
	})
}

// transition hears of what a judge did to candidate i.
func (c *core) transition(i int, t circuitbreaker.Transition) {
	if t.From == t.To {
		return // of the mode only, which SetMode tells itself
	}
	event := Event{To: c.members[i].name, Reason: t.Reason}
	switch t.To {
	case circuitbreaker.Open:
		event.Kind, event.From, event.To = Out, event.To, ""
	case circuitbreaker.HalfOpen:
		event.Kind = Probing
	case circuitbreaker.Ramping:
		event.Kind = Returning
	default:
		event.Kind = Back
	}
	c.events.mu.Lock()
	c.events.push(event)
	c.events.mu.Unlock()
	c.flush()
}

var eventKind = observe.Kind{
	Component:   "failover",
	Action:      "event",
	Help:        "Changes in which provider of a group gets calls.",
	Form:        observe.Instant,
	StartLabels: []string{"group", "event", "from", "to"},
}

func reportEvent(o observe.Observer) func(Event) {
	o = observe.OrNop(o)
	return func(e Event) {
		observe.Emit(context.Background(), o, observe.Operation{
			Kind:   &eventKind,
			Values: observe.Values{e.Group, e.Kind.String(), e.From, e.To},
		}, observe.Result{})
	}
}
