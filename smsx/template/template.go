// Package template lets callers send by templates that somebody approved. A caller
// holds a signed token in the place of a template's id: it tells who sends, which
// template, how much in a month and how fast.
//
//	svc, err := template.New(vendor, verifier, quota, texts, secret)
//	receipt, err := svc.Send(template.WithToken(ctx, token), message)
//
// The token travels in the context, where nothing that prints messages finds it.
// Tokens are JWTs, of one algorithm (HS256), with a key id that alone chooses the
// key, and with issuer, audience, beginning, end and id, which are all required. An
// [Issuer] signs them, a [Desk] only after a second person approved.
//
// A message is charged in segments, each receiver's, before it is sent, and given
// back only when it certainly was not: see package quota. The same message ID is the
// same message, and is charged once however often it is retried.
//
// Whatever is refused here was not sent: the receipt says [smsx.Rejected], and the
// error is [smsx.ErrRejected] besides the reason, one of [ErrMissing], [ErrToken],
// [ErrExpired], [ErrRevoked], [ErrDenied], [ErrLimited] (in a [LimitedError]),
// [ErrExhausted] and [ErrRepeated]. So it is when the quota can't be asked.
package template

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/quota"
)

// The reasons of refusals.
var (
	// ErrMissing means that the context has no token.
	ErrMissing = errors.New("smsx/template: no token")
	// ErrToken means that a token was never good: forged, for another service, or
	// without something that it must have.
	ErrToken = errors.New("smsx/template: invalid token")
	// ErrExpired means that a good token's time is over, or has not begun.
	ErrExpired = errors.New("smsx/template: token is not valid now")
	// ErrRevoked means that a good token was taken back.
	ErrRevoked = errors.New("smsx/template: token was revoked")
	// ErrDenied means that the message is not what the token allows.
	ErrDenied = errors.New("smsx/template: not allowed by the token")
	// ErrLimited means that the tenant sends too fast; see [LimitedError].
	ErrLimited = errors.New("smsx/template: too fast")
	// ErrExhausted means that the month's capacity has no room for the message.
	ErrExhausted = errors.New("smsx/template: capacity is spent")
	// ErrRepeated means that the message's ID was sent before, or stands for another
	// message, or was tried too often.
	ErrRepeated = errors.New("smsx/template: message ID is used up")
)

// LimitedError tells for how long. It is [ErrLimited] or [ErrExhausted].
type LimitedError struct {
	// RetryAfter is when to ask again at the earliest.
	RetryAfter time.Duration
	// Reason is [ErrLimited] or [ErrExhausted].
	Reason error
}

// Error implements error.
func (e *LimitedError) Error() string {
	return fmt.Sprintf("%v, retry after %v", e.Reason, e.RetryAfter)
}

// Unwrap returns the reason.
func (e *LimitedError) Unwrap() error { return e.Reason }

type tokenKey struct{}

// WithToken returns a context under which messages are sent by a token's authority.
func WithToken(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// settleTime bounds settling a charge, which outlives the caller.
const settleTime = 2 * time.Second

// Service sends what tokens allow. It is safe for concurrent use. Make it with [New].
type Service struct {
	next     smsx.Service
	verifier *Verifier
	quota    quota.Quota
	text     Text
	secret   []byte
	rates    rates
}

// New returns next behind tokens. Text is needed to count segments. Secret, of at
// least 32 bytes and the same in all instances, hides what messages hold from the
// quota's store; with another one, messages that are being retried are refused.
// Every violation is named.
func New(next smsx.Service, v *Verifier, q quota.Quota, text Text, secret []byte, opts ...Option) (*Service, error) {
	s := &Service{next: next, verifier: v, quota: q, text: text, secret: append([]byte(nil), secret...), rates: rates{create: local}}
	for _, opt := range opts {
		opt.apply(s)
	}
	var errs []error
	for field, missing := range map[string]bool{
		"next": next == nil, "verifier": v == nil, "quota": q == nil, "text": text == nil, "rates": s.rates.create == nil,
	} {
		if missing {
			errs = append(errs, fmt.Errorf("smsx/template: %s = nil must be given", field))
		}
	}
	if len(secret) < MinSecret {
		errs = append(errs, fmt.Errorf("smsx/template: secret has %d bytes, must have at least %d", len(secret), MinSecret))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// Option configures a [Service].
type Option interface{ apply(*Service) }

type optionFunc func(*Service)

func (f optionFunc) apply(s *Service) { f(s) }

// WithRates sets what makes the limiter for a rate, called once for each rate that
// tokens name. Keys are accounts. Without it limiters are local to the process.
func WithRates(create func(ratelimit.Rate) (ratelimit.Limiter, error)) Option {
	return optionFunc(func(s *Service) { s.rates.create = create })
}

// Send implements [smsx.Service]. The message needs an ID; its Template is the
// token's, and may be left empty.
func (s *Service) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	token, _ := ctx.Value(tokenKey{}).(string)
	g, err := s.verifier.Verify(ctx, token)
	if err != nil {
		return refuse(m, smsx.ReasonAuth, err)
	}
	if m.ID == "" {
		return refuse(m, smsx.ReasonTemplate, fmt.Errorf("%w: ID is empty", smsx.ErrMessage))
	}
	if m.Template != "" && m.Template != g.Template {
		return refuse(m, smsx.ReasonTemplate, fmt.Errorf("%w: another template", ErrDenied))
	}
	if len(m.Numbers) > g.MaxNumbers {
		return refuse(m, smsx.ReasonTemplate, fmt.Errorf("%w: %d numbers, at most %d", ErrDenied, len(m.Numbers), g.MaxNumbers))
	}
	m.Template = g.Template
	if err := m.Check(time.Now()); err != nil {
		r, _ := refuse(m, smsx.ReasonTemplate, err)
		return r, err // what every service answers
	}
	text, err := s.text(m)
	if err != nil {
		return refuse(m, smsx.ReasonTemplate, fmt.Errorf("%w: %w", ErrDenied, err))
	}
	d, err := s.rates.take(ctx, g)
	if err != nil {
		return refuse(m, smsx.ReasonDown, fmt.Errorf("smsx/template: rate: %w", err))
	}
	if !d.Allowed {
		return refuse(m, smsx.ReasonAccountLimit, &LimitedError{d.RetryAfter, ErrLimited})
	}
	return s.charged(ctx, g, m, int64(smsx.Segments(text)))
}

// charged sends m, each number's segments being paid for.
func (s *Service) charged(ctx context.Context, g Grant, m smsx.Message, segments int64) (smsx.Receipt, error) {
	d, err := s.quota.Reserve(ctx, quota.Charge{
		Account: g.account(), ID: m.ID, Content: s.fingerprint(m),
		Units: segments * int64(len(m.Numbers)), Capacity: g.Capacity,
	})
	switch {
	case err != nil:
		return refuse(m, smsx.ReasonDown, fmt.Errorf("smsx/template: quota: %w", err))
	case d.Verdict == quota.Exhausted:
		return refuse(m, smsx.ReasonAccountLimit, &LimitedError{d.ResetAfter, ErrExhausted})
	case d.Verdict != quota.Granted:
		// Not a fault of the account: another provider must not take it either.
		return refuse(m, smsx.ReasonNumberLimit, fmt.Errorf("%w: %v", ErrRepeated, d.Verdict))
	}
	r, err := s.next.Send(ctx, m)
	if back := s.settle(ctx, d.Ticket, segments, r, err); back != nil {
		err = errors.Join(err, fmt.Errorf("smsx/template: refund: %w", back))
	}
	return r, err
}

// settle commits what was accepted and refunds what certainly was not sent; what
// nobody knows stays charged, and open for a retry.
func (s *Service) settle(ctx context.Context, t quota.Ticket, segments int64, r smsx.Receipt, err error) error {
	accepted := int64(0)
	for _, result := range r.Results {
		switch result.Outcome {
		case smsx.Accepted:
			accepted++
		case smsx.Unknown:
			return nil
		case smsx.Rejected:
		}
	}
	if accepted == 0 && smsx.OutcomeOf(err) != smsx.Rejected {
		return nil // a receipt that says less than the error
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if accepted == 0 {
		return s.quota.Refund(ctx, t)
	}
	// That it was sent stands, whether this is noted or not; if not, the charge stays
	// in full. quota.Observe tells operators.
	_ = s.quota.Commit(ctx, t, segments*accepted)
	return nil
}

// refuse says that nothing was sent.
func refuse(m smsx.Message, why smsx.Reason, err error) (smsx.Receipt, error) {
	r := smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Reason: why})
	if len(m.Numbers) == 0 {
		return r, fmt.Errorf("%w: %w", smsx.ErrRejected, err)
	}
	return r, r.Err(err)
}

// fingerprint stands for all that is in a message, each part with its length.
func (s *Service) fingerprint(m smsx.Message) string {
	h := hmac.New(sha256.New, s.secret)
	write := func(part string) {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	write(m.Template)
	write(strconv.Itoa(len(m.Args)))
	for _, arg := range m.Args {
		write(arg.Name)
		write(arg.Value)
	}
	for _, n := range m.Numbers {
		write(n.E164())
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}
