package rules

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// Set decides by rules that can be replaced while it runs. As a
// [ratelimit.Limiter] it takes a key for a user.
type Set struct {
	build      Factory
	onShadow   func(context.Context, ratelimit.Decision, error)
	onDecision func(context.Context, Subject, int64, ratelimit.Decision, error)
	scope      []Field
	rules      atomic.Pointer[compiled]

	replacing sync.Mutex
}

// Factory makes the limiter behind a rule. It is not called for rules that are
// Unlimited or Blocked. A limiter that is a [ratelimit.Retuner] is kept, with what
// was used of it, when its rule gets another limit; the decorators of package ratelimit
// are Retuners if what they decorate is. One that [ratelimit.Observe] returned reports
// the rule's name.
type Factory func(Rule) (ratelimit.Limiter, error)

// Option configures [New].
type Option interface{ apply(*Set) }

type optionFunc func(*Set)

func (f optionFunc) apply(s *Set) { f(s) }

// WithFactory sets what makes the rules' limiters. Without it they are token
// buckets in this process.
func WithFactory(f Factory) Option {
	return optionFunc(func(s *Set) { s.build = f })
}

// WithOnShadow sets a function that is called with each decision of a shadow rule,
// or the error of its limiter, which has no effect otherwise. It runs on the
// request's goroutine.
func WithOnShadow(f func(context.Context, ratelimit.Decision, error)) Option {
	return optionFunc(func(s *Set) { s.onShadow = f })
}

// WithOnDecision sets a function that is called with each call of [Set.Decide] and
// its result. It runs on the request's goroutine.
func WithOnDecision(f func(ctx context.Context, s Subject, cost int64, d ratelimit.Decision, err error)) Option {
	return optionFunc(func(s *Set) { s.onDecision = f })
}

// WithScope makes the set refuse rules with a rate that neither match nor are per one of
// the fields. It is for a request that meets several sets, one by address and one by
// user for example: a rule for all, or for a method, would be charged by each set that
// lists it.
func WithScope(fields ...Field) Option {
	return optionFunc(func(s *Set) { s.scope = fields })
}

// ErrStale is returned by [Set.CompareAndSet] when the version is not in force any
// more.
var ErrStale = errors.New("rules: changed since they were read")

// compiled is one version of the rules; nothing in it changes.
type compiled struct {
	version uint64
	listed  []Rule             // as given
	byUser  map[string][]entry // most specific first
	others  []entry            // those for any user, most specific first
	byName  map[string]entry
}

type entry struct {
	Rule
	limiter ratelimit.Limiter // nil when unlimited or blocked
}

// New returns a Set. Bad rules are refused with [*ratelimit.FieldError]s. No rules
// at all are fine, and admit everything.
func New(rules []Rule, opts ...Option) (*Set, error) {
	s := &Set{build: func(r Rule) (ratelimit.Limiter, error) {
		return ratelimit.NewTokenBucket(r.Rate, ratelimit.WithBurst(r.Burst))
	}}
	for _, o := range opts {
		o.apply(s)
	}
	var errs []error
	if s.build == nil {
		errs = append(errs, bad("factory", "nil", "must be given"))
	}
	for i, f := range s.scope {
		if !slices.Contains(fields, f) {
			errs = append(errs, bad(fmt.Sprintf("scope[%d]", i), f, "must be user, ip, tenant or method"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.rules.Store(&compiled{})
	if err := s.Replace(rules); err != nil {
		return nil, err
	}
	return s, nil
}

// Take implements [ratelimit.Limiter] for a subject of which only the user is
// known.
func (s *Set) Take(ctx context.Context, user string, cost int64) (ratelimit.Decision, error) {
	if user == "" {
		return ratelimit.Decision{}, ratelimit.ErrKey
	}
	return s.Decide(ctx, Subject{User: user}, cost)
}

// Decide takes cost from the budget of the subject under the most specific rule
// that matches; of equals, the one listed first. The Decision names it. Without
// any, the subject is unlimited.
func (s *Set) Decide(ctx context.Context, subject Subject, cost int64) (ratelimit.Decision, error) {
	d, err := s.decide(ctx, subject, cost)
	if s.onDecision != nil {
		s.onDecision(ctx, subject, cost, d, err)
	}
	return d, err
}

func (s *Set) decide(ctx context.Context, subject Subject, cost int64) (ratelimit.Decision, error) {
	subject.IP = plain(subject.IP)
	c := s.rules.Load()
	for _, entries := range [...][]entry{c.byUser[subject.User], c.others} {
		for i := range entries {
			e := &entries[i]
			if e.mismatch(subject) != "" {
				continue
			}
			d, err := e.decide(ctx, subject, cost)
			if !e.Shadow {
				return d, err
			}
			if s.onShadow != nil {
				s.onShadow(ctx, d, err)
			}
		}
	}
	return unlimited("", cost)
}

// plain is the address without what could keep it out of its network.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

func unlimited(rule string, cost int64) (ratelimit.Decision, error) {
	if cost < 0 {
		return ratelimit.Decision{}, &ratelimit.CostError{Cost: cost, Most: ratelimit.Unlimited}
	}
	return ratelimit.Decision{Allowed: true, Limit: ratelimit.Unlimited, Remaining: ratelimit.Unlimited, Rule: rule}, nil
}

// blockedFor is the RetryAfter under a rule that blocks: nobody knows better.
const blockedFor = time.Hour

func (e *entry) decide(ctx context.Context, subject Subject, cost int64) (ratelimit.Decision, error) {
	switch {
	case e.Unlimited:
		return unlimited(e.Name, cost)
	case e.Blocked && cost < 0:
		return ratelimit.Decision{}, &ratelimit.CostError{Cost: cost, Most: ratelimit.Unlimited}
	case e.Blocked:
		return ratelimit.Decision{RetryAfter: blockedFor, Rule: e.Name}, nil
	}
	d, err := e.limiter.Take(ctx, e.key(subject), cost)
	if err == nil {
		d.Rule = e.Name
	}
	return d, err
}

// Rules returns the rules in force, as they were given, and their version.
func (s *Set) Rules() ([]Rule, uint64) {
	c := s.rules.Load()
	rules := slices.Clone(c.listed)
	for i := range rules {
		rules[i].Per = slices.Clone(rules[i].Per)
	}
	return rules, c.version
}

// Replace puts other rules in force. A rule that has the same name and Per as
// before keeps what was used under it. Bad rules are refused, with
// [*ratelimit.FieldError]s or what the factory returns, and the old stay.
func (s *Set) Replace(rules []Rule) error {
	s.replacing.Lock()
	defer s.replacing.Unlock()
	return s.replace(rules)
}

// CompareAndSet is Replace, if version is still in force; else it returns
// [ErrStale].
func (s *Set) CompareAndSet(version uint64, rules []Rule) error {
	s.replacing.Lock()
	defer s.replacing.Unlock()
	if now := s.rules.Load().version; now != version {
		return fmt.Errorf("%w: version %d is now %d", ErrStale, version, now)
	}
	return s.replace(rules)
}

// Check returns the error with which [Set.Replace] would refuse the rules, as far as
// that can be known without putting them in force: of [Validate], of
// [WithScope], and of the factory, which makes limiters that nobody uses.
func (s *Set) Check(rules []Rule) error {
	if err := s.validate(rules); err != nil {
		return err
	}
	old := s.rules.Load()
	for _, r := range rules {
		if _, _, err := s.limiter(r, old); err != nil {
			return fmt.Errorf("rules: rule %q: %w", r.Name, err)
		}
	}
	return nil
}

// validate is [Validate], and that the rules are in scope.
func (s *Set) validate(rules []Rule) error {
	err := Validate(rules)
	if len(s.scope) == 0 {
		return err
	}
	errs := []error{err}
	for i := range rules {
		if r := &rules[i]; !r.Unlimited && !r.Blocked && !r.names(s.scope) {
			errs = append(errs, bad(fmt.Sprintf("rules[%d].per", i), r.Name,
				fmt.Sprintf("must have one of %v, or match one: these rules are not the only ones", s.scope)))
		}
	}
	return errors.Join(errs...)
}

func (s *Set) replace(rules []Rule) error {
	if err := s.validate(rules); err != nil {
		return err
	}
	old := s.rules.Load()
	next := &compiled{
		version: old.version + 1, byUser: map[string][]entry{}, byName: map[string]entry{},
	}
	var changes []change
	for _, r := range rules {
		r.Per = slices.Clone(r.Per)
		limiter, changed, err := s.limiter(r, old)
		if err != nil {
			return fmt.Errorf("rules: rule %q: %w", r.Name, err)
		}
		changes = append(changes, changed...)
		next.add(entry{r, limiter})
	}
	if err := retune(changes); err != nil {
		return err
	}
	next.sort()
	s.rules.Store(next)
	return nil
}

// change is a limiter that goes on under another quota.
type change struct {
	name   string
	tuned  ratelimit.Retuner
	quota  ratelimit.Quota
	before ratelimit.Quota
}

// limiter returns the limiter for a rule: that which it had, if it can go on.
func (s *Set) limiter(r Rule, old *compiled) (ratelimit.Limiter, []change, error) {
	if r.Unlimited || r.Blocked {
		return nil, nil, nil
	}
	if had, ok := old.byName[r.Name]; ok && had.limiter != nil && slices.Equal(had.Per, r.Per) {
		if had.Quota() == r.Quota() {
			return had.limiter, nil, nil
		}
		if tuned, ok := had.limiter.(ratelimit.Retuner); ok {
			return had.limiter, []change{{r.Name, tuned, r.Quota(), tuned.Quota()}}, nil
		}
	}
	limiter, err := s.build(r)
	if err == nil && limiter == nil {
		err = errors.New("the factory returned no limiter")
	}
	if told, ok := limiter.(ruled); ok && err == nil {
		limiter = told.ForRule(r.Name)
	}
	return limiter, nil, err
}

// ruled is a limiter that wants to know its rule.
type ruled interface {
	ForRule(name string) ratelimit.Limiter
}

// retune makes all changes, or, when one fails, none.
func retune(changes []change) error {
	for i, c := range changes {
		if err := c.tuned.Retune(c.quota); err != nil {
			for _, done := range changes[:i] {
				err = errors.Join(err, done.tuned.Retune(done.before))
			}
			return fmt.Errorf("rules: rule %q: %w", c.name, err)
		}
	}
	return nil
}

func (c *compiled) add(e entry) {
	c.listed = append(c.listed, e.Rule)
	c.byName[e.Name] = e
	if e.Match.User != "" {
		c.byUser[e.Match.User] = append(c.byUser[e.Match.User], e)
	} else {
		c.others = append(c.others, e)
	}
}

func (c *compiled) sort() {
	order := func(a, b entry) int { return moreSpecific(&a.Rule, &b.Rule) }
	slices.SortStableFunc(c.others, order)
	for _, entries := range c.byUser {
		slices.SortStableFunc(entries, order)
	}
}
