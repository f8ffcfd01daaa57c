package session

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/observe"
)

// checkKind is one login check. A request without a token on a route that does
// not demand one is Skipped; a session taken on trust is Degraded.
var checkKind = observe.Kind{
	Component: "session", Action: "check",
	Help: "Login checks of requests.", Role: observe.Internal,
}

// Login returns the middleware that demands an access token in the Authorization
// header of every request, except where rules say otherwise. Without rules it
// demands one everywhere and fails closed. Several sets of rules are asked in
// turn for one that does not demand a login; nil ones are skipped.
//
// The handler finds [Claims] through ginx.ClaimsOf or the wrappers with claims.
// Refused requests end with 401 or, when the store is away, 503, through
// ginx.Abort. Put it behind CORS, so that preflights and refusals carry their
// headers.
func (m *Manager) Login(rules ...*Rules) gin.HandlerFunc {
	return loginCheck(rules, m.settings.observer, Bearer, func(ctx context.Context, r *http.Request, token string, open time.Duration) (Claims, bool, error) {
		return m.verify(ctx, token, r.UserAgent(), open)
	})
}

// verifyFunc checks what identified finds in a request.
type verifyFunc func(ctx context.Context, r *http.Request, token string, failOpen time.Duration) (Claims, bool, error)

// loginCheck is the one login check, whatever carries the session.
func loginCheck(rules []*Rules, o observe.Observer, find func(*http.Request) string, verify verifyFunc) gin.HandlerFunc {
	check := func(r *http.Request, failOpen time.Duration) (Claims, error) {
		ctx, end := o.Start(r.Context(), observe.Operation{Kind: &checkKind})
		result := observe.Result{Outcome: observe.Panicked} // unless we get to the end
		defer func() { end(result) }()
		token := find(r)
		claims, onTrust, err := verify(ctx, r, token, failOpen)
		result = observe.Result{Outcome: outcome(token, onTrust, err), Err: err}
		return claims, err
	}
	return func(c *gin.Context) {
		demand, open := matchAny(rules, c.Request.Method, c.FullPath())
		if demand == public {
			c.Next()
			return
		}
		claims, err := check(c.Request, open)
		if err == nil {
			ginx.SetClaims(c, claims)
			ginx.SetUser(c, strconv.FormatInt(claims.UserID, 10))
		} else if demand == required {
			ginx.Abort(c, refuse(err))
			return
		}
		c.Next()
	}
}

func outcome(token string, onTrust bool, err error) observe.Outcome {
	switch {
	case err == nil && onTrust:
		return observe.Degraded
	case token == "":
		return observe.Skipped
	case isRefusal(err):
		return observe.Rejected
	}
	return observe.OutcomeOf(err)
}

func matchAny(rules []*Rules, method, route string) (demand, time.Duration) {
	var longest time.Duration
	for _, rs := range rules {
		demand, open := rs.match(method, route)
		if demand != required {
			return demand, open
		}
		longest = max(longest, open)
	}
	return required, longest
}

// Bearer returns the token in the request's Authorization header, "" when there
// is none. Front ends without a token send "Bearer null" or "Bearer undefined";
// these are none.
func Bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "null" || token == "undefined" {
		return ""
	}
	return token
}

// HandleRefresh returns the handler that trades the refresh token in the
// Authorization header for the next pair, which it sends in the headers. Its
// route must be [Public]: an access token is not needed and not looked at.
func (m *Manager) HandleRefresh() gin.HandlerFunc {
	return func(c *gin.Context) {
		tokens, err := m.Refresh(c.Request.Context(), Bearer(c.Request), c.Request.UserAgent())
		if err != nil {
			ginx.Abort(c, err)
			return
		}
		ginx.Render(c, ginx.Result{Header: tokens.Header()})
	}
}

// HandleLogout returns the handler that ends the caller's session. Its route
// needs a login.
func (m *Manager) HandleLogout() gin.HandlerFunc {
	return func(c *gin.Context) {
		claims, ok := ginx.ClaimsOf[Claims](c)
		if !ok {
			ginx.Abort(c, refuse(ErrMissing))
			return
		}
		if err := m.Revoke(c.Request.Context(), claims.SessionID); err != nil {
			ginx.Abort(c, err)
			return
		}
		ginx.Render(c, ginx.Result{})
	}
}
