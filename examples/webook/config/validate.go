package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// minKey is the shortest signing key in bytes: as long as the hash it feeds.
const minKey = 32

// kafkaName is what the names of topics may hold, and leaves room for ours.
var kafkaName = regexp.MustCompile(`^[A-Za-z0-9._-]{0,100}$`)

// minToken is the shortest token for the console in bytes: too long to be guessed.
const minToken = 16

// Validate returns nil, or one error that names every value out of range.
func (c Config) Validate() error {
	var p problems
	c.HTTP.validate(&p)
	p.addr("metrics.addr", c.Metrics.Addr)
	c.DB.validate(&p)
	if c.Redis.Addr != "" {
		p.addr("redis.addr", c.Redis.Addr)
	}
	p.check(c.Redis.DB >= 0, "redis.db", c.Redis.DB, "must not be negative")
	for i, addr := range c.Kafka.Addrs {
		p.addr(fmt.Sprintf("kafka.addrs[%d]", i), addr)
	}
	c.Session.validate(&p)
	c.Users.validate(&p)
	c.Interactive.validate(&p)
	p.check(kafkaName.MatchString(c.Kafka.Prefix), "kafka.prefix", fmt.Sprintf("%q", c.Kafka.Prefix), "must be up to 100 of letters, digits, dots, dashes and underscores")
	c.Articles.validate(&p, c.HTTP, c.DB)
	c.Wechat.validate(&p)
	c.SMS.validate(&p)
	p.check(c.SMS.Timeout < c.HTTP.Timeout, "sms.timeout", c.SMS.Timeout, "must be shorter than http.timeout")
	c.Limits.validate(&p)
	if n := len(c.Console.Token.Reveal()); n > 0 && n < minToken {
		p.add("console.token: must have %d bytes or more, has %d", minToken, n)
	}
	p.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	p.oneOf("log.format", c.Log.Format, "console", "json")
	if c.Trace.OTLP != "" {
		p.url("trace.otlp", c.Trace.OTLP)
	}
	p.check(c.Trace.Ratio >= 0 && c.Trace.Ratio <= 1, "trace.ratio", c.Trace.Ratio, "must be between 0 and 1")
	return p.err()
}

func (h HTTP) validate(p *problems) {
	p.addr("http.addr", h.Addr)
	p.between("http.timeout", h.Timeout, 10*time.Millisecond, time.Minute)
	p.between("http.shutdown", h.Shutdown, 10*time.Millisecond, 10*time.Minute)
	p.check(h.BodyLimit >= 1024, "http.bodyLimit", h.BodyLimit, "must be 1024 bytes or more")
	for i, origin := range h.Origins {
		p.origin(fmt.Sprintf("http.origins[%d]", i), origin)
	}
}

func (d DB) validate(p *problems) {
	p.oneOf("db.driver", d.Driver, "", "mysql", "postgres", "sqlite")
	if d.Driver != "" && d.DSN.Empty() {
		p.add("db.dsn: is required with db.driver %q; secrets are best set as WEBOOK_DB_DSN", d.Driver)
	}
	if d.Driver == "" && !d.DSN.Empty() {
		p.add("db.driver: is required with db.dsn")
	}
}

func (s Session) validate(p *problems) {
	p.key("session.accessKey", s.AccessKey)
	p.key("session.refreshKey", s.RefreshKey)
	if s.AccessKey.Empty() != s.RefreshKey.Empty() {
		p.add("session.accessKey, session.refreshKey: set both or none")
	}
	if !s.AccessKey.Empty() && s.AccessKey.Equal(s.RefreshKey) {
		p.add("session.accessKey, session.refreshKey: must differ")
	}
	p.between("session.access", s.Access, time.Second, 24*time.Hour)
	p.between("session.refresh", s.Refresh, time.Second, 365*24*time.Hour)
	p.check(s.Refresh > s.Access, "session.refresh", s.Refresh, "must be longer than session.access")
	p.check(s.Max >= s.Refresh, "session.max", s.Max, "must not be shorter than session.refresh")
	p.between("session.outageReads", s.OutageReads, 0, time.Hour)
}

func (u Users) validate(p *problems) {
	p.check(u.BcryptCost >= bcrypt.MinCost && u.BcryptCost <= 16, "users.bcryptCost", u.BcryptCost, "must be between 4 and 16")
	p.between("users.cacheTTL", u.CacheTTL, time.Second, 24*time.Hour)
	p.between("users.cacheTimeout", u.CacheTimeout, time.Millisecond, 10*time.Second)
	p.oneOf("users.cacheFailure", u.CacheFailure, CachePass, CacheFail)
	p.check(u.CachePassMax >= 1, "users.cachePassMax", u.CachePassMax, "must be 1 or more")
}

func (w Wechat) validate(p *problems) {
	if (w.AppID == "") != w.Secret.Empty() {
		p.add("wechat.appID, wechat.secret: set both or none; the secret is best set as WEBOOK_WECHAT_SECRET")
	}
	p.url("wechat.authURL", w.AuthURL)
	p.url("wechat.apiURL", w.APIURL)
	p.url("wechat.redirectURL", w.RedirectURL)
	p.between("wechat.stateTTL", w.StateTTL, time.Second, time.Hour)
	p.between("wechat.timeout", w.Timeout, 10*time.Millisecond, 30*time.Second)
}

// region is the form of an ISO 3166 code.
var region = regexp.MustCompile(`^[A-Z]{2}$`)

func (s SMS) validate(p *problems) {
	p.check(region.MatchString(s.Region), "sms.region", fmt.Sprintf("%q", s.Region), "must be the code of a country, such as CN")
	s.Aliyun.validate(p)
	s.Tencent.validate(p)
	p.between("sms.timeout", s.Timeout, 10*time.Millisecond, 30*time.Second)
	p.check(s.Rate >= 1, "sms.rate", s.Rate, "must be 1 or more")
	p.between("sms.out", s.Out, 10*time.Millisecond, time.Hour)
	p.check(s.Retries >= 1, "sms.retries", s.Retries, "must be 1 or more")
	p.between("sms.backoff", s.Backoff, time.Millisecond, 10*time.Minute)
	p.between("sms.minLeft", s.MinLeft, 0, 9*time.Minute)
	p.check(s.Workers >= 1 && s.Workers <= 1000, "sms.workers", s.Workers, "must be between 1 and 1000")
	const many = 1_000_000_000
	for _, most := range []struct {
		key          string
		value, least int
	}{
		{"sms.guard.dailyCap", s.Guard.DailyCap, 1},
		{"sms.guard.network", s.Guard.Network, 2},
		{"sms.guard.prefix", s.Guard.Prefix, 2},
		{"sms.guard.country", s.Guard.Country, 2},
	} {
		p.check(most.value >= most.least && most.value <= many, most.key, most.value, fmt.Sprintf("must be between %d and %d", most.least, many))
	}
}

func (a Aliyun) validate(p *problems) {
	p.url("sms.aliyun.endpoint", a.Endpoint)
	p.account("sms.aliyun", a.KeyID != "" || !a.KeySecret.Empty(), map[string]bool{
		"keyID": a.KeyID != "", "keySecret": !a.KeySecret.Empty(), "signName": a.SignName != "", "template": a.Template != "",
	})
}

func (t Tencent) validate(p *problems) {
	p.url("sms.tencent.endpoint", t.Endpoint)
	p.account("sms.tencent", t.SecretID != "" || !t.SecretKey.Empty(), map[string]bool{
		"secretID": t.SecretID != "", "secretKey": !t.SecretKey.Empty(), "appID": t.AppID != "", "signName": t.SignName != "", "template": t.Template != "",
	})
}

func (l Limits) validate(p *problems) {
	for _, list := range []struct {
		key   string
		rules []rules.Rule
	}{{"limits.perAddress", l.PerAddress}, {"limits.perUser", l.PerUser}} {
		if err := rules.Validate(list.rules); err != nil {
			p.add("%s: %s", list.key, oneLine(err.Error()))
		}
	}
	p.check(l.Instances >= 1, "limits.instances", l.Instances, "must be 1 or more")
	p.between("limits.timeout", l.Timeout, time.Millisecond, time.Second)
}

// problems collects what is wrong, so that an operator mends it in one go.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

func (p *problems) check(ok bool, key string, value any, rule string) {
	if !ok {
		p.add("%s: %v %s", key, value, rule)
	}
}

func (p *problems) between(key string, d, low, high time.Duration) {
	p.check(d >= low && d <= high, key, d, fmt.Sprintf("must be between %v and %v", low, high))
}

func (p *problems) oneOf(key, value string, allowed ...string) {
	p.check(slices.Contains(allowed, value), key, fmt.Sprintf("%q", value), fmt.Sprintf("must be one of %q", allowed))
}

func (p *problems) addr(key, value string) {
	_, _, err := net.SplitHostPort(value)
	p.check(err == nil, key, fmt.Sprintf("%q", value), "must be host:port")
}

func (p *problems) url(key, value string) {
	u, err := url.Parse(value)
	ok := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	p.check(ok, key, fmt.Sprintf("%q", value), "must be an http or https URL")
}

// origin checks a URL as browsers send it: they never add even a slash.
func (p *problems) origin(key, value string) {
	before := len(*p)
	p.url(key, value)
	if len(*p) == before {
		_, rest, _ := strings.Cut(value, "://")
		p.check(!strings.ContainsAny(rest, "/?#@"), key, fmt.Sprintf("%q", value), "must be scheme://host:port with no path, not even a slash")
	}
}

func (p *problems) key(name string, value logger.Secret) {
	if n := len(value.Reveal()); n > 0 && n < minKey {
		p.add("%s: must have %d bytes or more, has %d", name, minKey, n)
	}
}

// account demands that a vendor that is used has all that it needs.
func (p *problems) account(key string, used bool, given map[string]bool) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if used && !given[name] {
			p.add("%s.%s: is required with the vendor's keys; secrets are best set in the environment", key, name)
		}
	}
}

func (p *problems) err() error {
	if len(*p) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(*p, "; "))
}
