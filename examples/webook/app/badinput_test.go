package app_test

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// bad is a request that fails, and how.
type bad struct {
	name, method, path string
	body, contentType  string
	token              string
	status, code       int
}

func badRequests(login answer) []bad {
	const signUp, logIn, edit = "/users/signup", "/users/login", "/users/edit"
	post, long := http.MethodPost, strings.Repeat("x", 2000)
	valid := login.access()
	return []bad{
		{name: "malformed JSON", method: post, path: signUp, body: `{"email":`, status: 400, code: 4},
		{name: "no JSON at all", method: post, path: signUp, body: `hello`, status: 400, code: 4},
		{name: "empty body", method: post, path: signUp, status: 400, code: 4},
		{name: "two values", method: post, path: signUp, body: `{}{}`, status: 400, code: 4},
		{name: "wrong type", method: post, path: signUp, body: `{"email":5}`, status: 400, code: 4},
		{name: "an array", method: post, path: signUp, body: `[]`, status: 400, code: 4},
		{name: "not declared as JSON", method: post, path: signUp, body: `{}`, contentType: "text/plain", status: 415, code: 4},
		{name: "huge body", method: post, path: signUp, body: `{"email":"` + strings.Repeat("a", 2<<20) + `"}`, status: 413, code: 4},
		{name: "missing fields", method: post, path: signUp, body: `{}`, status: 200, code: 401001},
		{name: "bad e-mail", method: post, path: signUp, body: credentials("nonsense"), status: 200, code: 401001},
		{name: "weak password", method: post, path: signUp, body: `{"email":"b@example.com","password":"12345678","confirmPassword":"12345678"}`, status: 200, code: 401001},
		{name: "passwords differ", method: post, path: signUp, body: `{"email":"b@example.com","password":"` + password + `","confirmPassword":"other"}`, status: 200, code: 401001},
		{name: "no confirmation", method: post, path: signUp, body: `{"email":"b@example.com","password":"` + password + `"}`, status: 200, code: 401001},
		{name: "confirmations differ", method: post, path: signUp, body: `{"email":"b@example.com","password":"` + password + `","confirmPassword":"` + password + `","confirm_password":"x"}`, status: 200, code: 401001},
		{name: "duplicate e-mail", method: post, path: signUp, body: credentials("ann@example.com"), status: 200, code: 401003},
		{name: "wrong password", method: post, path: logIn, body: `{"email":"ann@example.com","password":"wrong#horse7"}`, status: 200, code: 401002},
		{name: "unknown user", method: post, path: logIn, body: credentials("nobody@example.com"), status: 200, code: 401002},
		{name: "login without fields", method: post, path: logIn, body: `{}`, status: 200, code: 401002},
		{name: "unknown route", method: http.MethodGet, path: "/nope/" + long, status: 404, code: 4},
		{name: "path tricks", method: http.MethodGet, path: "/users/..%2f..%2fetc", status: 404, code: 4},
		{name: "slash too many", method: post, path: signUp + "/", body: `{}`, status: 404, code: 4},
		{name: "slash too many in a read", method: http.MethodGet, path: "/users/profile/", status: 404, code: 4},
		{name: "double slash", method: http.MethodGet, path: "//users/profile", status: 404, code: 4},
		{name: "wrong method", method: http.MethodGet, path: signUp, status: 405, code: 4},
		{name: "odd method", method: "BREW", path: "/users/profile", status: 405, code: 4},
		{name: "no token", method: http.MethodGet, path: "/users/profile", status: 401, code: 4},
		{name: "the front end's null token", method: http.MethodGet, path: "/users/profile", token: "null", status: 401, code: 4},
		{name: "garbage token", method: http.MethodGet, path: "/users/profile", token: "a.b.c", status: 401, code: 4},
		{name: "changed token", method: http.MethodGet, path: "/users/profile", token: valid[:len(valid)-2] + "xx", status: 401, code: 4},
		{name: "refresh token as access token", method: http.MethodGet, path: "/users/profile", token: login.refresh(), status: 401, code: 4},
		{name: "access token as refresh token", method: post, path: "/users/refresh_token", token: valid, status: 401, code: 4},
		{name: "refresh without token", method: post, path: "/users/refresh_token", status: 401, code: 4},
		{name: "logout without token", method: post, path: "/users/logout", status: 401, code: 4},
		{name: "edit without token", method: post, path: edit, body: `{}`, status: 401, code: 4},
		{name: "edit without nickname", method: post, path: edit, body: `{}`, token: valid, status: 200, code: 401001},
		{name: "edit with an overlong nickname", method: post, path: edit, body: `{"nickname":"` + long + `"}`, token: valid, status: 200, code: 401001},
		{name: "edit with a bad birthday", method: post, path: edit, body: `{"nickname":"a","birthday":"tomorrow"}`, token: valid, status: 200, code: 401001},
		{name: "edit with malformed JSON", method: post, path: edit, body: `{"nickname"`, token: valid, status: 400, code: 4},
	}
}

func TestEachBadRequestIsAnsweredInShapeAndLoggedOnce(t *testing.T) {
	i := start(t, testConfig(t))
	login := i.login(t, "ann@example.com")
	for _, b := range badRequests(login) {
		t.Run(b.name, func(t *testing.T) {
			before := len(i.log.ofRequests(t))
			a := i.send(t, b)
			require.Equal(t, b.status, a.status, a.raw)
			require.Equal(t, b.code, a.Code, a.raw)
			require.NotEmpty(t, a.Msg)
			require.Empty(t, a.access())
			require.Empty(t, a.refresh())
			eventually(t, func() bool { return len(i.log.ofRequests(t)) > before }, "a line in the log")
			all := i.log.ofRequests(t)
			require.Len(t, all, before+1, "exactly one line")
			last := all[before]
			require.Equal(t, requestLine, last["msg"])
			require.Equal(t, "warn", last["level"], "a client's mistake")
			require.EqualValues(t, b.status, last["status"])
			require.NotEmpty(t, last["trace_id"])
		})
	}
	require.Zero(t, i.call(t, http.MethodGet, "/users/profile", login.access(), "").Code, "the process lives")
}

func (i *instance) send(t *testing.T, b bad) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), b.method, i.URL()+b.path, strings.NewReader(b.body))
	require.NoError(t, err)
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Content-Type", "application/json")
	if b.contentType != "" {
		req.Header.Set("Content-Type", b.contentType)
	}
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	return send(t, req)
}

// What does not even parse as HTTP must not end the process, nor hold a connection.
func TestWhatIsNotHTTPIsRefused(t *testing.T) {
	i := start(t, testConfig(t))
	addr := strings.TrimPrefix(i.URL(), "http://")
	for _, junk := range []string{"\x16\x03\x01\x02\x00\x01\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 100<<10) + "\r\n\r\n"} {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		_, _ = conn.Write([]byte(junk)) // it may be refused before it is read
		reply := make([]byte, 64)
		n, _ := conn.Read(reply)
		require.NotContains(t, string(reply[:n]), " 200 ")
		require.NoError(t, conn.Close())
	}
	require.Zero(t, i.call(t, http.MethodGet, "/hello", "", "").Code)
}

func TestManyBadRequestsAtOnceAreEachLoggedOnce(t *testing.T) {
	i := start(t, testConfig(t))
	requests := badRequests(i.login(t, "ann@example.com"))
	before := len(i.log.all(t, requestLine))
	var all sync.WaitGroup
	for range 3 {
		for _, b := range requests {
			all.Go(func() { i.send(t, b) })
		}
	}
	all.Wait()
	require.NoError(t, i.stop())
	lines := i.log.all(t, requestLine)
	require.Len(t, lines, before+3*len(requests))
}

func TestOnlyTheFrontEndsOriginMayCallWithCredentials(t *testing.T) {
	i := start(t, testConfig(t))
	for origin, allowed := range map[string]bool{
		"http://localhost:3000":              true,
		"http://localhost:3001":              false,
		"http://localhost":                   false,
		"https://localhost:3000":             false,
		"http://localhost:3000.evil.example": false,
		"http://localhost.evil.example":      false,
		"http://evil-localhost:3000":         false,
		"https://evil.example":               false,
		"null":                               false,
	} {
		t.Run(origin, func(t *testing.T) {
			preflight := i.origin(t, http.MethodOptions, "/users/login", origin)
			actual := i.origin(t, http.MethodGet, "/hello", origin)
			if !allowed {
				for _, resp := range []*http.Response{preflight, actual} {
					require.Equal(t, http.StatusForbidden, resp.StatusCode)
					require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
				}
				return
			}
			require.Equal(t, origin, preflight.Header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, "true", preflight.Header.Get("Access-Control-Allow-Credentials"))
			headers := strings.ToLower(preflight.Header.Get("Access-Control-Allow-Headers"))
			require.Contains(t, headers, "authorization")
			require.Contains(t, headers, "content-type")
			require.Equal(t, http.StatusOK, actual.StatusCode)
			exposed := strings.ToLower(actual.Header.Get("Access-Control-Expose-Headers"))
			require.Contains(t, exposed, "x-jwt-token")
			require.Contains(t, exposed, "x-refresh-token")
		})
	}
}

func (i *instance) origin(t *testing.T, method, path, origin string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, i.URL()+path, nil)
	require.NoError(t, err)
	req.Header.Set("Origin", origin)
	if method == http.MethodOptions {
		req.Header.Set("Access-Control-Request-Method", http.MethodPost)
		req.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp
}
