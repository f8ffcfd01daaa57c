package chain

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/smsx"
)

// RetryConfig holds the settings of [NewRetry]. A zero field means its default.
type RetryConfig struct {
	// Attempts is how often a message is sent at most; 3 by default.
	Attempts int
	// Backoff is the longest pause before the second attempt; 100 ms by default. It
	// doubles with each one, up to MaxBackoff; the pause is drawn at random below it.
	Backoff time.Duration
	// MaxBackoff bounds it; 2 s by default, or Backoff if that is longer.
	MaxBackoff time.Duration
	// Ratio is how many further attempts a hundred messages may make on average,
	// divided by a hundred; 0.1 by default, at most 1.
	Ratio float64
	// Burst is how many further attempts may be saved up; 10 by default.
	Burst int
}

func (c RetryConfig) withDefaults() RetryConfig {
	fill(&c.Attempts, 3)
	fill(&c.Backoff, 100*time.Millisecond)
	fill(&c.MaxBackoff, max(2*time.Second, c.Backoff))
	fill(&c.Ratio, 0.1)
	fill(&c.Burst, 10)
	return c
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c RetryConfig) check() error {
	var errs []error
	require := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: %s %v: must be %s", ErrConfig, field, value, want))
		}
	}
	require(c.Attempts >= 1 && c.Attempts <= 100, "Attempts", c.Attempts, "between 1 and 100")
	require(c.Backoff > 0 && c.Backoff <= time.Hour, "Backoff", c.Backoff, "above 0s and at most 1h")
	require(c.MaxBackoff >= c.Backoff && c.MaxBackoff <= time.Hour, "MaxBackoff", c.MaxBackoff, "between Backoff and 1h")
	require(c.Ratio > 0 && c.Ratio <= 1, "Ratio", c.Ratio, "above 0 and at most 1")
	require(c.Burst >= 1 && c.Burst <= 1e6, "Burst", c.Burst, "between 1 and 1000000")
	return errors.Join(errs...)
}

// ErrBudget is wrapped by the error of a message that could have been tried again, had
// the budget allowed it.
var ErrBudget = errors.New("chain: retry budget spent")

// Retry tries again what may do better in a moment. Make it with [NewRetry]. It is
// safe for concurrent use.
type Retry struct {
	next smsx.Service
	cfg  RetryConfig

	mu     sync.Mutex
	tokens float64
}

// NewRetry returns a service that sends again what next rejected because it does not
// work, or because the account was too fast; and for messages of class
// [smsx.AtLeastOnce] what is unknown. Numbers, templates, keys and balances do not
// change from waiting, and neither do refusals of our own: those of a limiter or an
// open breaker are left to the rescue. It never pauses past the deadline of ctx or the
// message's NotAfter, and stops when ctx ends.
//
// A [Failover] asks the other providers by itself, so that a retry belongs around a
// single one, or around a failover whose providers share their fate.
func NewRetry(next smsx.Service, cfg RetryConfig) (*Retry, error) {
	cfg = cfg.withDefaults()
	if err := errors.Join(fits(Retrying, next), cfg.check()); err != nil {
		return nil, err
	}
	return &Retry{next: next, cfg: cfg, tokens: float64(cfg.Burst)}, nil
}

func (*Retry) rank() Rank { return Retrying }

// Send implements [smsx.Service].
func (s *Retry) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	if r, err, bad := refused(ctx, m); bad {
		return r, err
	}
	s.deposit()
	t := newTally(m)
	for attempt := 1; ; attempt++ {
		receipt, err := s.next.Send(ctx, t.part())
		t.add(receipt, err, func(r smsx.Result) bool {
			return !ours(err) && r.Outcome == smsx.Rejected && passing(r.Reason) || doubtful(m, r)
		})
		switch {
		case len(t.left) == 0 || attempt >= s.cfg.Attempts || ctx.Err() != nil:
			return t.end(err)
		case !s.spend():
			return t.end(errors.Join(ErrBudget, err))
		case !s.pause(ctx, m, attempt):
			return t.end(err)
		}
	}
}

// passing tells whether a rejection for the reason may pass by itself.
func passing(r smsx.Reason) bool {
	return r == smsx.ReasonDown || r == smsx.ReasonAccountLimit || r == smsx.ReasonUnknown
}

// pause waits before the attempt that follows n. It reports false when that would be
// too late.
func (s *Retry) pause(ctx context.Context, m smsx.Message, n int) bool {
	longest := s.cfg.Backoff
	for range n - 1 {
		longest = min(2*longest, s.cfg.MaxBackoff)
	}
	wait := rand.N(longest) + 1
	then := time.Now().Add(wait)
	if deadline, ok := ctx.Deadline(); ok && !then.Before(deadline) {
		return false
	}
	if !m.NotAfter.IsZero() && !then.Before(m.NotAfter) {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// deposit hears of a message: further attempts are a share of messages, so that a
// quiet hour can't pay for a storm.
func (s *Retry) deposit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = min(s.tokens+s.cfg.Ratio, float64(s.cfg.Burst))
}

func (s *Retry) spend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens < 1 {
		return false
	}
	s.tokens--
	return true
}
