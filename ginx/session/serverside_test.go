package session_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ginx/session"
)

// dataOutage puts faults in front of a data store, and counts.
type dataOutage struct {
	session.DataStore
	down     bool
	accessed atomic.Int64
	extended atomic.Int64
}

func (o *dataOutage) Access(ctx context.Context, ref string, a session.Access) (session.Record, error) {
	o.accessed.Add(1)
	if o.down {
		return session.Record{}, errOutage
	}
	r, err := o.DataStore.Access(ctx, ref, a)
	if r.Extended {
		o.extended.Add(1)
	}
	return r, err
}

func (o *dataOutage) Create(ctx context.Context, r session.Record, ttl time.Duration) (string, error) {
	if o.down {
		return "", errOutage
	}
	return o.DataStore.Create(ctx, r, ttl)
}

func (o *dataOutage) Drop(ctx context.Context, ref string) error {
	if o.down {
		return errOutage
	}
	return o.DataStore.Drop(ctx, ref)
}

// site is a service with server-side sessions, and browser a browser's cookie.
type site struct {
	*gate
	cookie *http.Cookie
}

func newSite(t *testing.T, store session.DataStore, cfg session.ServerSideConfig, rules ...session.Rule) *site {
	t.Helper()
	s, err := session.NewServerSide(store, cfg)
	require.NoError(t, err)
	checked, err := session.NewRules(append(rules, session.Public("/login", "/cart"))...)
	require.NoError(t, err)
	act := func(f func(ctx context.Context, x *session.Session) error) gin.HandlerFunc {
		return func(c *gin.Context) {
			x, ok := session.FromContext(c.Request.Context())
			require.True(t, ok)
			if err := f(c.Request.Context(), x); err != nil {
				ginx.Abort(c, err)
				return
			}
			ginx.Render(c, ginx.Result{})
		}
	}
	return &site{gate: newGateBehind(t, s.Login(checked), func(r *gin.Engine) {
		r.GET("/me", ginx.WrapClaims(func(_ context.Context, claims session.Claims) (ginx.Result, error) {
			return ginx.Result{Data: claims.UserID}, nil
		}))
		r.POST("/login", act(func(ctx context.Context, x *session.Session) error { return x.Start(ctx, 42) }))
		r.POST("/logout", act(func(ctx context.Context, x *session.Session) error { return x.End(ctx) }))
		r.PUT("/cart", act(func(ctx context.Context, x *session.Session) error { return x.Set(ctx, "cart", "tea") }))
		r.DELETE("/cart", act(func(ctx context.Context, x *session.Session) error { return x.Delete(ctx, "cart") }))
		r.GET("/cart", func(c *gin.Context) {
			x, _ := session.FromContext(c.Request.Context())
			cart, ok, err := x.Get(c.Request.Context(), "cart")
			require.NoError(t, err)
			c.String(200, "%v %v", cart, ok)
		})
	})}
}

// do sends a request with the cookie, and keeps the one that comes back.
func (s *site) do(method, path string) int {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, http.NoBody)
	if s.cookie != nil {
		r.AddCookie(s.cookie)
	}
	code := s.send(r)
	cookies := s.last.Result().Cookies()
	require.LessOrEqual(s.t, len(cookies), 1)
	for _, c := range cookies {
		s.cookie = c
		if c.MaxAge < 0 {
			s.cookie = nil
		}
	}
	return code
}

func (s *site) cart() string {
	s.t.Helper()
	require.Equal(s.t, 200, s.do("GET", "/cart"))
	return s.last.Body.String()
}

func eachData(t *testing.T, test func(t *testing.T, store session.DataStore)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { test(t, session.NewMemoryData()) })
	t.Run("cookie", func(t *testing.T) {
		store, err := session.NewCookieData(newKey("c"))
		require.NoError(t, err)
		test(t, store)
	})
}

func TestServerSideLoginAndLogout(t *testing.T) {
	eachData(t, func(t *testing.T, store session.DataStore) {
		s := newSite(t, store, session.ServerSideConfig{})
		require.Equal(t, 401, s.do("GET", "/me"))
		require.Equal(t, 200, s.do("POST", "/login"))
		require.Equal(t, 200, s.do("GET", "/me"))
		require.EqualValues(t, 42, s.user())
		require.Equal(t, 200, s.do("POST", "/logout"))
		require.Nil(t, s.cookie, "the cookie goes")
		require.Equal(t, 401, s.do("GET", "/me"))
	})
}

func TestServerSideLogoutEndsTheSessionNotOnlyTheCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := session.NewMemoryData()
		here := newSite(t, store, session.ServerSideConfig{})
		there := newSite(t, store, session.ServerSideConfig{})
		require.Equal(t, 200, here.do("POST", "/login"))
		stolen := here.cookie
		there.cookie = stolen
		require.Equal(t, 200, there.do("GET", "/me"))
		require.Equal(t, 200, here.do("POST", "/logout"))
		here.cookie = stolen
		require.Equal(t, 401, here.do("GET", "/me"), "at once where it happened")
		wait(time.Second)
		require.Equal(t, 401, there.do("GET", "/me"), "a second later elsewhere")
	})
}

func TestCookieHasSafeAttributes(t *testing.T) {
	s := newSite(t, session.NewMemoryData(), session.ServerSideConfig{})
	s.do("POST", "/login")
	line := s.last.Header().Get("Set-Cookie")
	require.True(t, strings.HasPrefix(line, "__Host-session="), line)
	for _, attribute := range []string{"; Path=/", "; Max-Age=604800", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		require.Contains(t, line, attribute)
	}
	require.NotContains(t, line, "Domain")

	s = newSite(t, session.NewMemoryData(), session.ServerSideConfig{
		IdleTTL: time.Hour,
		Cookie:  session.Cookie{Name: "sid", Path: "/app", Domain: "example.com", SameSite: http.SameSiteStrictMode, AllowHTTP: true, AllowScripts: true},
	})
	s.do("POST", "/login")
	line = s.last.Header().Get("Set-Cookie")
	require.Regexp(t, `^sid=[A-Z2-7]+; Path=/app; Domain=example.com; Max-Age=3600; SameSite=Strict$`, line)
}

func TestServerSideConfigIsChecked(t *testing.T) {
	for want, cfg := range map[string]session.ServerSideConfig{
		"IdleTTL 1ms":             {IdleTTL: time.Millisecond},
		"IdleTTL 48h0m0s":         {IdleTTL: 48 * time.Hour, SessionTTL: 24 * time.Hour},
		"Interval -1s":            {Interval: -time.Second},
		"Interval 1m0s":           {Interval: time.Minute, IdleTTL: time.Minute},
		"CacheTTL 1h0m0s":         {CacheTTL: time.Hour},
		"CacheSize -1":            {CacheSize: -1},
		"StoreTimeout 5s":         {StoreTimeout: 5 * time.Second},
		"SameSite None":           {Cookie: session.Cookie{SameSite: http.SameSiteNoneMode, AllowHTTP: true}},
		`"__Host-x": needs HTTPS`: {Cookie: session.Cookie{Name: "__Host-x", Domain: "example.com"}},
		`"__Secure-x"`:            {Cookie: session.Cookie{Name: "__Secure-x", AllowHTTP: true}},
		"invalid Cookie.Name":     {Cookie: session.Cookie{Name: "a b"}},
		"in Cookie.Path":          {Cookie: session.Cookie{Path: "/;"}},
	} {
		t.Run(want, func(t *testing.T) {
			_, err := session.NewServerSide(session.NewMemoryData(), cfg)
			require.ErrorContains(t, err, want)
		})
	}
	_, err := session.NewServerSide(nil, session.ServerSideConfig{})
	require.ErrorContains(t, err, "store is nil")
}

func TestLoginTakesANewIDAndNothingFromBefore(t *testing.T) {
	eachData(t, func(t *testing.T, store session.DataStore) {
		s := newSite(t, store, session.ServerSideConfig{})
		require.Equal(t, 200, s.do("PUT", "/cart"))
		planted := s.cookie
		require.NotNil(t, planted, "an anonymous session")
		require.Equal(t, 401, s.do("GET", "/me"))
		require.Equal(t, "tea true", s.cart())

		require.Equal(t, 200, s.do("POST", "/login"))
		require.NotEqual(t, planted.Value, s.cookie.Value)
		require.Equal(t, " false", s.cart())
		s.cookie = planted
		require.Equal(t, 401, s.do("GET", "/me"), "who planted the cookie is not logged in")
	})
}

func TestLoginEndsTheSessionBefore(t *testing.T) {
	s := newSite(t, session.NewMemoryData(), session.ServerSideConfig{})
	require.Equal(t, 200, s.do("PUT", "/cart"))
	before := s.cookie
	require.Equal(t, 200, s.do("POST", "/login"))
	s.cookie = before
	require.Equal(t, " false", s.cart())
}

func TestReferenceOfTheClientsChoiceIsNeverTakenOver(t *testing.T) {
	eachData(t, func(t *testing.T, store session.DataStore) {
		s := newSite(t, store, session.ServerSideConfig{})
		s.cookie = &http.Cookie{Name: "__Host-session", Value: "chosen"}
		require.Equal(t, " false", s.cart())
		require.Equal(t, 200, s.do("DELETE", "/cart"))
		require.Equal(t, 200, s.do("PUT", "/cart"))
		require.NotEqual(t, "chosen", s.cookie.Value)
		require.Equal(t, "tea true", s.cart())
	})
}

func TestDeletingAFieldKeepsTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eachDataInBubble(t, func(store session.DataStore) {
			s := newSite(t, store, session.ServerSideConfig{})
			s.do("POST", "/login")
			require.Equal(t, 200, s.do("PUT", "/cart"))
			require.Equal(t, "tea true", s.cart())
			require.Equal(t, 200, s.do("DELETE", "/cart"))
			require.Equal(t, " false", s.cart())
			wait(2 * time.Second) // nothing is remembered any more
			require.Equal(t, 200, s.do("GET", "/me"))
			require.EqualValues(t, 42, s.user())
		})
	})
}

func TestUseExtendsTheSessionOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &dataOutage{DataStore: session.NewMemoryData()}
		s := newSite(t, store, session.ServerSideConfig{IdleTTL: time.Minute})
		s.do("POST", "/login")
		cookies := 0
		for range 600 { // 60 seconds at 10 requests per second
			wait(100 * time.Millisecond)
			require.Equal(t, 200, s.do("GET", "/me"))
			cookies += len(s.last.Header()["Set-Cookie"])
		}
		require.EqualValues(t, 6, store.extended.Load())
		require.LessOrEqual(t, store.accessed.Load(), int64(60), "no read per request, but one per second")
		require.Equal(t, 6, cookies, "the cookie lives on with the session")
		wait(time.Minute)
		require.Equal(t, 401, s.do("GET", "/me"), "an idle session ends")
	})
}

func TestChangesAreUseOfASessionThatNobodyIsLoggedInTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eachDataInBubble(t, func(store session.DataStore) {
			s := newSite(t, store, session.ServerSideConfig{})
			for range 3 { // of which none passes a login check
				require.Equal(t, 200, s.do("PUT", "/cart"))
				require.NotEmpty(t, s.last.Header()["Set-Cookie"], "the browser keeps it as long")
				wait(6 * 24 * time.Hour)
				require.Equal(t, "tea true", s.cart())
			}
		})
	})
}

func TestUseNeverMovesTheAbsoluteEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eachDataInBubble(t, func(store session.DataStore) {
			s := newSite(t, store, session.ServerSideConfig{IdleTTL: time.Hour, SessionTTL: 3 * time.Hour})
			s.do("POST", "/login")
			for range 5 {
				wait(30 * time.Minute)
				require.Equal(t, 200, s.do("GET", "/me"))
			}
			require.LessOrEqual(t, s.cookie.MaxAge, 1800)
			wait(30 * time.Minute)
			require.Equal(t, 401, s.do("GET", "/me"))
		})
	})
}

func eachDataInBubble(t *testing.T, test func(store session.DataStore)) {
	t.Helper()
	sealed, err := session.NewCookieData(newKey("c"))
	require.NoError(t, err)
	for _, store := range []session.DataStore{session.NewMemoryData(), sealed} {
		test(store)
	}
}

func TestServerSideOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &dataOutage{DataStore: session.NewMemoryData()}
		s := newSite(t, store, session.ServerSideConfig{}, session.FailOpenFor(10*time.Minute, "GET /me"))
		s.do("POST", "/login")
		store.down = true
		wait(5 * time.Minute)
		require.Equal(t, 200, s.do("GET", "/me"))
		require.EqualValues(t, 42, s.user())
		require.Equal(t, 503, s.do("GET", "/articles/7"))
		require.Equal(t, 503, s.do("POST", "/logout"))
		require.NotNil(t, s.cookie, "a logout that failed says so")
		require.Equal(t, 503, s.do("PUT", "/cart"))
		unknown := &site{gate: s.gate, cookie: &http.Cookie{Name: s.cookie.Name, Value: "x"}}
		require.Equal(t, 503, unknown.do("GET", "/me"), "nobody is trusted who is not known here")
		wait(5 * time.Minute)
		require.Equal(t, 503, s.do("GET", "/me"))
		store.down = false
		require.Equal(t, 200, s.do("GET", "/articles/7"))
	})
}

func TestServerSideOutageIsAnErrorOfEveryChange(t *testing.T) {
	store := &dataOutage{DataStore: session.NewMemoryData()}
	s := newSite(t, store, session.ServerSideConfig{})
	require.Equal(t, 200, s.do("PUT", "/cart"))
	cookie := s.cookie
	store.down = true
	for _, request := range [][2]string{{"POST", "/login"}, {"PUT", "/cart"}, {"DELETE", "/cart"}} {
		require.Equal(t, 503, s.do(request[0], request[1]), request)
		require.Equal(t, cookie, s.cookie, "nothing has changed")
	}
	s.cookie = nil
	for _, request := range [][2]string{{"POST", "/login"}, {"PUT", "/cart"}} {
		require.Equal(t, 503, s.do(request[0], request[1]), request)
		require.Nil(t, s.cookie)
	}
}

func TestFieldsOfAnEndedLoginAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := session.NewMemoryData()
		sessions, err := session.NewServerSide(store, session.ServerSideConfig{})
		require.NoError(t, err)
		s := newSite(t, store, session.ServerSideConfig{})
		require.Equal(t, 200, s.do("POST", "/login"))

		var errs []error
		router := newGateBehind(t, sessions.Login(), func(r *gin.Engine) {
			r.GET("/fields", func(c *gin.Context) {
				ctx := c.Request.Context()
				x, _ := session.FromContext(ctx)
				require.ErrorContains(t, x.Start(ctx, 0), "user id")
				require.NoError(t, store.Drop(ctx, s.cookie.Value)) // a logout meanwhile
				_, _, err := x.Get(ctx, "cart")
				errs = append(errs, err, x.Set(ctx, "cart", "tea"), x.Delete(ctx, "cart"))
			})
		})
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/fields", http.NoBody)
		r.AddCookie(s.cookie)
		require.Equal(t, 200, router.send(r))
		require.Len(t, errs, 3)
		for _, err := range errs {
			require.ErrorIs(t, err, session.ErrRevoked, "not an anonymous session in its place")
		}
	})
}

func TestSealedSessionThatDoesNotFitIsAnError(t *testing.T) {
	store, err := session.NewCookieData(newKey("c"))
	require.NoError(t, err)
	ref, err := store.Create(t.Context(), session.Record{ID: "id", UserID: 7, EndsAt: time.Now().Add(time.Hour)}, time.Hour)
	require.NoError(t, err)
	r, err := store.Access(t.Context(), ref, session.Access{Set: map[string]string{"a": strings.Repeat("x", 2700)}})
	require.NoError(t, err)
	require.LessOrEqual(t, len(r.Ref), session.MaxRef)
	_, err = store.Access(t.Context(), r.Ref, session.Access{Set: map[string]string{"b": strings.Repeat("x", 100)}})
	require.ErrorIs(t, err, session.ErrTooLarge)
	_, err = store.Access(t.Context(), r.Ref, session.Access{})
	require.NoError(t, err, "the one before is as good as ever")
}

func TestSealedSessionIsSecretAndCanNotBeForged(t *testing.T) {
	old := newKey("old")
	store, err := session.NewCookieData(old)
	require.NoError(t, err)
	ref, err := store.Create(t.Context(), session.Record{ID: "the-id", UserID: 7, EndsAt: time.Now().Add(time.Hour)}, time.Hour)
	require.NoError(t, err)
	require.NotContains(t, ref, "the-id")
	for i := range ref {
		for _, c := range "A_" {
			forged := ref[:i] + string(c) + ref[i+1:]
			if forged == ref {
				continue
			}
			_, err := store.Access(t.Context(), forged, session.Access{})
			require.ErrorIs(t, err, session.ErrRevoked, "byte %d", i)
		}
	}
	both, err := session.NewCookieData(newKey("new"), old)
	require.NoError(t, err)
	r, err := both.Access(t.Context(), ref, session.Access{TTL: time.Hour})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(r.Ref, "new."), "an extension seals with the first key")
	other, err := session.NewCookieData(newKey("old"))
	require.NoError(t, err)
	_, err = other.Access(t.Context(), ref, session.Access{})
	require.ErrorIs(t, err, session.ErrRevoked)
	for _, keys := range [][]session.Key{nil, {{ID: "k", Secret: old.Secret[:31]}}, {{ID: "a.b", Secret: old.Secret}}} {
		_, err = session.NewCookieData(keys...)
		require.Error(t, err)
	}
}

func TestServerSideSessionsAreNotThereWithoutTheMiddleware(t *testing.T) {
	_, ok := session.FromContext(t.Context())
	require.False(t, ok)
}
