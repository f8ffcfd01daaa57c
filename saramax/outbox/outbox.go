package outbox

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrNoTransaction is the answer of [Add] to a *gorm.DB that is not in a
	// transaction: an event that is stored by itself may tell of what never happens.
	ErrNoTransaction = errors.New("outbox: not in a transaction")
	// ErrTooLarge is the answer of [Add] to an event that Kafka would not take. See
	// [Settings.MaxBytes].
	ErrTooLarge = errors.New("outbox: event is too large")
	// ErrUnavailable is for publishers to wrap: not the message is at fault, but the
	// way to its destination. Such attempts are not counted; the event waits.
	ErrUnavailable = errors.New("outbox: destination is unavailable")
	// ErrRefused is for publishers to wrap: no other attempt at this message will end
	// otherwise. The event is dead at once.
	ErrRefused = errors.New("outbox: message is refused for good")
	// ErrLeaseLost is the cause with which the context of [Publisher] ends when the
	// relay can no longer be sure of its lease.
	ErrLeaseLost = errors.New("outbox: lease lost")
	// ErrRunning is the answer of [Relay.Run] while it runs already.
	ErrRunning = errors.New("outbox: relay runs already")
)

// Message is an event on its way out.
type Message struct {
	// ID is the event's own, made by [Add] and the same each time it is published.
	ID string
	// Topic and Key are where it goes: both were decided by Add, and Key, when not
	// empty, decides the partition.
	Topic, Key string
	// Type names the sort of event.
	Type string
	// Payload is the encoded event. Do not change it.
	Payload []byte
	// Headers are those that Add stored, trace context included. Do not change them.
	Headers map[string]string
	// Attempts is how many attempts before this one failed, or ended with the relay.
	Attempts int
	// Age is how long ago the event was stored, by the database's clock.
	Age time.Duration

	bucket    int
	seq       int64
	aggregate int64
}

// Publisher sends messages. Any number of calls may be under way at once, but never two
// with messages of the same aggregate; unless [Config.Order] says otherwise no call
// holds two of one, either.
type Publisher interface {
	// Publish sends the messages and returns when the outcome of each is known: an
	// error or nil for each message, or nil when all were sent. A nil error means that
	// the message is safe, acknowledged by all in-sync replicas for example, for its
	// row is deleted then. An error that wraps [ErrUnavailable] or [ErrRefused] says
	// more than that the attempt failed. When ctx ends the lease is at risk, and
	// messages that are not on their way should no longer be sent.
	Publish(ctx context.Context, messages []Message) []error
}

// PublisherFunc makes a function a [Publisher].
type PublisherFunc func(ctx context.Context, messages []Message) []error

// Publish implements [Publisher].
func (f PublisherFunc) Publish(ctx context.Context, messages []Message) []error {
	return f(ctx, messages)
}
