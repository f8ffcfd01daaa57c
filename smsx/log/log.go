// Package log writes a line instead of sending: a service for development. The line
// has the template, the names of the arguments and masked numbers; nothing that could
// be used.
package log

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/smsx"
)

// Service accepts everything and writes a line for each message. Make it with [New].
// It is safe for concurrent use.
type Service struct {
	name string
	log  logger.Logger
	last atomic.Int64
}

// New returns a service that writes to l at level Info, under a provider's name.
func New(name string, l logger.Logger) *Service { return &Service{name: name, log: l} }

// Send implements [smsx.Service].
func (s *Service) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	if err := m.Check(time.Now()); err != nil {
		return smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Provider: s.name}), err
	}
	if err := ctx.Err(); err != nil {
		r := smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Provider: s.name})
		return r, r.Err(err)
	}
	id := strconv.FormatInt(s.last.Add(1), 10)
	s.log.Ctx(ctx).Info("sms not sent, as this is development",
		logger.String("provider", s.name), logger.String("template", m.Template), logger.String("sms", m.String()),
		logger.Int("args", len(m.Args)), logger.Int("numbers", len(m.Numbers)), logger.String("message_id", id))
	return smsx.Same(m, smsx.Result{
		Outcome: smsx.Accepted, Provider: s.name, Code: "OK", Reason: smsx.ReasonAccepted, MessageID: id,
	}), nil
}
