package chain

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/smsx"
)

type broken struct {
	next smsx.Service
	gate circuitbreaker.Gate
}

func (*broken) rank() Rank { return Breaking }

// Break asks gate before next. A refused message was not sent: its error wraps
// [circuitbreaker.ErrOpen]. The gate hears of what [smsx.Fault] says is the provider's
// fault; a bad message or number is a sign of life, and the denial of a limiter
// further in tells nothing.
func Break(next smsx.Service, gate circuitbreaker.Gate) smsx.Service {
	return &broken{next: next, gate: gate}
}

// Send implements [smsx.Service].
func (s *broken) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	if r, err, bad := refused(ctx, m); bad {
		return r, err
	}
	var receipt smsx.Receipt
	var sent error
	asked := false
	_, err := circuitbreaker.Do(ctx, s.gate, func(ctx context.Context) (struct{}, error) {
		asked = true
		receipt, sent = s.next.Send(ctx, m)
		return struct{}{}, health(sent)
	})
	if !asked {
		return nothing(m, smsx.ReasonDown, err)
	}
	return receipt, sent
}

// health is what a breaker is told of an error. When nobody was asked further in, that
// is a refusal of this side, which breakers know to be none of the provider's; what is
// not the provider's fault is nothing.
func health(err error) error {
	switch {
	case ours(err):
		return errors.Join(circuitbreaker.ErrOpen, err)
	case smsx.Fault(err), errors.Is(err, context.Canceled):
		return err
	default:
		return nil
	}
}
