package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// wire is a Rule in JSON.
type wire struct {
	Name      string    `json:"name"`
	Match     wireMatch `json:"match,omitzero"`
	Per       []Field   `json:"per,omitempty"`
	Rate      wireRate  `json:"rate,omitzero"`
	Burst     int64     `json:"burst,omitempty"`
	Unlimited bool      `json:"unlimited,omitempty"`
	Blocked   bool      `json:"blocked,omitempty"`
	Shadow    bool      `json:"shadow,omitempty"`
}

type wireMatch struct {
	User   string `json:"user,omitempty"`
	IP     string `json:"ip,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	Method string `json:"method,omitempty"`
}

type wireRate struct {
	Count int64  `json:"count"`
	Per   string `json:"per"`
}

// MarshalJSON implements [json.Marshaler] in the form that [Parse] reads.
func (r Rule) MarshalJSON() ([]byte, error) {
	w := wire{
		Name: r.Name, Per: r.Per, Burst: r.Burst, Unlimited: r.Unlimited, Blocked: r.Blocked, Shadow: r.Shadow,
		Match: wireMatch{User: r.Match.User, Tenant: r.Match.Tenant, Method: r.Match.Method},
	}
	if r.Match.IP.IsValid() {
		w.Match.IP = r.Match.IP.String()
	}
	if r.Rate.Count != 0 || r.Rate.Per != 0 {
		w.Rate = wireRate{r.Rate.Count, short(r.Rate.Per)}
	}
	return json.Marshal(w)
}

// short writes a duration without the zeros that its String ends with.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Parse reads rules from a JSON array of objects:
//
//	[{"name": "login", "match": {"method": "POST /login", "ip": "10.0.0.0/8"}, "per": ["ip"],
//	  "rate": {"count": 5, "per": "1m"}, "burst": 5, "shadow": true},
//	 {"name": "vip", "match": {"user": "42"}, "unlimited": true}]
//
// Names are those of the fields of [Rule], in lower case and spelled exactly.
// Unknown and bad fields are refused with one [*ratelimit.FieldError] each, joined,
// and what [Validate] finds too.
func Parse(data []byte) ([]Rule, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(data, &raws); err != nil {
		return nil, bad("rules", excerpt(data), fmt.Sprintf("must be a JSON array: %v", err))
	}
	if raws == nil { // null, which would be rules that admit everything
		return nil, bad("rules", excerpt(data), "must be a JSON array")
	}
	rules := make([]Rule, len(raws))
	var errs []error
	for i, raw := range raws {
		d := decode(fmt.Sprintf("rules[%d]", i), raw, &errs)
		rules[i] = d.rule()
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return rules, Validate(rules)
}

func (d *decoder) rule() (r Rule) {
	d.into("name", &r.Name, "a text")
	d.into("per", &r.Per, "a list of texts")
	d.into("burst", &r.Burst, "a whole number")
	d.into("unlimited", &r.Unlimited, "true or false")
	d.into("blocked", &r.Blocked, "true or false")
	d.into("shadow", &r.Shadow, "true or false")
	if match, ok := d.object("match"); ok {
		match.into("user", &r.Match.User, "a text")
		match.into("tenant", &r.Match.Tenant, "a text")
		match.into("method", &r.Match.Method, "a text")
		match.network("ip", &r.Match.IP)
		match.finish()
	}
	if rate, ok := d.object("rate"); ok {
		rate.into("count", &r.Rate.Count, "a whole number")
		rate.duration("per", &r.Rate.Per)
		rate.finish()
	}
	d.finish()
	return r
}

// decoder takes the fields of a JSON object one by one, and so knows in the end
// which are unknown, and where it is.
type decoder struct {
	path   string
	fields map[string]json.RawMessage
	errs   *[]error
}

func decode(path string, raw json.RawMessage, errs *[]error) *decoder {
	d := &decoder{path: path, errs: errs}
	if err := json.Unmarshal(raw, &d.fields); err != nil || d.fields == nil {
		d.fail(path, raw, "must be a JSON object")
	}
	return d
}

func (d *decoder) fail(path string, raw []byte, reason string) {
	*d.errs = append(*d.errs, bad(path, excerpt(raw), reason))
}

// take returns the raw value of a field and removes it.
func (d *decoder) take(name string) (json.RawMessage, bool) {
	raw, ok := d.fields[name]
	delete(d.fields, name)
	return raw, ok
}

// into decodes a field; null, which would silently be nothing, is no value.
func (d *decoder) into(name string, to any, want string) (ok bool) {
	raw, ok := d.take(name)
	if !ok {
		return false
	}
	if err := json.Unmarshal(raw, to); err != nil || bytes.Equal(raw, []byte("null")) {
		d.fail(d.path+"."+name, raw, "must be "+want)
		return false
	}
	return true
}

func (d *decoder) object(name string) (*decoder, bool) {
	raw, ok := d.take(name)
	if !ok {
		return nil, false
	}
	return decode(d.path+"."+name, raw, d.errs), true
}

func (d *decoder) duration(name string, to *time.Duration) {
	var text string
	if !d.into(name, &text, `a duration such as "1s"`) {
		return
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		d.fail(d.path+"."+name, []byte(text), `must be a duration such as "1s"`)
	}
	*to = value
}

func (d *decoder) network(name string, to *netip.Prefix) {
	var text string
	if !d.into(name, &text, `a network such as "10.0.0.0/8"`) {
		return
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, addrErr := netip.ParseAddr(text)
		if addrErr != nil || addr.Zone() != "" {
			d.fail(d.path+"."+name, []byte(text), `must be a network such as "10.0.0.0/8", or an address`)
			return
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	*to = prefix
}

// finish refuses the fields that nobody took.
func (d *decoder) finish() {
	for _, name := range slices.Sorted(maps.Keys(d.fields)) {
		d.fail(d.path+"."+name, d.fields[name], "is unknown")
	}
}

// excerpt is the begin of a value, for messages.
func excerpt(raw []byte) string {
	const most = 40
	if len(raw) > most {
		return string(raw[:most]) + "…"
	}
	return string(raw)
}
