package web

import (
	"context"
	"net/netip"

	"github.com/gin-gonic/gin"

	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/smsx/otp/guard"
)

// SMS serves the login with a code by text message.
type SMS struct {
	logins   *service.SMSLogin
	sessions *session.Manager
}

// NewSMS returns the handlers over the use case and the token sessions.
func NewSMS(logins *service.SMSLogin, sessions *session.Manager) *SMS {
	return &SMS{logins: logins, sessions: sessions}
}

// Register adds the routes to r.
func (h *SMS) Register(r gin.IRouter) {
	r.POST("/users/login_sms/code/send", withAddr, ginx.WrapBody(h.sendCode))
	r.POST("/users/login_sms", withAddr, ginx.WrapBody(h.login))
}

// withAddr tells the guard of codes who asks.
func withAddr(c *gin.Context) {
	addr, _ := netip.ParseAddr(c.ClientIP()) // invalid ones are one network
	c.Request = c.Request.WithContext(guard.WithAddr(c.Request.Context(), addr))
}

type sendCodeReq struct {
	Phone string `json:"phone" binding:"max=64"`
}

// sendCode answers with what front ends show as it is.
func (h *SMS) sendCode(ctx context.Context, req sendCodeReq) (ginx.Result, error) {
	sent, err := h.logins.Send(ctx, req.Phone)
	return ginx.Result{Msg: sentTexts[sent]}, err
}

var sentTexts = map[service.Sent]string{
	service.SentNow:     "sent",
	service.SentLater:   "accepted for later: the code comes as soon as it can be sent",
	service.SentPerhaps: "on its way; if nothing comes within a minute, ask for another one",
}

type loginSMSReq struct {
	Phone     string `json:"phone" binding:"max=64"`
	Code      string `json:"code" binding:"max=64"`
	UserAgent string `json:"-" header:"User-Agent"`
}

func (h *SMS) login(ctx context.Context, req loginSMSReq) (ginx.Result, error) {
	id, err := h.logins.Login(ctx, req.Phone, req.Code)
	if err != nil {
		return ginx.Result{}, err
	}
	tokens, err := h.sessions.Issue(ctx, id, req.UserAgent)
	return ginx.Result{Msg: "logged in", Header: tokens.Header()}, err
}
