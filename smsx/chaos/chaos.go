// Package chaos makes a service fail by script, for tests and demos: what goes wrong
// can be changed while it runs.
//
//	svc := chaos.New("aliyun", memory.New("aliyun"))
//	svc.Script(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown}) // the next message only
//	svc.Set(chaos.Fault{Kind: chaos.Lost, Share: 0.1})                    // and a tenth from then on
package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/smsx"
)

// Kind is what goes wrong. The zero Kind is Healthy.
type Kind uint8

// The kinds.
const (
	// Healthy messages pass.
	Healthy Kind = iota
	// Slow messages are sent after Delay.
	Slow
	// Rejects messages for Reason, and sends nothing.
	Rejects
	// Lost messages are sent, and the answer is lost: the outcome is unknown.
	Lost
	// Vanished messages are not sent, and the answer is lost, too.
	Vanished
	// Hangs sends nothing and answers when the caller leaves: unknown.
	Hangs
	// Lies says accepted, and sends nothing.
	Lies

	kinds
)

var kindNames = [kinds]string{"healthy", "slow", "rejects", "lost", "vanished", "hangs", "lies"}

// String returns the kind's name; "invalid" for a value out of range.
func (k Kind) String() string {
	if k >= kinds {
		return "invalid"
	}
	return kindNames[k]
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a kind's name.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, name := range kindNames {
		if name == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("chaos: Kind %q: must be one of %v", text, kindNames)
}

// ErrChaos is the cause of every error that was made here.
var ErrChaos = errors.New("chaos: on purpose")

// Fault is what goes wrong with a message. The zero Fault is nothing.
type Fault struct {
	// Kind is what goes wrong.
	Kind Kind
	// Delay comes first, whatever the kind; a caller who leaves meanwhile has sent
	// nothing.
	Delay time.Duration
	// Reason is why a message is rejected.
	Reason smsx.Reason
	// Share is the share of messages that meet it, up to 1; 0 is all of them.
	Share float64
}

func (f Fault) check() error {
	switch {
	case f.Kind >= kinds:
		return fmt.Errorf("chaos: Kind %d: must be below %d", f.Kind, kinds)
	case f.Delay < 0:
		return fmt.Errorf("chaos: Delay %v: must not be negative", f.Delay)
	case f.Kind == Rejects && f.Reason == smsx.ReasonAccepted:
		return fmt.Errorf("chaos: Reason %v: must not be that of success", f.Reason)
	case !(f.Share >= 0 && f.Share <= 1):
		return fmt.Errorf("chaos: Share %v: must be between 0 and 1", f.Share)
	}
	return nil
}

// Service lets a service fail. Make it with [New]. It is safe for concurrent use.
type Service struct {
	name string
	next smsx.Service

	mu     sync.Mutex
	fault  Fault
	script []Fault
}

// New returns a service that hands everything to next until it is told otherwise.
// Under name it answers what next is not asked.
func New(name string, next smsx.Service) *Service { return &Service{name: name, next: next} }

// Set lets f meet all messages that come from now on, but those of a script. The
// error names a field that can't be; then nothing changes.
func (s *Service) Set(f Fault) error {
	if err := f.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
	return nil
}

// Script lets each of faults meet one of the next messages, in turn, after those of
// earlier scripts; a Share in them does not count. The error names a field that can't
// be; then nothing changes.
func (s *Service) Script(faults ...Fault) error {
	for _, f := range faults {
		if err := f.check(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, faults...)
	return nil
}

// next fault, and how many of the script are left.
func (s *Service) strike() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.script) > 0 {
		f := s.script[0]
		s.script = s.script[1:]
		return f
	}
	if s.fault.Share > 0 && rand.Float64() >= s.fault.Share {
		return Fault{}
	}
	return s.fault
}

// Left returns how many faults of scripts have not met a message yet.
func (s *Service) Left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.script)
}

// Send implements [smsx.Service].
func (s *Service) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	if err := m.Check(time.Now()); err != nil {
		return smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Provider: s.name}), err
	}
	f := s.strike()
	if f.Delay > 0 {
		select {
		case <-ctx.Done():
			return s.answer(m, smsx.Rejected, smsx.ReasonDown, ctx.Err())
		case <-time.After(f.Delay):
		}
	}
	switch f.Kind {
	case Rejects:
		return s.answer(m, smsx.Rejected, f.Reason, ErrChaos)
	case Lost:
		if _, err := s.next.Send(ctx, m); err != nil {
			return s.answer(m, smsx.Unknown, smsx.ReasonDown, errors.Join(ErrChaos, err))
		}
		return s.answer(m, smsx.Unknown, smsx.ReasonDown, ErrChaos)
	case Vanished:
		return s.answer(m, smsx.Unknown, smsx.ReasonDown, ErrChaos)
	case Hangs:
		<-ctx.Done()
		return s.answer(m, smsx.Unknown, smsx.ReasonDown, ctx.Err())
	case Lies:
		r := smsx.Result{Outcome: smsx.Accepted, Provider: s.name, Code: "OK", Reason: smsx.ReasonAccepted, MessageID: "a lie"}
		return smsx.Same(m, r), nil
	default:
		return s.next.Send(ctx, m)
	}
}

func (s *Service) answer(m smsx.Message, o smsx.Outcome, why smsx.Reason, cause error) (smsx.Receipt, error) {
	r := smsx.Same(m, smsx.Result{Outcome: o, Provider: s.name, Reason: why})
	return r, r.Err(cause)
}
