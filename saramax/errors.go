package saramax

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrRunning is returned by [Consumer.Run] while another Run of it is under way.
	ErrRunning = errors.New("saramax: consumer is already running")
	// ErrStuck is why [Consumer.Run] ended under the policy [StuckLeave].
	ErrStuck = errors.New("saramax: handler is stuck")
	// errLeft is the cause of a handler that ended its goroutine.
	errLeft = errors.New("saramax: handler called runtime.Goexit")
	// errDraining is the cause with which handlers' contexts end.
	errDraining = errors.New("saramax: drain deadline is over")
	// errVerdicts is a batch handler's mistake.
	errVerdicts = errors.New("saramax: batch handler returned the wrong number of verdicts")
)

// PanicError is the cause of a record whose handler panicked.
type PanicError struct {
	// Value is what it panicked with.
	Value any
	// Stack is the goroutine's stack at that point.
	Stack []byte
}

// Error tells the value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("saramax: handler panicked: %v", e.Value) }

// Unwrap returns the value where it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// DecodeError is the cause of a record that the codec could not read.
type DecodeError struct{ Err error }

// Error tells the codec's error.
func (e *DecodeError) Error() string { return fmt.Sprintf("saramax: undecodable record: %v", e.Err) }

// Unwrap returns the codec's error.
func (e *DecodeError) Unwrap() error { return e.Err }

// Unfinished is a record that a handler had not finished when it was abandoned. It is
// not committed, and will be consumed again.
type Unfinished struct {
	Topic     string
	Partition int32
	Offset    int64
	// For is how long the handler had been at it, to about a second.
	For time.Duration
}

// AbandonedError is returned by [Consumer.Run] when handlers did not return within
// the drain deadline. Their goroutines go on until they do; what they return then
// counts for nothing.
type AbandonedError struct {
	// Records are what the handlers were at.
	Records []Unfinished
}

// Error names the records, at most ten.
func (e *AbandonedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "saramax: %d records abandoned at the drain deadline", len(e.Records))
	for i, r := range e.Records {
		if i == 10 {
			b.WriteString(", ...")
			break
		}
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%s/%d@%d", sep, r.Topic, r.Partition, r.Offset)
	}
	return b.String()
}
