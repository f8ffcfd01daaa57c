package saramax

import (
	"time"

	"github.com/IBM/sarama"
)

// Ledger is the budget's ledger, on a clock of the test.
type Ledger struct{ *ledger }

func NewLedger(b Budget, now func() time.Time) Ledger { return Ledger{newLedger(b, now)} }

func (l Ledger) Ask(r Reason) (yes bool)     { yes, _ = l.ask(r); return yes }
func (l Ledger) Undo()                       { l.undo() }
func (l Ledger) Passed() bool                { return l.passed() }
func (l Ledger) Probe() (int, time.Duration) { return l.probe() }
func (l Ledger) Spent() bool                 { return l.isSpent() }
func (l Ledger) Window() (all, aside int)    { return l.window(l.now()) }

// CopyTo is the copy that goes into another topic.
func CopyTo(topic string, msg *sarama.ConsumerMessage, f Failure, now time.Time) *sarama.ProducerMessage {
	return copyTo(topic, msg, f, now)
}

// OwnHeaders are the keys of the headers that a copy gets.
func OwnHeaders() []string { return append([]string(nil), ownHeaders...) }

// CheckRoutes is the check of the names that a consumer's topics lead to.
func CheckRoutes(group string, topics []string, delays ...time.Duration) error {
	_, err := newRoutes(group, topics, delays)
	return err
}
