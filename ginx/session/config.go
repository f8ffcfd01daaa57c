package session

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the lifetimes and bounds of token sessions. The zero Config is
// good; a zero field takes its default.
type Config struct {
	// Issuer is written into the tokens and demanded of them; the audiences are
	// made from it. Services that do not share users need different issuers and
	// keys. Default "bulwark".
	Issuer string
	// AccessTTL is the life of an access token. Default 30 minutes: the longest
	// that a stolen one is of use should the store be away.
	AccessTTL time.Duration
	// RefreshTTL is the life of a refresh token, and so how long a session lives
	// unused. Default 7 days: a weekly visitor stays logged in.
	RefreshTTL time.Duration
	// SessionTTL is the life of a session however often it is refreshed. Default
	// 30 days, after which anybody has to prove again who they are.
	SessionTTL time.Duration
	// Grace is how long a refresh token that was just traded still yields its
	// successor: parallel tabs, and a client that lost the answer. Default 10 s.
	Grace time.Duration
	// Leeway is what the clocks of two nodes may differ by. Default 10 s.
	Leeway time.Duration
	// CacheTTL is how long a node remembers that a session lives, and so how long
	// a logout may take to reach it (or StoreTimeout, where that is longer).
	// Default 1 s.
	CacheTTL time.Duration
	// CacheSize bounds the sessions that a node remembers. Default 100 000, some
	// 15 MB.
	CacheSize int
	// StoreTimeout bounds one question to the store. An answer that took longer
	// is not believed, for a logout may have overtaken it. Keep it below the
	// deadlines of requests: one that ends first can not tell an outage from its
	// own impatience, so [FailOpenFor] does not help it. Default 500 ms; at most
	// CacheTTL when that is set lower.
	StoreTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Issuer == "" {
		c.Issuer = "bulwark"
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.AccessTTL, 30 * time.Minute},
		{&c.RefreshTTL, 7 * 24 * time.Hour},
		{&c.SessionTTL, 30 * 24 * time.Hour},
		{&c.Grace, 10 * time.Second},
		{&c.Leeway, 10 * time.Second},
		{&c.CacheTTL, time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.StoreTimeout == 0 {
		c.StoreTimeout = min(500*time.Millisecond, c.CacheTTL)
	}
	if c.CacheSize == 0 {
		c.CacheSize = 100_000
	}
	return c
}

func (c Config) validate() error {
	var v violations
	// Token times are whole seconds, so a shorter life would round to none.
	v.check(c.AccessTTL >= time.Second, "AccessTTL %v: must be at least 1s", c.AccessTTL)
	v.check(c.AccessTTL < c.RefreshTTL, "AccessTTL %v: must be shorter than RefreshTTL %v", c.AccessTTL, c.RefreshTTL)
	v.check(c.RefreshTTL <= c.SessionTTL, "RefreshTTL %v: must not exceed SessionTTL %v", c.RefreshTTL, c.SessionTTL)
	v.check(c.Grace > 0 && c.Grace <= time.Minute, "Grace %v: must be in (0, 1m]", c.Grace)
	v.check(c.Leeway > 0 && c.Leeway <= time.Minute, "Leeway %v: must be in (0, 1m]", c.Leeway)
	v.checkCache(c.CacheTTL, c.CacheSize, c.StoreTimeout)
	return errors.Join(v...)
}

// violations are what is wrong with a config.
type violations []error

func (v *violations) check(ok bool, format string, args ...any) {
	if !ok {
		*v = append(*v, fmt.Errorf("session: "+format, args...))
	}
}

func (v *violations) checkCache(ttl time.Duration, size int, timeout time.Duration) {
	v.check(ttl > 0 && ttl <= time.Minute, "CacheTTL %v: must be in (0, 1m]", ttl)
	v.check(size > 0, "CacheSize %d: must be positive", size)
	v.check(timeout > 0 && timeout <= max(ttl, time.Second), "StoreTimeout %v: must be positive, and at most CacheTTL %v or 1s", timeout, ttl)
}

func (c Config) bounds() bounds {
	return bounds{
		cacheTTL: c.CacheTTL, storeTimeout: c.StoreTimeout,
		keepAlive: c.CacheTTL, keepDead: c.AccessTTL + c.Leeway, size: c.CacheSize,
	}
}
