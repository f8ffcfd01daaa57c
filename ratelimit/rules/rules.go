// Package rules chooses the limit of a request by who makes it, from where, and
// what for: a [Set] of plain [Rule]s, of which the most specific that matches
// decides.
//
//	set, err := rules.New([]rules.Rule{
//		{Name: "vip", Match: rules.Match{User: "42"}, Unlimited: true},
//		{Name: "login", Match: rules.Match{Method: "POST /login"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(5)},
//		{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(100)},
//	})
//	d, err := set.Decide(ctx, rules.Subject{User: "7", IP: addr, Method: "POST /login"}, 1)
//
// Rules are replaced while the set runs: all of them or, if one is bad, none, and
// what was used under a rule that stays counts on. A rule can run as a shadow
// first, and [Set.Explain] tells why a subject is decided about as it is. [Parse]
// reads rules from JSON.
//
// Each set decides, and charges, by itself. A request that meets two sets, one by
// address before the login and one by user behind it, is charged by each; so a rule
// that names neither belongs in one of them only. [WithScope] sees to that.
//
// Errors: [*ratelimit.FieldError] for each bad field of a rule, joined; [ErrStale]
// when rules have changed since the caller read them; and what the limiters
// behind the rules return.
package rules

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Subject is what a request is judged by. A field that is not known stays zero,
// and no rule that asks for it applies.
type Subject struct {
	User   string
	IP     netip.Addr
	Tenant string
	Method string
}

// Field names a part of a Subject.
type Field string

// The fields.
const (
	User   Field = "user"
	IP     Field = "ip"
	Tenant Field = "tenant"
	Method Field = "method"
)

// Match tells which subjects a rule is for: those that have each of its fields. The
// zero Match is for all.
type Match struct {
	User string
	// IP is a network; a single address is one of its full length.
	IP     netip.Prefix
	Tenant string
	Method string
}

// Rule is a limit for the subjects that match. It is one of three: Unlimited,
// Blocked, or a Rate.
type Rule struct {
	// Name is the Rule of its decisions, and a label: from a closed set.
	Name  string
	Match Match
	// Per lists the fields whose values have a budget each. Without any, all
	// subjects that match share one. An IPv6 address counts as its /64 network,
	// which is what one subscriber has.
	Per []Field
	// Rate and Burst are the limit; see [ratelimit.Quota].
	Rate  ratelimit.Rate
	Burst int64
	// Unlimited admits all.
	Unlimited bool
	// Blocked denies all.
	Blocked bool
	// Shadow rules are decided and charged, but the next that matches counts.
	Shadow bool
}

// Quota returns the rule's limit.
func (r Rule) Quota() ratelimit.Quota { return ratelimit.Quota{Rate: r.Rate, Burst: r.Burst} }

// mismatch names the field because of which the rule is not for s; empty when it
// is.
func (r *Rule) mismatch(s Subject) Field {
	switch m := &r.Match; {
	case m.User != "" && m.User != s.User:
		return User
	case m.IP.IsValid() && !m.IP.Contains(s.IP):
		return IP
	case m.Tenant != "" && m.Tenant != s.Tenant:
		return Tenant
	case m.Method != "" && m.Method != s.Method:
		return Method
	}
	for _, f := range r.Per {
		if s.value(f) == "" {
			return f
		}
	}
	return ""
}

// names tells whether the rule matches, or is per, one of the fields.
func (r *Rule) names(fields []Field) bool {
	m := &r.Match
	return slices.ContainsFunc(fields, func(f Field) bool {
		return slices.Contains(r.Per, f) ||
			f == User && m.User != "" || f == IP && m.IP.IsValid() || f == Tenant && m.Tenant != "" || f == Method && m.Method != ""
	})
}

// value is the text of a field under which it has its budget.
func (s Subject) value(f Field) string {
	switch f {
	case User:
		return s.User
	case Tenant:
		return s.Tenant
	case Method:
		return s.Method
	}
	switch {
	case !s.IP.IsValid():
		return ""
	case s.IP.Is4():
		return s.IP.String()
	default:
		return netip.PrefixFrom(s.IP, 64).Masked().String()
	}
}

// key is the budget of s under the rule. Each part is prefixed by its length, so
// that no value can pass for several.
func (r *Rule) key(s Subject) string {
	key := make([]byte, 0, 64)
	key = part(key, r.Name)
	for _, f := range r.Per {
		key = part(key, s.value(f))
	}
	return string(key)
}

func part(key []byte, value string) []byte {
	key = strconv.AppendInt(key, int64(len(value)), 10)
	key = append(key, ':')
	return append(key, value...)
}

// moreSpecific orders rules: a user says more than an address, a longer network
// more than a shorter, that more than a tenant, and that more than a method. Of
// equals, shadows come first, as nothing behind a decision is looked at.
func moreSpecific(a, b *Rule) int {
	for _, c := range [...][2]int{
		{rank(a.Match.User), rank(b.Match.User)},
		{a.Match.IP.Bits(), b.Match.IP.Bits()}, // -1 for none
		{rank(a.Match.Tenant), rank(b.Match.Tenant)},
		{rank(a.Match.Method), rank(b.Match.Method)},
	} {
		if c[0] != c[1] {
			return c[1] - c[0]
		}
	}
	switch {
	case a.Shadow == b.Shadow:
		return 0
	case a.Shadow:
		return -1
	default:
		return 1
	}
}

func rank(s string) int { return min(len(s), 1) }
