// Package web is the HTTP edge: it binds requests, calls a use case and shapes the
// answer. Everything that is the same for each route is ginx's.
package web

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ginx/session"
)

// Users serves /users.
type Users struct {
	users    *service.Users
	sessions *session.Manager
	rules    *session.Rules
	limit    gin.HandlerFunc
}

// NewUsers returns the handlers over the use cases and the token sessions. The
// rules say what the login check of the private routes does in an outage, and limit
// stands behind it.
func NewUsers(users *service.Users, sessions *session.Manager, rules *session.Rules, limit gin.HandlerFunc) *Users {
	return &Users{users: users, sessions: sessions, rules: rules, limit: limit}
}

// Register adds the routes to r.
func (h *Users) Register(r gin.IRouter) {
	open := r.Group("/users")
	open.POST("/signup", ginx.WrapBody(h.signUp))
	open.POST("/login", ginx.WrapBody(h.login))
	open.POST("/refresh_token", h.sessions.HandleRefresh())
	open.GET("/refresh_token", h.sessions.HandleRefresh()) // some front ends use GET

	private := r.Group("/users", h.sessions.Login(h.rules), h.limit)
	private.POST("/logout", h.sessions.HandleLogout())
	private.GET("/profile", ginx.WrapClaims(h.profile))
	private.POST("/edit", ginx.WrapBodyClaims(h.edit))
}

type signUpReq struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	// Front ends send the confirmation under either name.
	Confirm      string `json:"confirmPassword"`
	ConfirmSnake string `json:"confirm_password"`
}

func (r signUpReq) confirmed() bool {
	if r.Confirm == "" {
		return r.ConfirmSnake == r.Password
	}
	return r.Confirm == r.Password && (r.ConfirmSnake == "" || r.ConfirmSnake == r.Password)
}

func (h *Users) signUp(ctx context.Context, req signUpReq) (ginx.Result, error) {
	if !req.confirmed() {
		return ginx.Result{}, errs.InvalidInput("the two passwords differ")
	}
	_, err := h.users.SignUp(ctx, req.Email, req.Password)
	return ginx.Result{Msg: "signed up"}, err
}

type loginReq struct {
	Email     string `json:"email"`
	Password  string `json:"password"`
	UserAgent string `json:"-" header:"User-Agent"`
}

func (h *Users) login(ctx context.Context, req loginReq) (ginx.Result, error) {
	id, err := h.users.Login(ctx, req.Email, req.Password)
	if err != nil {
		return ginx.Result{}, err
	}
	tokens, err := h.sessions.Issue(ctx, id, req.UserAgent)
	return ginx.Result{Msg: "logged in", Header: tokens.Header()}, err
}

func (h *Users) profile(ctx context.Context, claims session.Claims) (ginx.Result, error) {
	user, err := h.users.Profile(ctx, claims.UserID)
	return ginx.Result{Body: newProfile(user)}, err
}

type editReq struct {
	Nickname string `json:"nickname"`
	Birthday string `json:"birthday"`
	AboutMe  string `json:"aboutMe"`
}

func (h *Users) edit(ctx context.Context, req editReq, claims session.Claims) (ginx.Result, error) {
	err := h.users.Edit(ctx, claims.UserID, service.Edit{Nickname: req.Nickname, Birthday: req.Birthday, AboutMe: req.AboutMe})
	return ginx.Result{Msg: "saved"}, err
}

// profile is the superset that serves both generations of front ends: the five
// names at the top, and the envelope with the same values in data.
type profile struct {
	Email    string
	Phone    string
	Nickname string
	Birthday string
	AboutMe  string
	Code     int         `json:"code"`
	Msg      string      `json:"msg"`
	Data     profileData `json:"data"`
}

type profileData struct {
	Email    string `json:"email"`
	Phone    string `json:"phone"`
	Nickname string `json:"nickname"`
	Birthday string `json:"birthday"`
	AboutMe  string `json:"aboutMe"`
}

func newProfile(u domain.User) profile {
	d := profileData{Email: u.Email, Phone: u.Phone, Nickname: u.Nickname, AboutMe: u.AboutMe}
	if !u.Birthday.IsZero() {
		d.Birthday = u.Birthday.Format(time.DateOnly)
	}
	return profile{
		Email: d.Email, Phone: d.Phone, Nickname: d.Nickname, Birthday: d.Birthday, AboutMe: d.AboutMe, Data: d,
	}
}
