package chain

import (
	"context"
	"errors"
	"time"

	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/smsx"
)

var sendKind = observe.Kind{
	Component: "sms", Action: "send", Help: "Messages sent through a service, and what became of them.",
	Role: observe.Client, StartLabels: []string{"service"}, EndLabels: []string{"result", "reason", "provider"},
	Amount: "numbers",
}

type observed struct {
	next     smsx.Service
	name     string
	observer observe.Observer
}

// rank passes that of what is observed on: metrics go anywhere.
func (s *observed) rank() Rank { return rankOf(s.next) }

// Observe returns a service that reports each message to o, as an operation "sms/send"
// labelled by service, which is name; and at its end by result (accepted, deferred,
// partial, rejected or unknown), and the reason and provider of the first number that
// was not accepted, or of the first number. It counts numbers. Names and providers are
// from closed sets; numbers, arguments and ids are in no label.
//
// With an observer that is nil or [observe.Nop] it returns next itself.
func Observe(next smsx.Service, name string, o observe.Observer) smsx.Service {
	if observe.IsNop(o) {
		return next
	}
	return &observed{next: next, name: name, observer: o}
}

// Send implements [smsx.Service].
func (s *observed) Send(ctx context.Context, m smsx.Message) (receipt smsx.Receipt, err error) {
	ctx, end := s.observer.Start(ctx, observe.Operation{Kind: &sendKind, Values: observe.Values{s.name}})
	result := observe.Result{Outcome: observe.Panicked, Amount: int64(len(m.Numbers))}
	defer func() { end(result) }()
	receipt, err = s.next.Send(ctx, m)
	told := telling(receipt)
	result.Outcome, result.Err = observedOutcome(told, err), err
	result.Values = observe.Values{word(receipt, err), told.Reason.String(), told.Provider}
	return receipt, err
}

// telling is the result that says most about a receipt.
func telling(r smsx.Receipt) smsx.Result {
	for _, res := range r.Results {
		if res.Outcome != smsx.Accepted {
			return res
		}
	}
	for _, res := range r.Results {
		if res.Deferred {
			return res
		}
	}
	if len(r.Results) > 0 {
		return r.Results[0]
	}
	return smsx.Result{}
}

// word says what became of a message.
func word(r smsx.Receipt, err error) string {
	switch {
	case err == nil && telling(r).Deferred:
		return "deferred"
	case errors.Is(err, smsx.ErrPartial):
		return "partial"
	default:
		return smsx.OutcomeOf(err).String()
	}
}

func observedOutcome(told smsx.Result, err error) observe.Outcome {
	switch {
	case err == nil && told.Deferred:
		return observe.Degraded
	case err == nil:
		return observe.OK
	case errors.Is(err, context.Canceled):
		return observe.Canceled
	case ours(err), errors.Is(err, smsx.ErrMessage), errors.Is(err, smsx.ErrExpired):
		return observe.Rejected
	case failover.TimedOut(err):
		return observe.Timeout
	default:
		return observe.Failed
	}
}

type logged struct {
	next smsx.Service
	name string
	log  logger.Logger
}

// rank passes that of what is logged on: lines go anywhere.
func (s *logged) rank() Rank { return rankOf(s.next) }

// Log returns a service that writes a line for each message: at Debug when it was
// accepted, at Warn when not. The line has the template, how many numbers there are,
// the result with its reason, code, provider and message id, and the error; numbers
// are masked and arguments are left out.
func Log(next smsx.Service, name string, l logger.Logger) smsx.Service {
	return &logged{next: next, name: name, log: l}
}

// Send implements [smsx.Service].
func (s *logged) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	began := time.Now()
	receipt, err := s.next.Send(ctx, m)
	level := logger.LevelDebug
	if err != nil {
		level = logger.LevelWarn
	}
	log := s.log.Ctx(ctx)
	if !log.Enabled(level) {
		return receipt, err
	}
	told := telling(receipt)
	args := []logger.Arg{
		logger.String("service", s.name), logger.String("template", m.Template), logger.String("result", word(receipt, err)),
		logger.String("reason", told.Reason.String()), logger.String("vendor_code", told.Code), logger.String("provider", told.Provider),
		logger.String("message_id", told.MessageID), logger.String("number", told.Number.String()), logger.Int("numbers", len(m.Numbers)),
		logger.Duration("took", time.Since(began)),
	}
	if err == nil {
		log.Debug("sms sent", args...)
	} else {
		log.Warn("sms not sent", append(args, logger.Err(err))...)
	}
	return receipt, err
}
