package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/bulwark-go/bulwark/smsx/otp"
)

// ErrBlocked means that a guard refused a send; see [BlockedError]. Ask the caller
// for another proof that a person is there.
var ErrBlocked = errors.New("guard: blocked")

// BlockedError tells why, for operators. It is [ErrBlocked].
type BlockedError struct {
	// Reason is fit for a label.
	Reason Reason
}

// Error implements error.
func (e *BlockedError) Error() string { return fmt.Sprintf("guard: blocked by %s", e.Reason) }

// Unwrap returns [ErrBlocked].
func (e *BlockedError) Unwrap() error { return ErrBlocked }

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
// back.
func Protect(next Codes, g *Guard) Codes { return &protected{next, g} }

type protected struct {
	next  Codes
	guard *Guard
}

func (p *protected) Issue(ctx context.Context, purpose, subject string) error {
	addr, _ := ctx.Value(addrKey{}).(netip.Addr)
	d := p.guard.Allow(subject, addr)
	if !d.Allowed {
		return &BlockedError{d.Reason}
	}
	err := p.next.Issue(ctx, purpose, subject)
	if !d.Known && (errors.Is(err, otp.ErrLimited) || errors.Is(err, otp.ErrRejected)) {
		p.guard.Refund(subject, addr)
	}
	return err
}

func (p *protected) Verify(ctx context.Context, purpose, subject, code string) (bool, error) {
	ok, err := p.next.Verify(ctx, purpose, subject, code)
	if ok && err == nil {
		addr, _ := ctx.Value(addrKey{}).(netip.Addr)
		p.guard.Verified(subject, addr)
	}
	return ok, err
}
