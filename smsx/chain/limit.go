package chain

import (
	"context"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/action"
	"github.com/bulwark-go/bulwark/smsx"
)

// Key returns the key of a message for a limiter: the same provider, application and
// template share a budget.
func Key(provider, app string) func(smsx.Message) string {
	return func(m smsx.Message) string { return provider + "/" + app + "/" + m.Template }
}

type limited struct {
	next    smsx.Service
	limiter ratelimit.Limiter
	key     func(smsx.Message) string
	denied  action.Action[smsx.Receipt]
}

func (*limited) rank() Rank { return Limiting }

// Limit asks l before next, under the key of the message and with one permit for each
// number. What is denied is treated as denied says: [action.Wait] waits its turn, nil
// rejects. A rejected message was not sent: its error wraps [ratelimit.ErrLimited], and
// says nothing against the provider. A limiter that fails rejects, too; give it a
// failure policy, such as [ratelimit.Share], if that is not wanted.
func Limit(next smsx.Service, l ratelimit.Limiter, key func(smsx.Message) string, denied action.Action[smsx.Receipt]) smsx.Service {
	if denied == nil {
		denied = action.Reject[smsx.Receipt]()
	}
	return &limited{next: next, limiter: l, key: key, denied: denied}
}

// Send implements [smsx.Service].
func (s *limited) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	if r, err, bad := refused(ctx, m); bad {
		return r, err
	}
	call := action.Call[smsx.Receipt]{
		Key: s.key(m), Cost: int64(len(m.Numbers)),
		Run: func(ctx context.Context) (smsx.Receipt, error) { return s.next.Send(ctx, m) },
	}
	receipt, handling, err := action.Do(ctx, s.limiter, call, s.denied)
	if handling == action.Rejected {
		return nothing(m, smsx.ReasonAccountLimit, err)
	}
	return receipt, err
}

// nothing is the answer when nobody was asked.
func nothing(m smsx.Message, why smsx.Reason, cause error) (smsx.Receipt, error) {
	r := smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Reason: why})
	return r, r.Err(cause)
}

// refused checks the message and the caller before anything is spent on it.
func refused(ctx context.Context, m smsx.Message) (r smsx.Receipt, err error, bad bool) {
	if err := m.Check(time.Now()); err != nil {
		return smsx.Same(m, smsx.Result{Outcome: smsx.Rejected}), err, true
	}
	if err := ctx.Err(); err != nil {
		r, err := nothing(m, smsx.ReasonUnknown, err)
		return r, err, true
	}
	return smsx.Receipt{}, nil, false
}
