package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/bulwark-go/bulwark/smsx/otp"
)

// ErrBlocked means that a guard refused a send; see [BlockedError]. Ask the caller
// for another proof that a person is there.
var ErrBlocked = errors.New("guard: blocked")

// BlockedError tells why, for operators. It is [ErrBlocked].
type BlockedError struct {
	// Reason is fit for a label.
	Reason Reason
	// Err is the store's where Reason is [ByFailure].
	Err error
}

// Error implements error.
func (e *BlockedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("guard: blocked by %s: %v", e.Reason, e.Err)
	}
	return fmt.Sprintf("guard: blocked by %s", e.Reason)
}

// Unwrap returns [ErrBlocked], and Err.
func (e *BlockedError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrBlocked}
	}
	return []error{ErrBlocked, e.Err}
}

// Codes is what [Protect] protects, as [otp.Codes] is.
type Codes interface {
	// Issue sends a code; see [otp.Codes.Issue].
	Issue(ctx context.Context, purpose, subject string) error
	// Verify checks one; see [otp.Codes.Verify].
	Verify(ctx context.Context, purpose, subject, code string) (bool, error)
}

type addrKey struct{}

// WithAddr tells a protected Issue or Verify which address asks: the client's, not a
// proxy's. Without it callers share one network's account.
func WithAddr(ctx context.Context, addr netip.Addr) context.Context {
	return context.WithValue(ctx, addrKey{}, addr)
}

// Protect returns Codes that ask g before each issue and tell it of each success. An
// issue that g refuses is a [BlockedError]; one that was certainly not sent is given
// back. What a store fails to note after the send or the verification is no error of
// theirs: [Observe] the store to hear of it.
func Protect(next Codes, g *Guard) Codes { return &protected{next, g} }

// settle bounds what is noted after a send, also when the caller is gone.
const settle = 2 * time.Second

func settling(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settle)
}

type protected struct {
	next  Codes
	guard *Guard
}

func (p *protected) Issue(ctx context.Context, purpose, subject string) error {
	addr, _ := ctx.Value(addrKey{}).(netip.Addr)
	d, err := p.guard.Allow(ctx, subject, addr)
	if !d.Allowed {
		if d.Reason == "" {
			return err // the caller left
		}
		return &BlockedError{Reason: d.Reason, Err: err}
	}
	err = p.next.Issue(ctx, purpose, subject)
	if !d.Known && !d.Degraded && (errors.Is(err, otp.ErrLimited) || errors.Is(err, otp.ErrRejected)) {
		ctx, cancel := settling(ctx)
		defer cancel()
		_ = p.guard.Refund(ctx, subject, addr) // the send is charged then: nobody's code depends on it
	}
	return err
}

func (p *protected) Verify(ctx context.Context, purpose, subject, code string) (bool, error) {
	ok, err := p.next.Verify(ctx, purpose, subject, code)
	if ok && err == nil {
		addr, _ := ctx.Value(addrKey{}).(netip.Addr)
		ctx, cancel := settling(ctx)
		defer cancel()
		_ = p.guard.Verified(ctx, subject, addr) // the code was right, whatever becomes of the accounts
	}
	return ok, err
}
