package service

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/otp"
	"github.com/bulwark-go/bulwark/smsx/otp/guard"
	"github.com/bulwark-go/bulwark/smsx/phone"
)

// loginPurpose keeps these codes apart from those for anything else.
const loginPurpose = "login"

// SMSLogin lets people in who hold a phone. It is safe for concurrent use.
type SMSLogin struct {
	users  *repository.Users
	codes  guard.Codes
	region string
}

// NewSMSLogin returns the use case. Numbers without a country code are of the
// region, such as "CN".
func NewSMSLogin(users *repository.Users, codes guard.Codes, region string) *SMSLogin {
	return &SMSLogin{users: users, codes: codes, region: region}
}

// Sent is what became of a code. The zero Sent is on its way.
type Sent uint8

const (
	// SentNow: a provider has it.
	SentNow Sent = iota
	// SentLater: no provider can take it now; it is stored and will be sent.
	SentLater
	// SentPerhaps: a provider did not say whether it has it. Nobody sends it a second
	// time, as that could double it.
	SentPerhaps
)

// Send sends a code to the number.
func (l *SMSLogin) Send(ctx context.Context, number string) (Sent, error) {
	n, err := phone.Parse(number, l.region)
	if err != nil {
		return 0, errs.InvalidInput("this is not a phone number")
	}
	ctx, fate := withFate(ctx)
	err = l.codes.Issue(ctx, loginPurpose, n.E164())
	switch {
	case err == nil && fate.later.Load():
		return SentLater, nil
	case err == nil:
		return SentNow, nil
	case errors.Is(err, otp.ErrLimited), refused(err):
		return 0, errs.TooManyCodes(err)
	case errors.Is(err, smsx.ErrUnknown):
		return SentPerhaps, nil
	case ctx.Err() != nil:
		return 0, err
	default:
		return 0, errs.Unavailable(err)
	}
}

// refused tells that a guard has decided, and not only failed to.
func refused(err error) bool {
	var blocked *guard.BlockedError
	return errors.As(err, &blocked) && blocked.Err == nil
}

// Login returns the id of the account with the number, which is made when there is
// none, if the code is the one that was sent there last.
func (l *SMSLogin) Login(ctx context.Context, number, code string) (int64, error) {
	n, err := phone.Parse(number, l.region)
	if err != nil {
		return 0, errs.InvalidInput("this is not a phone number")
	}
	ok, err := l.codes.Verify(ctx, loginPurpose, n.E164(), code)
	switch {
	case err != nil && ctx.Err() == nil:
		return 0, errs.Unavailable(err)
	case err != nil:
		return 0, err
	case !ok:
		return 0, errs.BadCode()
	}
	return l.users.FindOrCreateByPhone(ctx, n.E164())
}
