package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// ServerSideConfig holds the lifetimes, bounds and cookie of server-side
// sessions. The zero ServerSideConfig is good; a zero field takes its default.
type ServerSideConfig struct {
	Cookie Cookie
	// IdleTTL is how long a session lives unused; login checks and [Session.Set]
	// are use. Default 7 days.
	IdleTTL time.Duration
	// SessionTTL is how long it lives however often it is used. Default 30 days.
	SessionTTL time.Duration
	// Interval is how often use extends the session, and with it the cookie's
	// Max-Age: not with each request. Default 10 s.
	Interval time.Duration
	// CacheTTL, CacheSize and StoreTimeout are those of [Config].
	CacheTTL     time.Duration
	CacheSize    int
	StoreTimeout time.Duration
}

func (c ServerSideConfig) withDefaults() ServerSideConfig {
	shared := Config{
		RefreshTTL: c.IdleTTL, SessionTTL: c.SessionTTL,
		CacheTTL: c.CacheTTL, CacheSize: c.CacheSize, StoreTimeout: c.StoreTimeout,
	}.withDefaults()
	c.IdleTTL, c.SessionTTL = shared.RefreshTTL, shared.SessionTTL
	c.CacheTTL, c.CacheSize, c.StoreTimeout = shared.CacheTTL, shared.CacheSize, shared.StoreTimeout
	if c.Interval == 0 {
		c.Interval = 10 * time.Second
	}
	c.Cookie = c.Cookie.withDefaults()
	return c
}

func (c ServerSideConfig) validate() error {
	var v violations
	// A cookie's Max-Age is in seconds.
	v.check(c.IdleTTL >= time.Second, "IdleTTL %v: must be at least 1s", c.IdleTTL)
	v.check(c.IdleTTL <= c.SessionTTL, "IdleTTL %v: must not exceed SessionTTL %v", c.IdleTTL, c.SessionTTL)
	v.check(c.Interval > 0 && c.Interval < c.IdleTTL, "Interval %v: must be positive and shorter than IdleTTL %v", c.Interval, c.IdleTTL)
	v.checkCache(c.CacheTTL, c.CacheSize, c.StoreTimeout)
	c.Cookie.validate(&v)
	return errors.Join(v...)
}

// keepRecord is how long a record stays at hand for [FailOpenFor]. The cache is
// bounded besides.
const keepRecord = 30 * time.Minute

// ServerSide keeps sessions on the server, addressed by a cookie. Nodes that share
// the store and the config are one. It runs no goroutine and needs no Close; it
// is safe for concurrent use.
type ServerSide struct {
	cfg      ServerSideConfig
	store    DataStore
	live     *liveness[Record]
	settings settings
}

// NewServerSide returns a ServerSide. The error joins everything that is wrong
// with the config.
func NewServerSide(store DataStore, cfg ServerSideConfig, opts ...Option) (*ServerSide, error) {
	cfg = cfg.withDefaults()
	err := cfg.validate()
	if store == nil {
		err = errors.Join(errors.New("session: store is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	s := &ServerSide{cfg: cfg, store: store, settings: newSettings(opts)}
	s.live = newLiveness(bounds{
		cacheTTL: cfg.CacheTTL, storeTimeout: cfg.StoreTimeout,
		// An unknown session is never trusted, so a dead one may be forgotten once
		// no answer from before its end can come in.
		keepAlive: keepRecord, keepDead: cfg.CacheTTL + cfg.StoreTimeout, size: cfg.CacheSize,
	}, digest, s.fetch)
	return s, nil
}

// digest keeps long and secret references out of the cache.
func digest(ref string) string {
	sum := sha256.Sum256([]byte(ref))
	return string(sum[:])
}

func (s *ServerSide) fetch(ctx context.Context, ref string) (Record, error) {
	return s.store.Access(ctx, ref, Access{TTL: s.cfg.IdleTTL, After: s.cfg.Interval})
}

// Login is [Manager.Login] for server-side sessions: the same rules, the same
// [Claims], the same answers. It also puts the [Session] into the context of
// every request, public ones included, where [FromContext] finds it.
func (s *ServerSide) Login(rules ...*Rules) gin.HandlerFunc {
	check := loginCheck(rules, s.settings.observer, presented, verifyCookie)
	return func(c *gin.Context) {
		x := &Session{owner: s, header: c.Writer.Header()}
		if cookie, err := c.Request.Cookie(s.cfg.Cookie.Name); err == nil && len(cookie.Value) <= MaxRef {
			x.ref = cookie.Value
		}
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), contextKey{}, x))
		check(c)
	}
}

type contextKey struct{}

// FromContext returns the server-side session of the request that ctx belongs
// to; false when [ServerSide.Login] is not installed.
func FromContext(ctx context.Context) (*Session, bool) {
	x, ok := ctx.Value(contextKey{}).(*Session)
	return x, ok
}

func presented(r *http.Request) string {
	x, _ := FromContext(r.Context())
	return x.ref
}

func verifyCookie(ctx context.Context, _ *http.Request, _ string, failOpen time.Duration) (Claims, bool, error) {
	x, _ := FromContext(ctx)
	return x.verify(ctx, failOpen)
}

func (x *Session) verify(ctx context.Context, failOpen time.Duration) (Claims, bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ref == "" {
		return Claims{}, false, ErrMissing
	}
	r, from, err := x.owner.live.check(ctx, x.ref, failOpen)
	switch {
	case err != nil:
		return Claims{}, false, err
	case from == trusted && r.ID == "":
		return Claims{}, false, fmt.Errorf("%w: and the session is not known here", ErrUnavailable)
	case !time.Now().Before(r.EndsAt):
		return Claims{}, false, ErrExpired
	}
	r.Extended = r.Extended && from == asked // the others were told when it was
	x.adopt(r)
	if r.UserID == 0 {
		return Claims{}, false, ErrMissing
	}
	return r.claims(), from == trusted, nil
}

func (r Record) claims() Claims {
	return Claims{UserID: r.UserID, SessionID: r.ID, ExpiresAt: r.EndsAt, EndsAt: r.EndsAt}
}
