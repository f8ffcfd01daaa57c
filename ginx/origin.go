package ginx

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// originSet answers whether an origin is allowed. It is read-only once built.
type originSet struct {
	any   bool
	exact map[string]struct{}
	// under holds "https://*.example.com" split at the star.
	under []originPattern
}

type originPattern struct{ prefix, suffix string }

// allow compares whole origins. A test for a prefix or for a part would let
// http://localhost.evil and https://example.com.evil pass.
func (s *originSet) allow(origin string) bool {
	if _, ok := s.exact[origin]; ok {
		return true
	}
	for _, p := range s.under {
		if p.match(origin) {
			return true
		}
	}
	return false
}

func (p originPattern) match(origin string) bool {
	sub, ok := strings.CutPrefix(origin, p.prefix)
	if !ok {
		return false
	}
	sub, ok = strings.CutSuffix(sub, p.suffix)
	return ok && isHostname(sub)
}

// isHostname tells whether s is a sequence of host labels: what stands for the
// star must not hide a port, a user or another scheme.
func isHostname(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// add takes one entry of the configuration.
func (s *originSet) add(entry string, credentials bool) error {
	switch {
	case entry == "*" && credentials:
		return errors.New("any page could act for the user: name the origins, or do without credentials")
	case entry == "*":
		s.any = true
		return nil
	case entry == "null":
		return errors.New("sandboxed frames and local files of anybody have this origin")
	}
	scheme, domain, star := strings.Cut(entry, "://*.")
	plain := entry
	if star {
		plain = scheme + "://" + domain
	}
	host, err := checkOrigin(plain)
	if err != nil {
		return err
	}
	if !star {
		s.exact[entry] = struct{}{}
		return nil
	}
	if net.ParseIP(host) != nil || isPublicSuffix(host) {
		return errors.New("the pattern covers domains of strangers: put a registered domain behind the star")
	}
	s.under = append(s.under, originPattern{prefix: scheme + "://", suffix: "." + domain})
	return nil
}

// checkOrigin tells whether s is spelt as a browser serialises an origin, for
// only then can it ever compare equal, and returns its host.
func checkOrigin(s string) (host string, err error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.New("is no origin")
	case strings.Contains(s, "*"):
		return "", errors.New(`a star may only stand for subdomains: "https://*.example.com"`)
	case u.Scheme == "" || u.Host == "" || u.Opaque != "" || u.Hostname() == "":
		return "", errors.New(`must be scheme://host or scheme://host:port`)
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "", errors.New("must end after the host or port: no path, not even a slash")
	case s != strings.ToLower(s):
		return "", errors.New("must be in lower case, as browsers send it")
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80", strings.HasSuffix(u.Host, ":"):
		return "", errors.New("must leave out the default port, as browsers do")
	}
	return u.Hostname(), nil
}

// isPublicSuffix tells whether anybody can register names directly under host:
// com, co.uk, github.io. A name of one label, such as localhost, has no rule.
func isPublicSuffix(host string) bool {
	host = strings.TrimSuffix(host, ".") // rooted names are in no list
	suffix, _ := publicsuffix.PublicSuffix(host)
	return suffix == host && host != "localhost"
}
