package service

import (
	"context"
	"errors"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service/wechat"
)

// WechatClient is what trades a code for a person.
type WechatClient interface {
	AuthURL(state string) string
	Exchange(ctx context.Context, code string) (domain.WechatInfo, error)
}

// WechatLogin lets people in whom WeChat knows. It is safe for concurrent use.
type WechatLogin struct {
	users   *repository.Users
	states  *repository.LoginStates
	client  WechatClient
	gate    circuitbreaker.Gate
	timeout time.Duration
}

// NewWechatLogin returns the use case. Calls to WeChat pass the gate, and get
// timeout each.
func NewWechatLogin(users *repository.Users, states *repository.LoginStates, client WechatClient, gate circuitbreaker.Gate, timeout time.Duration) *WechatLogin {
	return &WechatLogin{users: users, states: states, client: client, gate: gate, timeout: timeout}
}

// AuthURL is where a visitor goes to agree; state comes back with them.
func (l *WechatLogin) AuthURL(state string) string { return l.client.AuthURL(state) }

// Login returns the id of the account of whoever agreed, which is made when there
// is none. A state lets one login in, and is spent before WeChat is asked: a code
// that somebody else has put into a visitor's browser must not get a second try.
func (l *WechatLogin) Login(ctx context.Context, state, code string) (int64, error) {
	if code == "" {
		return 0, errs.LoginRefused(wechat.ErrCode)
	}
	switch fresh, err := l.states.Spend(ctx, state); {
	case err != nil:
		return 0, business(err)
	case !fresh:
		return 0, errs.LoginRefused(errors.New("the state was used before"))
	}
	info, err := circuitbreaker.Do(ctx, l.gate, func(ctx context.Context) (domain.WechatInfo, error) {
		ctx, cancel := context.WithTimeout(ctx, l.timeout)
		defer cancel()
		return l.client.Exchange(ctx, code)
	})
	switch {
	case errors.Is(err, wechat.ErrCode):
		return 0, errs.LoginRefused(err)
	case err != nil && ctx.Err() == nil:
		return 0, errs.Unavailable(err)
	case err != nil:
		return 0, err
	}
	return l.users.FindOrCreateByWechat(ctx, info)
}

// WechatOutcome tells a breaker that a code which WeChat refuses is no failure of
// WeChat's.
func WechatOutcome(ctx context.Context, err error) circuitbreaker.Outcome {
	if errors.Is(err, wechat.ErrCode) {
		return circuitbreaker.Success
	}
	return circuitbreaker.Classify(ctx, err)
}
