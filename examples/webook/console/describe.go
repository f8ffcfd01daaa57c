package console

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// limitOf says what a rule lets pass.
func limitOf(r rules.Rule) string {
	switch {
	case r.Unlimited:
		return "unlimited"
	case r.Blocked:
		return "blocked"
	}
	text := fmt.Sprintf("%d %s", r.Rate.Count, perOf(r.Rate))
	if r.Burst > 0 {
		text += fmt.Sprintf(", burst %d", r.Burst)
	}
	return text
}

func perOf(r ratelimit.Rate) string {
	switch r.Per {
	case time.Second:
		return "per second"
	case time.Minute:
		return "per minute"
	case time.Hour:
		return "per hour"
	case 24 * time.Hour:
		return "per day"
	default:
		return "per " + r.Per.String()
	}
}

// scopeOf says whom a rule is for, and who has a budget of their own.
func scopeOf(r rules.Rule) string {
	var parts []string
	m := r.Match
	for _, p := range []struct{ name, value string }{{"user", m.User}, {"tenant", m.Tenant}, {"", m.Method}} {
		if p.value != "" {
			parts = append(parts, strings.TrimSpace(p.name+" "+p.value))
		}
	}
	if m.IP.IsValid() {
		parts = append(parts, "from "+m.IP.String())
	}
	if len(parts) == 0 {
		parts = append(parts, "everything else")
	}
	if len(r.Per) > 0 {
		per := make([]string, len(r.Per))
		for i, f := range r.Per {
			per[i] = strings.ReplaceAll(string(f), "ip", "address")
		}
		parts = append(parts, "for each "+strings.Join(per, " and "))
	}
	return strings.Join(parts, ", ")
}

// change is a difference between two revisions' rules. Without a rule it is about
// all of them.
type change struct {
	Rule   string `json:"rule,omitempty"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// describe is all of a rule in words.
func describe(r rules.Rule) string {
	text := limitOf(r) + " · " + scopeOf(r)
	if r.Shadow {
		text += " · shadow"
	}
	return text
}

// changes tells what differs, rule by rule.
func changes(before, after []rules.Rule) (list []change) {
	old := byName(before)
	for _, r := range after {
		was, had := old[r.Name]
		delete(old, r.Name)
		switch now := describe(r); {
		case !had:
			list = append(list, change{Rule: r.Name, After: now})
		case describe(was) != now && scopeOf(was) == scopeOf(r) && was.Shadow == r.Shadow:
			list = append(list, change{r.Name, limitOf(was), limitOf(r)})
		case describe(was) != now:
			list = append(list, change{r.Name, describe(was), now})
		}
	}
	for _, r := range before {
		if _, gone := old[r.Name]; gone {
			list = append(list, change{Rule: r.Name, Before: describe(r)})
		}
	}
	if len(list) == 0 && !slices.Equal(names(before), names(after)) {
		list = append(list, change{Before: strings.Join(names(before), ", "), After: strings.Join(names(after), ", ")})
	}
	return list
}

func byName(list []rules.Rule) map[string]rules.Rule {
	m := make(map[string]rules.Rule, len(list))
	for _, r := range list {
		m[r.Name] = r
	}
	return m
}

func names(list []rules.Rule) []string {
	all := make([]string, len(list))
	for i, r := range list {
		all[i] = r.Name
	}
	return all
}

// textOf is a rule, or all of them, as people edit them.
func textOf(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "" // rules that were saved can be written
	}
	return string(text)
}
