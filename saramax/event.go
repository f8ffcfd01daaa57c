package saramax

import "fmt"

// EventKind is what an [Event] tells of.
type EventKind uint8

// The kinds of events.
const (
	// EventClaimed: a partition came to this instance.
	EventClaimed EventKind = iota
	// EventReleased: a partition was given up, drained and committed.
	EventReleased
	// EventPanicked: a handler panicked; Err is a [*PanicError] with the stack.
	EventPanicked
	// EventRejected: a record was parked.
	EventRejected
	// EventParkFailed: a record could not be parked; its partition is held and the
	// engine tries again.
	EventParkFailed
	// EventStuck: a handler is overdue; see [WithStuck].
	EventStuck
	// EventFenced: a handler ended after its partition was given up. Its result
	// counts for nothing.
	EventFenced
	// EventAbandoned: a handler did not end within the drain deadline.
	EventAbandoned
	// EventGap: a record blocks the commit of more records than [Window.Gap] allows,
	// or for longer than [Window.Age]; the partition pauses until it is worked off.
	EventGap
	// EventLost: retention removed records before they were consumed: Count of them.
	EventLost
	// EventError: the broker, the group or the limiter failed; Err says how.
	EventError
	// EventMapUnread: what was done above the commit could not be read back, so it is
	// consumed again.
	EventMapUnread

	// EventBudgetSpent: so many records were put aside that the consumer keeps the next
	// ones and probes; see [Budget].
	EventBudgetSpent
	// EventBudgetOpened: a probe succeeded, and the consumer goes on.
	EventBudgetOpened

	eventKinds
)

var eventNames = [eventKinds]string{
	"claimed", "released", "panicked", "rejected", "park_failed", "stuck", "fenced",
	"abandoned", "gap", "lost", "error", "map_unread", "budget_spent", "budget_opened",
}

// String returns the kind's label value, "unknown" for a value out of range.
func (k EventKind) String() string {
	if k >= eventKinds {
		return "unknown"
	}
	return eventNames[k]
}

// Event is something that a consumer's owner may want to know of. Which fields are
// set depends on its Kind.
type Event struct {
	Kind EventKind
	// Topic and Partition are where; Topic is empty for the group as a whole.
	Topic     string
	Partition int32
	// Offset is the record's, or the commit's; -1 where there is none.
	Offset int64
	// Reason belongs to EventRejected and EventParkFailed.
	Reason Reason
	// Count is how many records it is about.
	Count int64
	// Err is the cause, if there is one.
	Err error
}

// String returns the event as a line for people.
func (e Event) String() string {
	s := e.Kind.String()
	if e.Topic != "" {
		s = fmt.Sprintf("%s %s/%d at %d", s, e.Topic, e.Partition, e.Offset)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}
