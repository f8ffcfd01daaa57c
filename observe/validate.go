package observe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// OutcomeLabel is the label, or attribute, under which backends show the
// [Outcome]. No Kind may use it for a label of its own.
const OutcomeLabel = "outcome"

// reserved are the label names that backends add themselves: the outcome, and
// the bucket and quantile labels of the Prometheus formats.
var reserved = []string{OutcomeLabel, "le", "quantile"}

// Validate tells what is wrong with k: names that are not snake_case, too many
// labels, a label twice (also once at the start and once at the end) or one that
// backends reserve, a Role or Form out of range. The violations are joined.
// Backends call it when a Kind first appears; a package calls it in a test.
func (k *Kind) Validate() error {
	if k == nil {
		return errors.New("observe: Kind is nil")
	}
	v := violations{what: "Kind", name: k.Component + "." + k.Action}
	v.snake("Component", k.Component)
	v.snake("Action", k.Action)
	if k.Amount != "" {
		v.snake("Amount", k.Amount)
	}
	if k.Role > Consumer {
		v.add("Role %d is unknown", k.Role)
	}
	if k.Form > Instant {
		v.add("Form %d is unknown", k.Form)
	}
	v.labels("StartLabels", k.StartLabels)
	v.labels("EndLabels", k.EndLabels)
	for _, l := range k.EndLabels {
		if slices.Contains(k.StartLabels, l) {
			v.add("EndLabels: %q is a start label already", l)
		}
	}
	return errors.Join(v.errs...)
}

// Validate tells what is wrong with g: names that are not snake_case, too many
// labels, a label twice or one that backends reserve, or a Name that ends in
// "_total" without being Cumulative and the other way round. The violations are
// joined.
func (g *Gauge) Validate() error {
	if g == nil {
		return errors.New("observe: Gauge is nil")
	}
	v := violations{what: "Gauge", name: g.Component + "." + g.Name}
	v.snake("Component", g.Component)
	v.snake("Name", g.Name)
	v.labels("Labels", g.Labels)
	if strings.HasSuffix(g.Name, "_total") != g.Cumulative {
		v.add("Name %q: a name ends in _total exactly when Cumulative is set", g.Name)
	}
	return errors.Join(v.errs...)
}

// violations collects what is wrong with one description.
type violations struct {
	what, name string
	errs       []error
}

func (v *violations) add(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf("observe: %s %s: %s", v.what, v.name, fmt.Sprintf(format, args...)))
}

func (v *violations) snake(field, name string) {
	if !ValidName(name) {
		v.add("%s %q is not snake_case", field, name)
	}
}

func (v *violations) labels(field string, names []string) {
	if len(names) > MaxLabels {
		v.add("%s has %d labels, at most %d fit", field, len(names), MaxLabels)
	}
	for i, l := range names {
		v.snake(field, l)
		if slices.Contains(reserved, l) {
			v.add("%s: %q is reserved for backends", field, l)
		}
		if slices.Contains(names[:i], l) {
			v.add("%s: %q appears twice", field, l)
		}
	}
}

// ValidName tells whether s can name a component, an action, a label or a
// namespace: snake_case, made of lower-case words and digits joined by
// single underscores and begins with a letter: what all backends accept.
func ValidName(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' || s[len(s)-1] == '_' {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '_' && s[i-1] != '_':
		default:
			return false
		}
	}
	return true
}
