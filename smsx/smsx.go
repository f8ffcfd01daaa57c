// Package smsx sends text messages through services that can be stacked, as each
// is one method: see [Service].
//
//	receipt, err := svc.Send(ctx, smsx.Message{
//		Template: "SMS_1", Args: []smsx.Arg{{Name: "code", Value: code}},
//		Numbers: []smsx.Number{number}, ID: id, NotAfter: deadline,
//	})
//
// Vendors are in aliyun and tencent; memory, log and chaos are for tests and desks;
// package chain stacks limits, breakers, failover and storing for later on them.
//
// A vendor's silence is no proof of failure, so every number of a message has one
// of three outcomes: accepted, rejected or unknown. What decides whether a message
// may be sent again is the outcome, never the error's text: see [Outcome].
//
// Phone numbers and arguments hide themselves from fmt, slog and encoding/json;
// only [Number.E164] reveals one.
package smsx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/failover"
)

// Service sends messages. It must be safe for concurrent use.
//
//   - The receipt has one result for each number of the message, in its order,
//     also when there is an error.
//   - The error is nil exactly when all numbers were accepted. Otherwise it is a
//     [*SendError], or wraps one, unless the message itself was bad ([ErrMessage])
//     or too old ([ErrExpired]); of such a message nothing was sent.
//   - It returns soon after ctx ends; what it cannot know by then is [Unknown].
type Service interface {
	// Send sends m to each of its numbers.
	Send(ctx context.Context, m Message) (Receipt, error)
}

// ServiceFunc is a function as a [Service].
type ServiceFunc func(ctx context.Context, m Message) (Receipt, error)

// Send implements [Service].
func (f ServiceFunc) Send(ctx context.Context, m Message) (Receipt, error) { return f(ctx, m) }

// Errors of every [Service].
var (
	// ErrMessage means that the message can't be sent by anyone.
	ErrMessage = errors.New("smsx: invalid message")
	// ErrExpired means that Message.NotAfter had passed before anything was sent.
	ErrExpired = errors.New("smsx: message expired")
	// ErrRejected means that no number received anything.
	ErrRejected = errors.New("smsx: rejected")
	// ErrUnknown means that nobody knows whether some number received the message.
	ErrUnknown = errors.New("smsx: outcome unknown")
	// ErrPartial means that some numbers were accepted and the others rejected.
	ErrPartial = errors.New("smsx: partly rejected")
)

// Class says what is worse: a message that does not arrive, or one that arrives
// twice. The zero Class is AtMostOnce.
type Class uint8

// The classes.
const (
	// AtMostOnce messages are not sent again while an attempt's outcome is unknown.
	AtMostOnce Class = iota
	// AtLeastOnce messages are.
	AtLeastOnce
)

// Arg is one argument of a template. Vendors that know names use Name, vendors
// that count use the order.
type Arg struct {
	// Name and Value are filled in by the vendor.
	Name, Value string
}

// String hides the value, which may be a one-time code.
func (a Arg) String() string { return a.Name + "=***" }

// Format hides the same whatever the verb.
func (a Arg) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(a.String())) }

// MarshalText hides the same from encoders.
func (a Arg) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Message is one text for one or more numbers.
type Message struct {
	// Template names the text; required.
	Template string
	// Args fill the template, in its order.
	Args []Arg
	// Numbers are the receivers, at least one and none twice.
	Numbers []Number
	// ID identifies the message in receipts and quotas: the same in every attempt.
	// Vendors get it as their reference; empty sends none.
	ID string
	// NotAfter is when the message loses its use; zero is never.
	NotAfter time.Time
	// Class tells whether an unknown outcome may be tried again.
	Class Class
}

// String hides numbers and arguments.
func (m Message) String() string {
	return fmt.Sprintf("smsx.Message(%s, %d args, %v)", m.Template, len(m.Args), m.Numbers)
}

// Format hides the same whatever the verb.
func (m Message) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(m.String())) }

// Check tells why the message can't be sent at now: an error that is [ErrMessage]
// or [ErrExpired], and Final for package failover. Every service of this module asks
// it first.
func (m Message) Check(now time.Time) error {
	var errs []error
	if m.Template == "" {
		errs = append(errs, fmt.Errorf("%w: Template is empty", ErrMessage))
	}
	if len(m.Numbers) == 0 {
		errs = append(errs, fmt.Errorf("%w: Numbers is empty", ErrMessage))
	}
	if m.Class > AtLeastOnce {
		errs = append(errs, fmt.Errorf("%w: Class is %d", ErrMessage, m.Class))
	}
	seen := make(map[Number]bool, len(m.Numbers))
	for i, n := range m.Numbers {
		if n == (Number{}) || seen[n] {
			errs = append(errs, fmt.Errorf("%w: Numbers[%d] is empty or repeated (%v)", ErrMessage, i, n))
		}
		seen[n] = true
	}
	if !m.NotAfter.IsZero() && !now.Before(m.NotAfter) {
		errs = append(errs, ErrExpired)
	}
	return failover.Mark(errors.Join(errs...), failover.Final)
}
