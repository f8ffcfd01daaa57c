package session_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ginx/session"
)

// gate is a router behind the login check whose handlers answer with the user.
type gate struct {
	t      *testing.T
	router *gin.Engine
	last   *httptest.ResponseRecorder
}

func newGate(t *testing.T, m *session.Manager, rules ...session.Rule) *gate {
	t.Helper()
	checked, err := session.NewRules(rules...)
	require.NoError(t, err)
	return newGateBehind(t, m.Login(checked), func(r *gin.Engine) {
		r.POST("/users/refresh_token", m.HandleRefresh())
		r.POST("/users/logout", m.HandleLogout())
	})
}

func newGateBehind(t *testing.T, login gin.HandlerFunc, more ...func(*gin.Engine)) *gate {
	t.Helper()
	gin.SetMode(gin.TestMode)
	router := gin.New()
	router.Use(login)
	whoami := func(c *gin.Context) {
		claims, _ := ginx.ClaimsOf[session.Claims](c)
		ginx.Render(c, ginx.Result{Data: claims.UserID})
	}
	for _, path := range []string{"/articles/:id", "/articles/pub/:id", "/oauth2", "/oauth2/wechat/callback", "/oauth2x", "/users/login"} {
		router.Any(path, whoami)
	}
	for _, add := range more {
		add(router)
	}
	return &gate{t: t, router: router}
}

func (g *gate) do(method, path, token string) int {
	authorization := ""
	if token != "" {
		authorization = "Bearer " + token
	}
	return g.doAs(method, path, authorization)
}

func (g *gate) doAs(method, path, authorization string) int {
	g.t.Helper()
	r := httptest.NewRequestWithContext(g.t.Context(), method, path, http.NoBody)
	r.Header.Set("User-Agent", browser)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return g.send(r)
}

func (g *gate) send(r *http.Request) int {
	g.last = httptest.NewRecorder()
	g.router.ServeHTTP(g.last, r)
	return g.last.Code
}

// user is whom the last handler saw; it fails the test when none ran.
func (g *gate) user() int64 {
	g.t.Helper()
	var answer struct {
		Code int
		Data int64
	}
	require.NoError(g.t, json.Unmarshal(g.last.Body.Bytes(), &answer))
	require.Zero(g.t, answer.Code, g.last.Body)
	return answer.Data
}

func TestLoginIsDemandedWhereNoRuleSaysOtherwise(t *testing.T) {
	a := newArena(t)
	g := newGateBehind(t, a.m.Login(nil, &session.Rules{}))
	require.Equal(t, 401, g.do("GET", "/articles/7", ""))
	g = newGateBehind(t, a.m.Login())
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer null", "Bearer undefined", "Basic eDp5", "Bearer x", a.tokens.Access} {
		require.Equal(t, 401, g.doAs("GET", "/articles/7", authorization), authorization)
		require.JSONEq(t, `{"code":4,"msg":"login required","data":null}`, g.last.Body.String())
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "Bearer  "} {
		require.Equal(t, 200, g.doAs("GET", "/articles/7", scheme+a.tokens.Access))
		require.EqualValues(t, 42, g.user())
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{
		"Bearer a.b.c": "a.b.c", "bearer a": "a", "BEARER  a ": "a", "Bearer nullx": "nullx",
		"": "", "Bearer": "", "Bearer ": "", "Bearer null": "", "Bearer undefined": "", "Basic a": "", "a.b.c": "", "Bearera": "",
	} {
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		require.Equal(t, want, session.Bearer(r), "%q", header)
	}
}

func TestLoggedOutTokenIsRefused(t *testing.T) {
	a := newArena(t)
	g := newGate(t, a.m, session.Public("/users/refresh_token"))
	require.Equal(t, 200, g.do("GET", "/articles/7", a.tokens.Access))
	require.Equal(t, 200, g.do("POST", "/users/logout", a.tokens.Access))
	require.Equal(t, 401, g.do("GET", "/articles/7", a.tokens.Access))
	require.Equal(t, 401, g.do("POST", "/users/refresh_token", a.tokens.Refresh))
}

func TestLogoutHandlerTellsWhatWentWrong(t *testing.T) {
	managers, outages, tokens := nodes(t, 1)
	g := newGate(t, managers[0])
	outages[0].down = true
	require.Equal(t, 503, g.do("POST", "/users/logout", tokens.Access), "a logout that failed must not look done")
	outages[0].down = false
	require.Equal(t, 200, g.do("GET", "/articles/7", tokens.Access))
	g = newGate(t, managers[0], session.Public("/users/logout"))
	require.Equal(t, 401, g.do("POST", "/users/logout", tokens.Access), "without a login check there is nobody to log out")
}

func TestRefreshRouteNeedsTheRefreshTokenAndNothingElse(t *testing.T) {
	a := newArena(t)
	g := newGate(t, a.m, session.Public("/users/refresh_token"))
	require.Equal(t, 200, g.do("POST", "/users/refresh_token", a.tokens.Refresh))
	access, refresh := g.last.Header().Get("x-jwt-token"), g.last.Header().Get("x-refresh-token")
	require.NotEmpty(t, refresh)
	require.Equal(t, 200, g.do("GET", "/articles/7", access))
	require.EqualValues(t, 42, g.user())

	require.Equal(t, 401, g.do("POST", "/users/refresh_token", access))
	require.Equal(t, 401, g.do("POST", "/users/refresh_token", "null"))
	require.Empty(t, g.last.Header().Get("x-jwt-token"), "a refusal hands out nothing")
	require.Equal(t, 200, g.do("POST", "/users/refresh_token", refresh))
}

func TestPublicRoutesIgnoreTokens(t *testing.T) {
	a := newArena(t)
	g := newGate(t, a.m, session.Public("POST /users/login"), session.PublicPrefix("/oauth2"))
	for path, want := range map[string]int{
		"/oauth2": 200, "/oauth2/wechat/callback": 200, "/oauth2x": 401, "/articles/7": 401, "/nowhere": 401,
	} {
		require.Equal(t, want, g.do("GET", path, "garbage"), path)
	}
	require.Equal(t, 200, g.do("POST", "/users/login", "garbage"))
	require.Equal(t, 401, g.do("GET", "/users/login", "garbage"), "a rule with a method is about that method")
	require.Equal(t, 200, g.do("GET", "/oauth2", a.tokens.Access))
	require.Zero(t, g.user())
}

func TestOptionalRoutesKnowWhoIsLoggedIn(t *testing.T) {
	managers, outages, tokens := nodes(t, 2)
	outages[1].down = true
	g := newGate(t, managers[1], session.Optional("/articles/pub/:id"))
	require.Equal(t, 200, g.do("GET", "/articles/pub/7", tokens.Access))
	require.Zero(t, g.user(), "without the store nobody is known")
	outages[1].down = false
	for _, anonymous := range []string{"", "Bearer null", "Bearer garbage", "Bearer " + tokens.Refresh} {
		require.Equal(t, 200, g.doAs("GET", "/articles/pub/7", anonymous))
		require.Zero(t, g.user())
	}
	require.Equal(t, 200, g.do("GET", "/articles/pub/7", tokens.Access))
	require.EqualValues(t, 42, g.user())

	require.NoError(t, managers[1].Revoke(t.Context(), tokens.Claims.SessionID))
	require.Equal(t, 200, g.do("GET", "/articles/pub/7", tokens.Access))
	require.Zero(t, g.user(), "a logged-out user is anonymous")
}

func TestRulesAreAboutTemplatesNotPaths(t *testing.T) {
	a := newArena(t)
	g := newGate(t, a.m, session.Public("/articles/pub/:id"))
	require.Equal(t, 200, g.do("GET", "/articles/pub/7", ""))
	require.Equal(t, 401, g.do("GET", "/articles/pub", ""))
	require.Equal(t, 401, g.do("GET", "/articles/%70ub", ""))
	g = newGate(t, a.m, session.PublicPrefix("/oauth2"))
	for _, path := range []string{"/oauth2/../articles/7", "//oauth2", "/articles/pub/../7", "/Articles/pub/7"} {
		require.Equal(t, 401, g.do("GET", path, ""), path)
	}
}

func TestUnmatchedRequestsPassOnlyByRule(t *testing.T) {
	a := newArena(t)
	require.Equal(t, 401, newGate(t, a.m).do("GET", "/nowhere", ""))
	require.Equal(t, 404, newGate(t, a.m, session.PublicUnmatched()).do("GET", "/nowhere", ""))
	require.Equal(t, 401, newGate(t, a.m, session.PublicUnmatched()).do("GET", "/articles/7", ""))
}

func TestFailOpenRoutes(t *testing.T) {
	managers, outages, tokens := nodes(t, 1)
	g := newGate(t, managers[0], session.FailOpenFor(time.Minute, "POST /articles/:id"))
	outages[0].down = true
	require.Eventually(t, func() bool { return g.do("GET", "/articles/7", tokens.Access) == 503 }, 5*time.Second, 50*time.Millisecond)
	require.Equal(t, 200, g.do("POST", "/articles/7", tokens.Access))
	require.EqualValues(t, 42, g.user())
	require.Equal(t, 503, g.do("GET", "/articles/7", tokens.Access))
}

func TestRulesAreChecked(t *testing.T) {
	for name, rule := range map[string]session.Rule{
		"no route":            session.Public(),
		"empty route":         session.Public(""),
		"relative":            session.Public("users/login"),
		"query":               session.Public("/users?x=1"),
		"unknown method":      session.Optional("FETCH /users"),
		"lower-case method":   session.Optional("get /users"),
		"everything":          session.PublicPrefix("/"),
		"empty prefix":        session.PublicPrefix(""),
		"prefix with method":  session.PublicPrefix("GET /users"),
		"no outage":           session.FailOpenFor(0),
		"negative outage":     session.FailOpenFor(-time.Second, "/users"),
		"outage without end":  session.FailOpenFor(25*time.Hour, "/users"),
		"not from a function": {},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := session.NewRules(rule)
			var wrong *session.RuleError
			require.ErrorAs(t, err, &wrong)
			require.NotEmpty(t, wrong.Reason)
		})
	}
	_, err := session.NewRules(session.Public("/a"), session.Optional("/a"))
	require.ErrorContains(t, err, "both Public and Optional")
	_, err = session.NewRules(session.FailOpenFor(time.Minute, "/a"), session.FailOpenFor(time.Hour, "/a"))
	require.ErrorContains(t, err, "has 1m0s already")
	_, err = session.NewRules(session.FailOpenFor(time.Minute), session.FailOpenFor(time.Hour))
	require.ErrorContains(t, err, "have 1m0s already")
	_, err = session.NewRules(session.Public("/a", "/a"), session.PublicPrefix("/b/"), session.FailOpenFor(time.Minute, "/c"))
	require.NoError(t, err)
	_, err = session.NewRules(session.Public("a"), session.FailOpenFor(0))
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok && len(joined.Unwrap()) == 2, "all violations come at once")
	require.False(t, errors.Is(err, session.ErrInvalid))
}
