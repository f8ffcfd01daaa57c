package session

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Rule says how [Manager.Login] treats some routes. Make rules with [Public],
// [PublicPrefix], [PublicUnmatched], [Optional] and [FailOpenFor], and check
// them with [NewRules].
//
// A route is the template that the router registered, "/articles/:id", never the
// path that the client sent, with an optional method in front: "GET /hello".
// Without a method it means all of them.
type Rule struct {
	name    string
	routes  []string
	prefix  string
	demand  demand
	open    time.Duration
	reads   bool
	missing bool
}

// demand is what a route demands. The zero demand is a login.
type demand uint8

const (
	required demand = iota
	optional
	public
)

// Public opens routes to everybody. Tokens are not looked at, so a handler never
// sees claims there. Login, sign-up and the refresh of tokens belong here.
func Public(routes ...string) Rule {
	return Rule{name: "Public", routes: routes, demand: public}
}

// PublicPrefix opens the route with this template and all below it: "/oauth2"
// covers "/oauth2/wechat/callback", but not "/oauth2x". It can't be "/".
func PublicPrefix(prefix string) Rule {
	return Rule{name: "PublicPrefix", prefix: prefix, demand: public}
}

// PublicUnmatched lets requests through that match no route, to the router's own
// answers for unknown routes and methods. Without it they need a login: a service
// may do more in its NoRoute handler than to say 404.
func PublicUnmatched() Rule {
	return Rule{name: "PublicUnmatched", missing: true, demand: public}
}

// Optional opens routes to everybody, and sets the claims of those who are
// logged in. A token that is no longer good makes its bearer anonymous, and so
// does a store that does not answer.
func Optional(routes ...string) Rule {
	return Rule{name: "Optional", routes: routes, demand: optional}
}

// FailOpenFor lets sessions through on the routes given while the store does not
// answer, until outage has passed since this node last reached it. Tokens are
// checked all the same, and sessions that this node knows to be revoked stay out.
// Without routes it holds for all GET and HEAD requests. Meant for reads; the
// default is to fail closed.
func FailOpenFor(outage time.Duration, routes ...string) Rule {
	return Rule{name: "FailOpenFor", routes: routes, open: outage, reads: len(routes) == 0}
}

// RuleError says what is wrong with one rule.
type RuleError struct {
	// Rule is the constructor of the rule: "Public".
	Rule string
	// Value is the route, prefix or duration at fault.
	Value string
	// Reason says why it is refused.
	Reason string
}

// Error implements error.
func (e *RuleError) Error() string {
	return fmt.Sprintf("session: %s %q: %s", e.Rule, e.Value, e.Reason)
}

// Rules is a checked set of rules. It is immutable. The zero Rules, like nil,
// demand a login everywhere and fail closed.
type Rules struct {
	demands  map[string]demand
	open     map[string]time.Duration
	reads    time.Duration
	prefixes []string
	missing  demand
}

// NewRules checks rules. The error joins a *RuleError for each violation: a route
// that is empty, has no leading slash or an unknown method, a prefix that would
// open everything, two rules that say different things of one route, an outage
// that is not positive or longer than a day.
func NewRules(rules ...Rule) (*Rules, error) {
	rs := &Rules{demands: map[string]demand{}, open: map[string]time.Duration{}}
	var errs []error
	for _, r := range rules {
		errs = append(errs, rs.add(r)...)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return rs, nil
}

func (rs *Rules) add(r Rule) (errs []error) {
	fail := func(value, reason string) {
		errs = append(errs, &RuleError{Rule: r.name, Value: value, Reason: reason})
	}
	switch {
	case r.name == "":
		fail("", "make rules with the functions of this package")
	case r.missing:
		rs.missing = public
	case r.name == "PublicPrefix":
		prefix := strings.TrimSuffix(r.prefix, "/")
		if reason := badPath(prefix); reason != "" {
			fail(r.prefix, reason)
		}
		rs.prefixes = append(rs.prefixes, prefix)
	case r.demand == required && (r.open <= 0 || r.open > 24*time.Hour):
		fail(r.open.String(), "must be in (0, 24h]")
	case r.reads && rs.reads != 0 && rs.reads != r.open:
		fail(r.open.String(), "all reads have "+rs.reads.String()+" already")
	case r.reads:
		rs.reads = r.open
	case len(r.routes) == 0:
		fail("", "at least one route is required")
	}
	for _, route := range r.routes {
		if reason := badRoute(route); reason != "" {
			fail(route, reason)
		}
		if r.demand == required {
			if was, ok := rs.open[route]; ok && was != r.open {
				fail(route, "has "+was.String()+" already")
			}
			rs.open[route] = r.open
			continue
		}
		if was, ok := rs.demands[route]; ok && was != r.demand {
			fail(route, "is both Public and Optional")
		}
		rs.demands[route] = r.demand
	}
	return errs
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace,
}

func badRoute(route string) string {
	method, path, found := strings.Cut(route, " ")
	if !found {
		return badPath(route)
	}
	if !slices.Contains(methods, method) {
		return "unknown method"
	}
	return badPath(path)
}

func badPath(path string) string {
	switch {
	case path == "":
		return "must not be empty"
	case path[0] != '/':
		return "must begin with a slash"
	case strings.ContainsAny(path, "?# "):
		return "must be a route template, without query and spaces"
	}
	return ""
}

// match tells what a request to route demands. The rule with a method beats the
// one without, and a named route beats a prefix.
func (rs *Rules) match(method, route string) (demand, time.Duration) {
	if rs == nil {
		return required, 0
	}
	if route == "" {
		return rs.missing, 0
	}
	open, ok := either(rs.open, method, route)
	if !ok && (method == http.MethodGet || method == http.MethodHead) {
		open = rs.reads
	}
	if a, ok := either(rs.demands, method, route); ok {
		return a, open
	}
	for _, prefix := range rs.prefixes {
		if below, ok := strings.CutPrefix(route, prefix); ok && (below == "" || below[0] == '/') {
			return public, open
		}
	}
	return required, open
}

func either[V any](m map[string]V, method, route string) (V, bool) {
	if len(m) == 0 {
		var none V
		return none, false
	}
	if v, ok := m[method+" "+route]; ok {
		return v, true
	}
	v, ok := m[route]
	return v, ok
}
