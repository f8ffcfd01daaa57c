package web

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ginx/session"
)

const wechatCallback = "/oauth2/wechat/callback"

// Wechat serves /oauth2/wechat.
type Wechat struct {
	logins   *service.WechatLogin
	sessions *session.Manager
	states   stateKeeper
}

// CookiePolicy says how the cookie of a login that is under way travels.
type CookiePolicy struct {
	// Key signs it: 32 random bytes or more.
	Key []byte
	// TTL is how long a visitor may take.
	TTL time.Duration
	// Insecure lets it travel over plain HTTP.
	Insecure bool
}

// NewWechat returns the handlers over the use case and the token sessions.
func NewWechat(logins *service.WechatLogin, sessions *session.Manager, p CookiePolicy) *Wechat {
	return &Wechat{logins: logins, sessions: sessions, states: stateKeeper{
		key: p.Key, ttl: p.TTL, path: wechatCallback, secure: !p.Insecure,
	}}
}

// Register adds the routes to r.
func (h *Wechat) Register(r gin.IRouter) {
	r.GET("/oauth2/wechat/authurl", ginx.Wrap(h.authURL))
	for _, method := range []string{http.MethodGet, http.MethodPost} { // as front ends use either
		r.Handle(method, wechatCallback, ginx.WrapQuery(h.callback))
	}
}

func (h *Wechat) authURL(context.Context) (ginx.Result, error) {
	state, cookie, err := h.states.issue()
	if err != nil {
		return ginx.Result{}, err
	}
	return ginx.Result{Data: h.logins.AuthURL(state), Header: http.Header{"Set-Cookie": {cookie.String()}}}, nil
}

type callbackReq struct {
	Code      string `form:"code" binding:"max=512"`
	State     string `form:"state" binding:"max=128"`
	Cookies   string `header:"Cookie"`
	UserAgent string `header:"User-Agent"`
}

func (h *Wechat) callback(ctx context.Context, req callbackReq) (ginx.Result, error) {
	if err := h.states.check(req.Cookies, req.State); err != nil {
		return ginx.Result{}, errs.LoginRefused(err)
	}
	id, err := h.logins.Login(ctx, req.State, req.Code)
	if err != nil {
		return ginx.Result{}, err
	}
	tokens, err := h.sessions.Issue(ctx, id, req.UserAgent)
	if err != nil {
		return ginx.Result{}, err
	}
	header := tokens.Header()
	header.Add("Set-Cookie", h.states.cookie("", -1).String())
	return ginx.Result{Msg: "logged in", Header: header}, nil
}
