package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/smsx"
)

// Provider is a service among others: its Name tells it apart, in errors and as a
// metric's label.
type Provider = failover.Candidate[smsx.Service]

// Failover sends through one of several providers, and what one turns away through
// the next. Make it with [NewFailover]. It is safe for concurrent use.
type Failover struct {
	group  *failover.Group[smsx.Service]
	caller failover.Caller[smsx.Service]
}

// NewFailover returns a service over at least one and at most 64 providers, each of
// which may be decorated with what concerns it alone. The options decide when to
// switch:
//
//   - none, or [failover.WithRoundRobin]: each message begins with the next provider;
//   - [failover.WithStickyTimeouts]: all begin with the same one until more than n
//     time-outs in a row, then with another;
//   - [failover.WithJudge]: a provider that falls ill is taken out, probed later, and
//     gets its share back step by step; [failover.WithOrder] and others choose among
//     those that are well.
//
// What counts against a provider is what [smsx.Fault] says, unless
// [failover.WithFailures] replaces it.
//
// A number that was rejected for a reason of its own is not taken elsewhere; see
// [smsx.Reason.Elsewhere]. One whose outcome is unknown is for messages of class
// [smsx.AtLeastOnce] alone. The others of the message go on without it.
func NewFailover(cfg failover.Config, providers []Provider, opts ...failover.Option) (*Failover, error) {
	var errs []error
	for _, p := range providers {
		if err := fits(Switching, p.Value); err != nil {
			errs = append(errs, fmt.Errorf("provider %q: %w", p.Name, err))
		}
	}
	opts = append([]failover.Option{failover.WithFailures(smsx.Fault)}, opts...)
	group, err := failover.NewGroup(cfg, providers, opts...)
	if err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", ErrConfig, err))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Failover{group: group, caller: group}, nil
}

// Group returns the providers' group: to drain or force one, to change thresholds,
// to see its state.
func (f *Failover) Group() *failover.Group[smsx.Service] { return f.group }

// Observed returns the same service, which reports to o each message and each
// attempt, as "failover/call" and "failover/attempt".
func (f *Failover) Observed(o observe.Observer) *Failover {
	return &Failover{group: f.group, caller: failover.Observe(f.caller, o)}
}

func (*Failover) rank() Rank { return Switching }

// Send implements [smsx.Service].
func (f *Failover) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	if r, err, bad := refused(ctx, m); bad {
		return r, err
	}
	do := failover.Do[smsx.Service, struct{}]
	if m.Class == smsx.AtLeastOnce {
		do = failover.DoIdempotent[smsx.Service, struct{}]
	}
	t := newTally(m)
	_, err := do(ctx, f.caller, func(ctx context.Context, s smsx.Service) (struct{}, error) {
		return struct{}{}, t.attempt(ctx, s)
	})
	return t.end(err)
}

// attempt sends what is left of the message through one provider.
func (t *tally) attempt(ctx context.Context, s smsx.Service) error {
	part := t.part()
	receipt, err := s.Send(ctx, part)
	if err == nil && len(receipt.Results) != len(part.Numbers) {
		err = errors.New("chain: a receipt that does not fit the message")
	}
	receipt = t.add(receipt, err, func(r smsx.Result) bool {
		return r.Outcome == smsx.Rejected && r.Reason.Elsewhere() || doubtful(t.m, r)
	})
	if err == nil {
		return nil
	}
	return &attemptError{error: err, outcome: outcomeOf(receipt, len(t.left) > 0), unasked: ours(err)}
}

// outcomeOf tells package failover what an attempt means for what is left: go on
// while something is, and let nobody think well of a provider that left us in doubt.
func outcomeOf(receipt smsx.Receipt, left bool) failover.Outcome {
	if left {
		return failover.Rejected
	}
	for _, r := range receipt.Results {
		if r.Outcome == smsx.Unknown {
			return failover.Unknown
		}
	}
	return failover.Final
}

// attemptError is what an attempt came to.
type attemptError struct {
	error
	outcome failover.Outcome
	unasked bool
}

func (e *attemptError) Unwrap() error             { return e.error }
func (e *attemptError) Outcome() failover.Outcome { return e.outcome }

// Is lets a judge take any refusal of this side for that of a breaker: nothing was
// learned about the provider, and so it is no success either.
func (e *attemptError) Is(target error) bool { return e.unasked && target == circuitbreaker.ErrOpen }
