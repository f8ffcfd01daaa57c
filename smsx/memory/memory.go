// Package memory sends nothing and remembers everything: a service for tests and
// for running an app on a desk.
package memory

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/smsx"
)

// Service records messages. Make it with [New]. It is safe for concurrent use.
type Service struct {
	name   string
	mu     sync.Mutex
	sent   []smsx.Message
	answer func(smsx.Message) (smsx.Receipt, error)
}

// New returns a service that accepts everything, under a provider's name.
func New(name string) *Service { return &Service{name: name} }

// Answer lets f decide from now on; nil accepts everything again. f runs without
// locks held, and messages that it gets are recorded first.
func (s *Service) Answer(f func(smsx.Message) (smsx.Receipt, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// Sent returns the messages that were handed over, oldest first.
func (s *Service) Sent() []smsx.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// Send implements [smsx.Service].
func (s *Service) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	if err := m.Check(time.Now()); err != nil {
		return smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Provider: s.name}), err
	}
	if err := ctx.Err(); err != nil {
		r := smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Provider: s.name})
		return r, r.Err(err)
	}
	kept := m
	kept.Args, kept.Numbers = slices.Clone(m.Args), slices.Clone(m.Numbers)
	s.mu.Lock()
	s.sent = append(s.sent, kept)
	id, answer := len(s.sent), s.answer
	s.mu.Unlock()
	if answer != nil {
		return answer(m)
	}
	return smsx.Same(m, smsx.Result{
		Outcome: smsx.Accepted, Provider: s.name, Code: "OK", Reason: smsx.ReasonAccepted, MessageID: strconv.Itoa(id),
	}), nil
}
