package ginx

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-contrib/cors"
	"github.com/gin-gonic/gin"
)

// CORSConfig says which web pages of other origins may call, and how.
type CORSConfig struct {
	// AllowOrigins is required. An entry is an origin as browsers send it,
	// "https://app.example.com" or "http://localhost:3000", compared as a whole;
	// or "https://*.example.com" for every subdomain, at any depth, of a domain
	// that one party registers; or, alone and without credentials, "*".
	AllowOrigins []string
	// AllowMethods defaults to GET, HEAD, POST, PUT, PATCH and DELETE.
	AllowMethods []string
	// AllowHeaders are the request headers that pages may set. It defaults to
	// Content-Type and Authorization. "*" never covers Authorization.
	AllowHeaders []string
	// ExposeHeaders are the response headers that pages may read, such as
	// x-jwt-token; none by default.
	ExposeHeaders []string
	// AllowCredentials lets pages send cookies. Every wildcard is refused with it.
	AllowCredentials bool
	// MaxAge is how long a browser may keep the answer to a preflight. It
	// defaults to 2 hours, the most that Chromium heeds; seconds at least.
	MaxAge time.Duration
}

// CORS returns the middleware for cfg, built on gin-contrib/cors. It refuses what
// browsers would not honour or what would open the service to every page: a
// wildcard or a broad pattern together with credentials, the origin "null", which
// any page can have, and entries that are no origins. The error joins all
// violations.
//
// Beside gin-contrib/cors it names Origin in Vary on every answer, so that no
// cache hands one origin's answer to another; keeps other middleware's Vary; and
// answers OPTIONS without Access-Control-Request-Method like any request, for
// that is no preflight. Pages of other origins get 403.
//
// Use it on the engine: gin runs no group middleware for the OPTIONS request of a
// route that only knows POST.
func CORS(cfg CORSConfig) (gin.HandlerFunc, error) {
	cfg = cfg.withDefaults()
	origins, err := cfg.check()
	if err != nil {
		return nil, err
	}
	conf := cors.Config{
		AllowMethods: cfg.AllowMethods, AllowHeaders: cfg.AllowHeaders, ExposeHeaders: cfg.ExposeHeaders,
		AllowCredentials: cfg.AllowCredentials, MaxAge: cfg.MaxAge,
	}
	if origins.any {
		conf.AllowAllOrigins = true
	} else {
		conf.AllowOriginFunc = origins.allow
	}
	inner := cors.New(conf)
	return func(c *gin.Context) { serveCORS(c, inner, origins) }, nil
}

func serveCORS(c *gin.Context, inner gin.HandlerFunc, origins *originSet) {
	h := c.Writer.Header()
	h.Add("Vary", "Origin")
	origin := c.Request.Header.Get("Origin")
	if origin == "" {
		return
	}
	if len(c.Request.Header.Values("Origin")) > 1 || !sameHost(c, origin) && !origins.any && !origins.allow(origin) {
		Abort(c, errOrigin)
		return
	}
	vary := slices.Clone(h.Values("Vary"))
	if method := c.Request.Method; method == http.MethodOptions && c.Request.Header.Get("Access-Control-Request-Method") == "" {
		c.Request.Method = http.MethodGet // inner takes every OPTIONS for a preflight
		defer func() { c.Request.Method = method }()
	}
	inner(c)
	if !c.IsAborted() {
		h["Vary"] = vary // inner has replaced it
	}
}

// sameHost is inner's rule for requests that are not cross-origin, only sent
// with an Origin, as browsers do for POST.
func sameHost(c *gin.Context, origin string) bool {
	return origin == "http://"+c.Request.Host || origin == "https://"+c.Request.Host
}

var errOrigin = NewError(CodeClient, "origin not allowed").WithStatus(http.StatusForbidden)

func (cfg CORSConfig) withDefaults() CORSConfig {
	if len(cfg.AllowMethods) == 0 {
		cfg.AllowMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	}
	if len(cfg.AllowHeaders) == 0 {
		cfg.AllowHeaders = []string{"Content-Type", "Authorization"}
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 2 * time.Hour
	}
	return cfg
}

func (cfg CORSConfig) check() (*originSet, error) {
	var errs []error
	refuse := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("ginx: CORSConfig."+format, args...))
	}
	if len(cfg.AllowOrigins) == 0 {
		refuse("AllowOrigins is empty: name the origins that may call")
	}
	set := &originSet{exact: make(map[string]struct{})}
	for _, o := range cfg.AllowOrigins {
		if err := set.add(o, cfg.AllowCredentials); err != nil {
			refuse("AllowOrigins: %q: %w", o, err)
		}
	}
	if set.any && len(cfg.AllowOrigins) > 1 {
		refuse(`AllowOrigins: "*" makes the other entries void: leave it alone`)
	}
	for _, list := range []struct {
		name   string
		values []string
	}{{"AllowMethods", cfg.AllowMethods}, {"AllowHeaders", cfg.AllowHeaders}, {"ExposeHeaders", cfg.ExposeHeaders}} {
		for _, v := range list.values {
			if v == "*" && cfg.AllowCredentials {
				refuse(`%s: "*" means nothing together with credentials: name them`, list.name)
			} else if !isToken(v) {
				refuse("%s: %q is no name", list.name, v)
			}
		}
	}
	if cfg.MaxAge < time.Second {
		refuse("MaxAge must be at least 1s, got %v", cfg.MaxAge)
	}
	return set, errors.Join(errs...)
}

// isToken tells whether s can be a method or a header name, by RFC 9110.
func isToken(s string) bool {
	const alsoAllowed = "!#$%&'*+-.^_`|~"
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(alsoAllowed, r)
	}) < 0
}
