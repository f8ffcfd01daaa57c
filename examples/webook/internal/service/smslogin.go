package service

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/smsx/otp"
	"github.com/bulwark-go/bulwark/smsx/phone"
)

// loginPurpose keeps these codes apart from those for anything else.
const loginPurpose = "login"

// SMSLogin lets people in who hold a phone. It is safe for concurrent use.
type SMSLogin struct {
	users  *repository.Users
	codes  *otp.Codes
	region string
}

// NewSMSLogin returns the use case. Numbers without a country code are of the
// region, such as "CN".
func NewSMSLogin(users *repository.Users, codes *otp.Codes, region string) *SMSLogin {
	return &SMSLogin{users: users, codes: codes, region: region}
}

// Send sends a code to the number, and tells whether it is on its way or will be
// sent later, as no provider can take it now.
func (l *SMSLogin) Send(ctx context.Context, number string) (later bool, err error) {
	n, err := phone.Parse(number, l.region)
	if err != nil {
		return false, errs.InvalidInput("this is not a phone number")
	}
	ctx, fate := withFate(ctx)
	err = l.codes.Issue(ctx, loginPurpose, n.E164())
	switch {
	case errors.Is(err, otp.ErrLimited):
		return false, errs.TooManyCodes(err)
	case err != nil && ctx.Err() == nil:
		return false, errs.Unavailable(err)
	}
	return fate.later.Load(), err
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
