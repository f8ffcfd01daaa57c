package otp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Delivery is a code on its way to its subject. It holds both in clear: never log
// it.
type Delivery struct {
	// ID names the issue. Send at most one message for it, whatever is retried.
	ID string
	// Purpose and Subject are who asked for it and where it goes, normalised.
	Purpose, Subject string
	// Code is what the subject has to send back.
	Code string
	// NotAfter is when it is no use any more: drop it rather than deliver it late.
	NotAfter time.Time
}

// String hides the code and all but the last two signs of the subject.
func (d Delivery) String() string {
	return fmt.Sprintf("otp.Delivery(%s, ***%s)", d.Purpose, d.Subject[max(0, len(d.Subject)-2):])
}

// GoString hides the same as String, for %#v.
func (d Delivery) GoString() string { return d.String() }

// Sender delivers codes. It must be safe for concurrent use.
type Sender interface {
	// SendCode returns nil when the code is on its way, an error that is
	// [ErrRejected] when it certainly is not, and any other error when nobody knows.
	SendCode(ctx context.Context, d Delivery) error
}

// SenderFunc is a function as a [Sender].
type SenderFunc func(ctx context.Context, d Delivery) error

// SendCode implements [Sender].
func (f SenderFunc) SendCode(ctx context.Context, d Delivery) error { return f(ctx, d) }

// refundTime bounds giving the minute back, which outlives the caller.
const refundTime = 2 * time.Second

// Codes issues and verifies one-time codes. It is safe for concurrent use. Make it
// with [New].
type Codes struct {
	store     Store
	sender    Sender
	keys      Keys
	cfg       Config
	normalise func(string) (string, error)
}

// New returns the codes of a store. It refuses keys and configurations with every
// violation named, among them one that makes guessing too easy.
func New(store Store, sender Sender, keys Keys, cfg Config, opts ...Option) (*Codes, error) {
	cfg = cfg.withDefaults()
	errs := []error{cfg.validate(), keys.validate()}
	if store == nil {
		errs = append(errs, &FieldError{"store", "nil", "must be given"})
	}
	if sender == nil {
		errs = append(errs, &FieldError{"sender", "nil", "must be given"})
	}
	c := &Codes{store: store, sender: sender, keys: keys.clone(), cfg: cfg, normalise: E164(cfg.CountryCode)}
	for _, opt := range opts {
		opt.apply(c)
	}
	if c.normalise == nil {
		errs = append(errs, &FieldError{"normaliser", "nil", "must be given"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// Option configures [Codes].
type Option interface{ apply(*Codes) }

type optionFunc func(*Codes)

func (f optionFunc) apply(c *Codes) { f(c) }

// WithNormaliser sets what makes all spellings of one subject the same. Without it
// subjects are phone numbers, see [E164].
func WithNormaliser(f func(string) (string, error)) Option {
	return optionFunc(func(c *Codes) { c.normalise = f })
}

// Issue sends a new code, which ends the one before. It returns a [LimitedError]
// when the subject has to wait. When the sender says that nothing was sent, the
// subject need not wait a minute to try again, though it counts for the hour and
// the day; when nobody knows, it has to.
func (c *Codes) Issue(ctx context.Context, purpose, subject string) error {
	subject, name, err := c.locate(purpose, subject)
	if err != nil {
		return err
	}
	code, id := draw(c.cfg.Digits), nonce()
	signer := c.keys.Codes[0]
	until := time.Now().Add(c.cfg.Validity)
	issued, err := c.store.Issue(ctx, name, Issue{
		ID: id, MAC: signer.sign(purpose, subject, code), Limits: c.cfg.limits(),
	})
	if err != nil {
		return fmt.Errorf("otp: issue: %w", err)
	}
	if issued.Outcome != Granted {
		return &LimitedError{RetryAfter: issued.RetryAfter, Locked: issued.Outcome == Locked}
	}
	err = c.sender.SendCode(ctx, Delivery{ID: id, Purpose: purpose, Subject: subject, Code: code, NotAfter: until})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("otp: send: %w", err)
	if errors.Is(err, ErrRejected) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refundTime)
		defer cancel()
		if back := c.store.Refund(ctx, name, id); back != nil {
			return errors.Join(err, fmt.Errorf("otp: refund: %w", back))
		}
	}
	return err
}

// Verify tells whether code is the one that was sent last to subject for purpose,
// and uses it up if so. Spaces around it do not matter. An error means that nobody
// could tell.
func (c *Codes) Verify(ctx context.Context, purpose, subject, code string) (bool, error) {
	subject, name, err := c.locate(purpose, subject)
	if err != nil {
		return false, err
	}
	code = strings.TrimSpace(code)
	guess := Guess{ID: nonce(), Limits: c.cfg.limits()}
	for _, key := range c.keys.Codes {
		guess.MACs = append(guess.MACs, key.sign(purpose, subject, code))
	}
	outcome, err := c.store.Verify(ctx, name, guess)
	if err != nil {
		return false, fmt.Errorf("otp: verify: %w", err)
	}
	return outcome == Verified, nil
}

// locate normalises a subject and names its place in the store.
func (c *Codes) locate(purpose, subject string) (normal, name string, err error) {
	if purpose == "" || len(purpose) > 64 {
		return "", "", ErrPurpose
	}
	normal, err = c.normalise(subject)
	if err != nil {
		return "", "", err
	}
	return normal, mac(c.keys.Subject, "subject", purpose, normal), nil
}
