package session

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Cookie says what the session cookie looks like. Its Max-Age is not in here: it
// follows the life of the session. The zero Cookie goes over HTTPS only, is not
// readable by scripts, is not sent with requests that other sites make except
// for links followed, and is bound to the host.
type Cookie struct {
	// Name is by default "session", with the prefix "__Host-" where browsers
	// accept it: secure, for the path "/", without a domain.
	Name string
	// Path and Domain are where the browser sends it. Default: "/", and the host
	// alone that set it.
	Path, Domain string
	// SameSite is by default Lax. None needs HTTPS.
	SameSite http.SameSite
	// AllowHTTP drops the Secure attribute, for development without TLS.
	AllowHTTP bool
	// AllowScripts drops the HttpOnly attribute. No page needs that; a script
	// injected into one would take the session.
	AllowScripts bool
}

const hostPrefix = "__Host-"

func (c Cookie) withDefaults() Cookie {
	if c.Path == "" {
		c.Path = "/"
	}
	if c.SameSite == 0 {
		c.SameSite = http.SameSiteLaxMode
	}
	if c.Name == "" {
		c.Name = "session"
		if c.hostOnly() {
			c.Name = hostPrefix + c.Name
		}
	}
	return c
}

func (c Cookie) hostOnly() bool { return !c.AllowHTTP && c.Path == "/" && c.Domain == "" }

func (c Cookie) validate(v *violations) {
	if err := c.build("x", time.Second).Valid(); err != nil {
		v.check(false, "Cookie: %v", err)
	}
	v.check(c.SameSite != http.SameSiteNoneMode || !c.AllowHTTP, "Cookie: SameSite None needs HTTPS, so no AllowHTTP")
	v.check(!strings.HasPrefix(c.Name, hostPrefix) || c.hostOnly(),
		"Cookie: Name %q: needs HTTPS, Path %q and no Domain", c.Name, "/")
	v.check(!strings.HasPrefix(c.Name, "__Secure-") || !c.AllowHTTP, "Cookie: Name %q: needs HTTPS", c.Name)
}

// build returns the cookie for life; one that removes it when life is not positive.
func (c Cookie) build(value string, life time.Duration) *http.Cookie {
	seconds := int(life / time.Second)
	if seconds <= 0 {
		seconds = -1
	}
	return &http.Cookie{
		Name: c.Name, Value: value, Path: c.Path, Domain: c.Domain, MaxAge: seconds,
		Secure: !c.AllowHTTP, HttpOnly: !c.AllowScripts, SameSite: c.SameSite,
	}
}

// write puts the cookie into the response, in place of one it set earlier.
func (c Cookie) write(header http.Header, value string, life time.Duration) {
	header["Set-Cookie"] = slices.DeleteFunc(header["Set-Cookie"], func(line string) bool {
		return strings.HasPrefix(line, c.Name+"=")
	})
	header.Add("Set-Cookie", c.build(value, life).String())
}
