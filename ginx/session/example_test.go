package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ginx/session"
)

// secret stands for one that a service reads from its secret store.
func secret() []byte {
	b := make([]byte, session.MinSecret)
	_, _ = rand.Read(b)
	return b
}

// The whole life of a session: login, use, refresh, logout.
func ExampleNew() {
	gin.SetMode(gin.TestMode)
	keys := session.Keys{
		Access:  []session.Key{{ID: "a1", Secret: secret()}},
		Refresh: []session.Key{{ID: "r1", Secret: secret()}},
	}
	sessions, err := session.New(session.NewMemoryStore(), keys, session.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, err := session.NewRules(
		session.Public("POST /users/login", "POST /users/refresh_token"),
		session.Optional("GET /articles/:id"),
		session.FailOpenFor(10*time.Minute, "GET /articles/:id", "GET /profile"),
	)
	if err != nil {
		fmt.Println(err)
		return
	}

	router := gin.New()
	router.Use(sessions.Login(rules))
	router.POST("/users/login", func(c *gin.Context) {
		// ... after the password was checked:
		tokens, err := sessions.Issue(c.Request.Context(), 42, c.Request.UserAgent())
		if err != nil {
			ginx.Abort(c, err)
			return
		}
		ginx.Render(c, ginx.Result{Header: tokens.Header()})
	})
	router.POST("/users/refresh_token", sessions.HandleRefresh())
	router.POST("/users/logout", sessions.HandleLogout())
	router.GET("/profile", ginx.WrapClaims(func(_ context.Context, claims session.Claims) (ginx.Result, error) {
		return ginx.Result{Data: claims.UserID}, nil
	}))

	send := func(method, path, token string) http.Header {
		r := httptest.NewRequest(method, path, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		fmt.Println(method, path, w.Code, w.Body)
		return w.Header()
	}
	send("GET", "/profile", "null")
	h := send("POST", "/users/login", "null")
	h = send("POST", "/users/refresh_token", h.Get(session.HeaderRefresh))
	access := h.Get(session.HeaderAccess)
	send("GET", "/profile", access)
	send("POST", "/users/logout", access)
	send("GET", "/profile", access)
	// Output:
	// GET /profile 401 {"code":4,"msg":"login required","data":null}
	// POST /users/login 200 {"code":0,"msg":"","data":null}
	// POST /users/refresh_token 200 {"code":0,"msg":"","data":null}
	// GET /profile 200 {"code":0,"msg":"","data":42}
	// POST /users/logout 200 {"code":0,"msg":"","data":null}
	// GET /profile 401 {"code":4,"msg":"login required","data":null}
}

func ExampleNewRules() {
	_, err := session.NewRules(session.Public("users/login"), session.PublicPrefix("/"))
	fmt.Println(err)
	var wrong *session.RuleError
	fmt.Println(errors.As(err, &wrong), wrong.Rule)
	// Output:
	// session: Public "users/login": must begin with a slash
	// session: PublicPrefix "/": must not be empty
	// true Public
}

func ExampleNewMemoryStore() {
	store := session.NewMemoryStore()
	ctx := context.Background()
	_ = store.Create(ctx, "a", time.Hour)
	generation, err := store.Rotate(ctx, "a", session.Rotation{Generation: 1, TTL: time.Hour})
	fmt.Println(generation, err)
	_, err = store.Rotate(ctx, "a", session.Rotation{Generation: 1, TTL: time.Hour})
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// session: refresh token reused
}

// A login with a cookie, and a field that lives as long as the session does.
func ExampleNewServerSide() {
	gin.SetMode(gin.TestMode)
	sessions, err := session.NewServerSide(session.NewMemoryData(), session.ServerSideConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, err := session.NewRules(session.Public("/login"))
	if err != nil {
		fmt.Println(err)
		return
	}
	router := gin.New()
	router.Use(sessions.Login(rules))
	router.POST("/login", ginx.Wrap(func(ctx context.Context) (ginx.Result, error) {
		s, _ := session.FromContext(ctx)
		if err := s.Start(ctx, 42); err != nil {
			return ginx.Result{}, err
		}
		return ginx.Result{}, s.Set(ctx, "theme", "dark")
	}))
	router.GET("/theme", ginx.WrapClaims(func(ctx context.Context, claims session.Claims) (ginx.Result, error) {
		s, _ := session.FromContext(ctx)
		theme, _, err := s.Get(ctx, "theme")
		return ginx.Result{Msg: theme, Data: claims.UserID}, err
	}))

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest("POST", "/login", http.NoBody))
	r := httptest.NewRequest("GET", "/theme", http.NoBody)
	r.AddCookie(w.Result().Cookies()[0])
	w = httptest.NewRecorder()
	router.ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output:
	// {"code":0,"msg":"dark","data":42}
}

func ExampleNewMemoryData() {
	data := session.NewMemoryData()
	ctx := context.Background()
	ref, _ := data.Create(ctx, session.Record{ID: "log-me", UserID: 42, EndsAt: time.Now().Add(24 * time.Hour)}, time.Hour)
	r, err := data.Access(ctx, ref, session.Access{Set: map[string]string{"theme": "dark"}, Get: []string{"theme"}})
	fmt.Println(r.UserID, r.Fields, err)
	_ = data.Drop(ctx, ref)
	_, err = data.Access(ctx, ref, session.Access{})
	fmt.Println(err)
	// Output:
	// 42 map[theme:dark] <nil>
	// session: revoked
}

// Sessions in the cookie itself: sealed anew with each change.
func ExampleNewCookieData() {
	data, err := session.NewCookieData(session.Key{ID: "k1", Secret: secret()})
	if err != nil {
		fmt.Println(err)
		return
	}
	sessions, err := session.NewServerSide(data, session.ServerSideConfig{
		Cookie: session.Cookie{SameSite: http.SameSiteStrictMode},
	})
	fmt.Println(sessions != nil, err)
	// Output: true <nil>
}
