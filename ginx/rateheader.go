package ginx

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// defaultPolicy is the name of a limit in the headers.
const defaultPolicy = "default"

// WithPolicyName sets the name of the limit in the RateLimit headers; "default"
// without it. Limits that follow each other on one route need different names, else
// the inner one replaces the outer one there.
func WithPolicyName(name string) GuardOption {
	return guardOption(func(g *guard) { g.header.name = name })
}

// WithRuleNames names the limit in the RateLimit headers after the rule that decided.
// Off by default: names such as "suspects" are not for their subjects.
func WithRuleNames() GuardOption {
	return guardOption(func(g *guard) { g.header.rules = true })
}

// WithoutRateHeaders leaves out RateLimit and RateLimit-Policy: for a login, where
// they would tell a guesser how fast to go. Retry-After stays.
func WithoutRateHeaders() GuardOption {
	return guardOption(func(g *guard) { g.header.off = true })
}

// WithJitter adds a random time of up to spread to Retry-After, so that clients who
// were refused together do not come back together; 0 adds none. Without it spread is
// a tenth of the limit's period where that can be told, else of the time itself.
func WithJitter(spread time.Duration) GuardOption {
	return guardOption(func(g *guard) { g.header.jitter = max(spread, 0) })
}

// rateHeader writes the RateLimit fields of draft-ietf-httpapi-ratelimit-headers:
// lists of quoted policy names with parameters. What a policy's partition key would
// tell is nobody's business, so there is none.
type rateHeader struct {
	name       string
	rules, off bool
	jitter     time.Duration     // negative when not set
	tuned      ratelimit.Retuner // nil when the limit's rate can not be told
	last       atomic.Pointer[policy]
}

// policy is a RateLimit-Policy member as it was last written.
type policy struct {
	name         string
	limit        int64
	quoted, text string
	read         time.Time // when the limiter was asked for its rate
}

// rereadAfter is how long a rate is taken for known: asking may cost more than
// deciding.
const rereadAfter = time.Second

// wait is what Retry-After says about a denial.
func (h *rateHeader) wait(d ratelimit.Decision) time.Duration {
	spread := h.jitter
	switch {
	case spread >= 0:
	case h.tuned != nil:
		spread = h.tuned.Quota().Rate.Per / 10
	default:
		spread = d.RetryAfter / 10
	}
	return max(d.Jittered(spread), d.RetryAfter) // the sum may be more than there is
}

// write tells how the limit stands; while a store is away that is how this process's
// share of it stands, or nothing where there is none. A denial's t is the moment of
// its Retry-After.
func (h *rateHeader) write(header http.Header, d ratelimit.Decision, wait time.Duration) {
	if h.off || d.Limit == ratelimit.Unlimited || d.Degraded && d.Limit <= 0 {
		return
	}
	name := h.name
	if h.rules && d.Rule != "" {
		name = d.Rule
	}
	p := h.policy(name, d.Limit)
	until := max(seconds(wait), 1)
	if d.Allowed {
		until = seconds(d.ResetAfter)
	}
	state := make([]byte, 0, 64)
	state = append(state, p.quoted...)
	state = append(state, ";r="...)
	state = strconv.AppendInt(state, min(max(d.Remaining, 0), maxInteger), 10)
	state = append(state, ";t="...)
	state = strconv.AppendInt(state, until, 10)
	put(header, "Ratelimit-Policy", p.quoted, p.text)
	put(header, "Ratelimit", p.quoted, string(state))
}

// policy returns the member for RateLimit-Policy: the rate where it is known in whole
// seconds, the only ones there are in the draft, else what can be taken at once.
func (h *rateHeader) policy(name string, limit int64) *policy {
	had := h.last.Load()
	if had != nil && had.name == name && had.limit == limit && (h.tuned == nil || time.Since(had.read) < rereadAfter) {
		return had
	}
	next := &policy{name: name, limit: limit, quoted: quote(name)}
	quota, window := limit, int64(0)
	if h.tuned != nil {
		next.read = time.Now()
		if rate := h.tuned.Quota().Rate; rate.Per > 0 && rate.Per%time.Second == 0 {
			quota, window = rate.Count, int64(rate.Per/time.Second)
		}
	}
	next.text = next.quoted + ";q=" + strconv.FormatInt(min(max(quota, 0), maxInteger), 10)
	if window > 0 {
		next.text += ";w=" + strconv.FormatInt(window, 10)
	}
	h.last.Store(next)
	return next
}

// maxInteger is the largest one of RFC 9651.
const maxInteger = 999_999_999_999_999

// quote returns s as a String of RFC 9651, which is ASCII: others become "_".
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r > '~':
			b.WriteByte('_')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// put adds a member to a list, or replaces that of the same name: there may be but
// one.
func put(header http.Header, key, quoted, member string) {
	values := header[key]
	for i, v := range values {
		if rest, ok := strings.CutPrefix(v, quoted); ok && strings.HasPrefix(rest, ";") {
			values[i] = member
			return
		}
	}
	header[key] = append(values, member)
}
