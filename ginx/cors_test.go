package ginx_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

// page is a script on a page of some origin that calls fetch.
type page struct {
	origin      string
	method      string
	headers     []string // beside the safelisted ones
	credentials bool
}

// browser is the CORS protocol as the Fetch standard has browsers follow it: the
// preflight, then the request, then what the page may see.
func browser(h http.Handler, p page) (allowed bool, visible func(header string) bool) {
	none := func(string) bool { return false }
	if !safelistedMethod(p.method) || len(p.headers) > 0 {
		req := httptest.NewRequest(http.MethodOptions, "http://api.example.com/", nil)
		req.Header.Set("Origin", p.origin)
		req.Header.Set("Access-Control-Request-Method", p.method)
		if len(p.headers) > 0 {
			req.Header.Set("Access-Control-Request-Headers", strings.ToLower(strings.Join(p.headers, ",")))
		}
		w := do(h, req)
		if !corsCheck(w.Header(), p) || w.Code < 200 || w.Code > 299 || !preflightAllows(w.Header(), p) {
			return false, none
		}
	}
	req := httptest.NewRequest(p.method, "http://api.example.com/", nil)
	req.Header.Set("Origin", p.origin)
	w := do(h, req)
	if !corsCheck(w.Header(), p) {
		return false, none
	}
	return true, func(header string) bool {
		exposed := list(w.Header(), "Access-Control-Expose-Headers")
		return containsFold(exposed, header) || !p.credentials && slices.Contains(exposed, "*")
	}
}

func corsCheck(h http.Header, p page) bool {
	allow := h.Values("Access-Control-Allow-Origin")
	switch {
	case len(allow) != 1:
		return false
	case !p.credentials && allow[0] == "*":
		return true
	case allow[0] != p.origin:
		return false
	default:
		return !p.credentials || h.Get("Access-Control-Allow-Credentials") == "true"
	}
}

func preflightAllows(h http.Header, p page) bool {
	methods, headers := list(h, "Access-Control-Allow-Methods"), list(h, "Access-Control-Allow-Headers")
	if !slices.Contains(methods, p.method) && !safelistedMethod(p.method) && (p.credentials || !slices.Contains(methods, "*")) {
		return false
	}
	for _, name := range p.headers {
		wildcard := slices.Contains(headers, "*") && !p.credentials && !strings.EqualFold(name, "Authorization")
		if !containsFold(headers, name) && !wildcard {
			return false
		}
	}
	return true
}

func safelistedMethod(m string) bool { return m == "GET" || m == "HEAD" || m == "POST" }

func list(h http.Header, name string) []string {
	var out []string
	for _, line := range h.Values(name) {
		for v := range strings.SplitSeq(line, ",") {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

func containsFold(all []string, name string) bool {
	return slices.ContainsFunc(all, func(s string) bool { return strings.EqualFold(s, name) })
}

func corsServer(t *testing.T, cfg ginx.CORSConfig) *gin.Engine {
	h, err := ginx.CORS(cfg)
	require.NoError(t, err)
	r := gin.New()
	r.Use(func(c *gin.Context) { c.Header("Vary", "Accept-Encoding") }, h)
	r.Any("/", wrap(ginx.Result{Header: http.Header{"X-Jwt-Token": {"t"}}}, nil))
	r.Handle("BREW", "/", wrap(ginx.Result{}, nil))
	return r
}

func TestCORSAgreesWithTheFetchStandard(t *testing.T) {
	login := corsServer(t, ginx.CORSConfig{
		AllowOrigins: []string{
			"http://localhost:3000", "https://app.example.com", "https://*.webook.com", "http://*.dev.webook.com:8080",
			"https://[2001:db8::1]", "https://xn--bcher-kva.example",
		},
		ExposeHeaders: []string{"x-jwt-token", "x-refresh-token"}, AllowCredentials: true,
	})
	public := corsServer(t, ginx.CORSConfig{AllowOrigins: []string{"*"}, AllowHeaders: []string{"*"}, ExposeHeaders: []string{"*"}})
	narrow := corsServer(t, ginx.CORSConfig{
		AllowOrigins: []string{"https://app.example.com"}, AllowMethods: []string{"POST"}, AllowHeaders: []string{"X-One"},
	})
	app := "https://app.example.com"
	auth, kind := []string{"Authorization"}, []string{"Content-Type", "Authorization"}
	cases := []struct {
		name   string
		server *gin.Engine
		page   page
		want   bool
	}{
		// Whole origins, with credentials.
		{"exact", login, page{app, "GET", nil, true}, true},
		{"exact, no credentials", login, page{app, "GET", nil, false}, true},
		{"with port", login, page{"http://localhost:3000", "POST", kind, true}, true},
		{"IPv6", login, page{"https://[2001:db8::1]", "GET", nil, true}, true},
		{"punycode", login, page{"https://xn--bcher-kva.example", "GET", nil, true}, true},
		{"other port", login, page{"http://localhost:3001", "GET", nil, true}, false},
		{"port left out", login, page{"http://localhost", "GET", nil, true}, false},
		{"prefix .evil", login, page{"http://localhost.evil", "GET", nil, true}, false},
		{"prefix :3000.evil", login, page{"http://localhost:3000.evil", "GET", nil, true}, false},
		{"prefix digits", login, page{"http://localhost:30000", "GET", nil, true}, false},
		{"suffix", login, page{"https://evil-app.example.com", "GET", nil, true}, false},
		{"suffix host", login, page{"https://notapp.example.com", "GET", nil, true}, false},
		{"part of another domain", login, page{"https://app.example.com.evil.org", "GET", nil, true}, false},
		{"user info", login, page{"https://app.example.com@evil.org", "GET", nil, true}, false},
		{"other scheme", login, page{"http://app.example.com", "GET", nil, true}, false},
		{"upper case", login, page{"HTTPS://APP.EXAMPLE.COM", "GET", nil, true}, false},
		{"trailing slash", login, page{"https://app.example.com/", "GET", nil, true}, false},
		{"trailing dot", login, page{"https://app.example.com.", "GET", nil, true}, false},
		{"parent domain", login, page{"https://example.com", "GET", nil, true}, false},
		{"null", login, page{"null", "GET", nil, true}, false},
		{"null, no credentials", login, page{"null", "GET", nil, false}, false},
		{"file", login, page{"file://", "GET", nil, true}, false},
		{"extension", login, page{"chrome-extension://abcdef", "GET", nil, true}, false},
		{"star sent", login, page{"*", "GET", nil, true}, false},
		{"two in one", login, page{app + ", https://evil.org", "GET", nil, true}, false},
		{"two with a space", login, page{app + " https://evil.org", "GET", nil, true}, false},
		// Subdomains.
		{"subdomain", login, page{"https://m.webook.com", "GET", nil, true}, true},
		{"deep subdomain", login, page{"https://a.b.webook.com", "PUT", auth, true}, true},
		{"subdomain with port", login, page{"http://x.dev.webook.com:8080", "GET", nil, true}, true},
		{"the domain itself", login, page{"https://webook.com", "GET", nil, true}, false},
		{"empty label", login, page{"https://.webook.com", "GET", nil, true}, false},
		{"glued", login, page{"https://evilwebook.com", "GET", nil, true}, false},
		{"pattern as prefix", login, page{"https://m.webook.com.evil.org", "GET", nil, true}, false},
		{"path in the star", login, page{"https://evil.org/.webook.com", "GET", nil, true}, false},
		{"port in the star", login, page{"https://evil.org:80.webook.com", "GET", nil, true}, false},
		{"user in the star", login, page{"https://evil.org@x.webook.com", "GET", nil, true}, false},
		{"fragment in the star", login, page{"https://evil.org#.webook.com", "GET", nil, true}, false},
		{"wrong scheme", login, page{"http://m.webook.com", "GET", nil, true}, false},
		{"wrong port", login, page{"http://x.dev.webook.com:8081", "GET", nil, true}, false},
		// Methods and headers.
		{"put", login, page{app, "PUT", nil, true}, true},
		{"patch", login, page{app, "PATCH", nil, true}, true},
		{"delete", login, page{app, "DELETE", nil, true}, true},
		{"head", login, page{app, "HEAD", nil, true}, true},
		{"options without preflight", login, page{app, "OPTIONS", nil, true}, false}, // OPTIONS is not allowed by default
		{"unknown method", login, page{app, "BREW", nil, true}, false},
		{"lower-case method", login, page{app, "patch", nil, true}, false},
		{"both headers", login, page{app, "POST", kind, true}, true},
		{"other header", login, page{app, "POST", []string{"X-Other"}, true}, false},
		{"one of two", login, page{app, "POST", []string{"Content-Type", "X-Other"}, true}, false},
		{"narrow method", narrow, page{app, "POST", []string{"X-One"}, false}, true},
		{"narrow put", narrow, page{app, "PUT", nil, false}, false},
		{"narrow header", narrow, page{app, "POST", auth, false}, false},
		{"narrow credentials", narrow, page{app, "POST", nil, true}, false},
		// Everybody, without credentials.
		{"public", public, page{"https://anyone.org", "GET", nil, false}, true},
		{"public null", public, page{"null", "GET", nil, false}, true},
		{"public header", public, page{"https://anyone.org", "PUT", []string{"X-Other"}, false}, true},
		{"public authorization", public, page{"https://anyone.org", "GET", auth, false}, false},
		{"public credentials", public, page{"https://anyone.org", "GET", nil, true}, false},
		{"public preflight with credentials", public, page{"https://anyone.org", "PUT", nil, true}, false},
		{"public unknown method", public, page{"https://anyone.org", "BREW", nil, false}, false},
	}
	require.GreaterOrEqual(t, len(cases), 60)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			allowed, visible := browser(tc.server, tc.page)
			require.Equal(t, tc.want, allowed)
			require.Equal(t, tc.want && tc.server != narrow, visible("x-jwt-token"))
			require.Equal(t, tc.want && tc.server == public, visible("x-anything"))
		})
	}
}

func TestEveryAnswerVariesByOrigin(t *testing.T) {
	for name, origins := range map[string][]string{"named": {"https://app.example.com"}, "any": {"*"}} {
		r := corsServer(t, ginx.CORSConfig{AllowOrigins: origins})
		for _, origin := range []string{"", "https://app.example.com", "https://evil.org", "http://api.example.com"} {
			for _, method := range []string{"GET", "OPTIONS"} {
				req := httptest.NewRequest(method, "http://api.example.com/", nil)
				if origin != "" {
					req.Header.Set("Origin", origin)
					req.Header.Set("Access-Control-Request-Method", "PUT")
				}
				vary := list(do(r, req).Header(), "Vary")
				require.Contains(t, vary, "Origin", "%s: %s from %q", name, method, origin)
				if method == "GET" {
					require.Contains(t, vary, "Accept-Encoding", "%s: %s from %q", name, method, origin)
				}
			}
		}
	}
}

func TestRefusedOriginsDoNotReachTheHandler(t *testing.T) {
	h, err := ginx.CORS(ginx.CORSConfig{AllowOrigins: []string{"https://app.example.com"}})
	require.NoError(t, err)
	ran := false
	r := gin.New()
	r.Use(h)
	r.POST("/", func(*gin.Context) { ran = true })
	req := jsonRequest("http://api.example.com/", strings.NewReader(`{}`))
	req.Header.Set("Origin", "https://evil.org")
	w := do(r, req)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, ginx.CodeClient, parse(t, w).Code)
	req.Header["Origin"] = []string{"https://app.example.com", "https://evil.org"}
	require.Equal(t, http.StatusForbidden, do(r, req).Code)
	require.False(t, ran)
	req.Header.Set("Origin", "http://api.example.com") // a form of our own
	require.Equal(t, http.StatusOK, do(r, req).Code)
	require.True(t, ran)
}

func TestPreflightsAreKeptAndEndThere(t *testing.T) {
	h, err := ginx.CORS(ginx.CORSConfig{AllowOrigins: []string{"https://app.example.com"}, MaxAge: time.Hour})
	require.NoError(t, err)
	ran := 0
	r := gin.New()
	r.Use(h)
	r.OPTIONS("/", func(c *gin.Context) { ran++; require.Equal(t, "OPTIONS", c.Request.Method) })
	req := httptest.NewRequest(http.MethodOptions, "http://api.example.com/", nil)
	req.Header.Set("Origin", "https://app.example.com")
	w := do(r, req)
	require.Equal(t, 1, ran, "OPTIONS without a requested method is a request like any")
	require.Equal(t, "https://app.example.com", w.Header().Get("Access-Control-Allow-Origin"))
	req.Header.Set("Access-Control-Request-Method", "PUT")
	w = do(r, req)
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, "3600", w.Header().Get("Access-Control-Max-Age"))
	require.Equal(t, 1, ran)
	h, err = ginx.CORS(ginx.CORSConfig{AllowOrigins: []string{"https://app.example.com"}})
	require.NoError(t, err)
	r = gin.New()
	r.Use(h)
	require.Equal(t, "7200", do(r, req).Header().Get("Access-Control-Max-Age"))
}

func TestUnsafeCORSIsRefusedWhenBuilt(t *testing.T) {
	origins := func(o ...string) ginx.CORSConfig { return ginx.CORSConfig{AllowOrigins: o, AllowCredentials: true} }
	app := "https://app.example.com"
	for name, tc := range map[string]struct {
		cfg  ginx.CORSConfig
		want string
	}{
		"none":              {ginx.CORSConfig{}, "AllowOrigins is empty"},
		"star":              {origins("*"), `"*": any page could act for the user`},
		"null":              {origins("null"), `"null": sandboxed frames`},
		"null, public":      {ginx.CORSConfig{AllowOrigins: []string{"null"}}, `"null": sandboxed frames`},
		"star and more":     {ginx.CORSConfig{AllowOrigins: []string{"*", app}}, "makes the other entries void"},
		"all https":         {origins("https://*"), "a star may only stand for subdomains"},
		"top level":         {origins("https://*.com"), "covers domains of strangers"},
		"rooted top level":  {origins("https://*.com."), "covers domains of strangers"},
		"public suffix":     {origins("https://*.co.uk"), "covers domains of strangers"},
		"shared host":       {origins("https://*.github.io"), "covers domains of strangers"},
		"numbers":           {origins("https://*.10.0.0.1"), "covers domains of strangers"},
		"star within":       {origins("https://app*.example.com"), "a star may only stand for subdomains"},
		"star as port":      {origins("http://localhost:*"), "is no origin"},
		"two stars":         {origins("https://*.*.example.com"), "a star may only stand for subdomains"},
		"regexp":            {origins("/https:.*/"), "a star may only stand for subdomains"},
		"no scheme":         {origins("app.example.com"), "must be scheme://host"},
		"slash":             {origins(app + "/"), "must end after the host or port"},
		"path":              {origins(app + "/x"), "must end after the host or port"},
		"user":              {origins("https://me@app.example.com"), "must end after the host or port"},
		"query":             {origins(app + "?"), "must end after the host or port"},
		"fragment":          {origins(app + "#"), "must end after the host or port"},
		"upper case":        {origins("https://App.example.com"), "must be in lower case"},
		"default port":      {origins("https://app.example.com:443"), "must leave out the default port"},
		"http default port": {origins("http://app.example.com:80"), "must leave out the default port"},
		"empty port":        {origins("https://app.example.com:"), "must leave out the default port"},
		"no host":           {origins("https://:8080"), "must be scheme://host"},
		"blank":             {origins(""), "must be scheme://host"},
		"methods star":      {ginx.CORSConfig{AllowOrigins: []string{app}, AllowCredentials: true, AllowMethods: []string{"*"}}, `AllowMethods: "*" means nothing`},
		"headers star":      {ginx.CORSConfig{AllowOrigins: []string{app}, AllowCredentials: true, AllowHeaders: []string{"*"}}, `AllowHeaders: "*" means nothing`},
		"expose star":       {ginx.CORSConfig{AllowOrigins: []string{app}, AllowCredentials: true, ExposeHeaders: []string{"*"}}, `ExposeHeaders: "*" means nothing`},
		"header injection":  {ginx.CORSConfig{AllowOrigins: []string{app}, ExposeHeaders: []string{"a\r\nb"}}, "is no name"},
		"negative age":      {ginx.CORSConfig{AllowOrigins: []string{app}, MaxAge: -time.Second}, "MaxAge must be at least 1s, got -1s"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := ginx.CORS(tc.cfg)
			require.Nil(t, h)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "ginx: CORSConfig.")
		})
	}
	_, err := ginx.CORS(ginx.CORSConfig{AllowOrigins: []string{"null", "https://*.com"}, MaxAge: 1})
	require.ErrorContains(t, err, "null")
	require.ErrorContains(t, err, "*.com")
	require.ErrorContains(t, err, "MaxAge")
}
