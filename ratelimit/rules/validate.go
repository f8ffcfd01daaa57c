package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Validate returns nil, or one [*ratelimit.FieldError] for each violation in the
// rules, joined. Fields are named as in "rules[2].rate.count".
func Validate(rules []Rule) error {
	var errs []error
	for i := range rules {
		path := fmt.Sprintf("rules[%d]", i)
		errs = append(errs, rules[i].validate(path)...)
		for j := range rules[:i] {
			if rules[j].Name == rules[i].Name && rules[i].Name != "" {
				errs = append(errs, bad(path+".name", rules[i].Name, fmt.Sprintf("is the name of rules[%d] already", j)))
			}
			if rules[i].hidden(&rules[j]) {
				errs = append(errs, bad(path+".match", rules[i].Name, fmt.Sprintf("is that of rules[%d], which always decides", j)))
			}
		}
	}
	return errors.Join(errs...)
}

// hidden tells whether r can never decide for being the same as an earlier rule.
func (r *Rule) hidden(earlier *Rule) bool {
	return r.Match == earlier.Match && slices.Equal(r.Per, earlier.Per) && !r.Shadow && !earlier.Shadow
}

// fields are all there are.
var fields = []Field{User, IP, Tenant, Method}

func (r *Rule) validate(path string) (errs []error) {
	if r.Name == "" {
		errs = append(errs, bad(path+".name", `""`, "must be given"))
	}
	if ip := r.Match.IP; ip.IsValid() && ip != ip.Masked() {
		errs = append(errs, bad(path+".match.ip", ip, "must have no bits beyond its length"))
	} else if (ip != netip.Prefix{}) && !ip.IsValid() {
		errs = append(errs, bad(path+".match.ip", ip, "must be a network"))
	} else if ip.Addr().Is4In6() {
		errs = append(errs, bad(path+".match.ip", ip, "must be written as IPv4"))
	}
	for i, f := range r.Per {
		if !slices.Contains(fields, f) {
			errs = append(errs, bad(fmt.Sprintf("%s.per[%d]", path, i), f, "must be user, ip, tenant or method"))
		} else if slices.Contains(r.Per[:i], f) {
			errs = append(errs, bad(fmt.Sprintf("%s.per[%d]", path, i), f, "must be there once only"))
		}
	}
	return append(errs, r.validateLimit(path)...)
}

func (r *Rule) validateLimit(path string) []error {
	limited := r.Rate != ratelimit.Rate{} || r.Burst != 0
	switch {
	case r.Unlimited && r.Blocked:
		return []error{bad(path+".blocked", true, "must not be set together with unlimited")}
	case limited && (r.Unlimited || r.Blocked):
		return []error{bad(path+".rate", r.Rate, "must not be set when unlimited or blocked is")}
	case r.Unlimited || r.Blocked:
		return nil
	}
	return prefixed(path, r.Quota().Validate())
}

// prefixed puts the path in front of the fields that err is about.
func prefixed(path string, err error) (errs []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, err := range joined.Unwrap() {
		var field *ratelimit.FieldError
		if errors.As(err, &field) {
			err = bad(path+"."+field.Field, field.Value, field.Reason)
		}
		errs = append(errs, err)
	}
	return errs
}

func bad(field string, value any, reason string) error {
	return &ratelimit.FieldError{Field: field, Value: value, Reason: reason}
}
