package rules_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/ratelimittest"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

func newSet(t *testing.T, list []rules.Rule, opts ...rules.Option) *rules.Set {
	t.Helper()
	s, err := rules.New(list, opts...)
	require.NoError(t, err)
	return s
}

func decide(t *testing.T, s *rules.Set, subject rules.Subject, cost int64) ratelimit.Decision {
	t.Helper()
	d, err := s.Decide(t.Context(), subject, cost)
	require.NoError(t, err)
	return d
}

func network(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestASetConforms(t *testing.T) {
	ratelimittest.Test(t, func() ratelimittest.Harness {
		var now atomic.Int64
		clock := ratelimit.WithClock(func() time.Duration { return time.Duration(now.Load()) })
		q := ratelimit.Quota{Rate: ratelimit.PerSecond(10), Burst: 5}
		s := newSet(t, []rules.Rule{{Name: "default", Per: []rules.Field{rules.User}, Rate: q.Rate, Burst: q.Burst}},
			rules.WithFactory(func(r rules.Rule) (ratelimit.Limiter, error) {
				return ratelimit.NewTokenBucket(r.Rate, ratelimit.WithBurst(r.Burst), clock)
			}))
		return ratelimittest.Harness{
			Limiter: s, Quota: q, Model: ratelimittest.TokenBucket(q),
			Advance: func(d time.Duration) { now.Add(int64(d)) },
		}
	})
}

func TestTheMostSpecificRuleDecides(t *testing.T) {
	one := ratelimit.PerHour(1)
	s := newSet(t, []rules.Rule{
		{Name: "all", Rate: one},
		{Name: "method", Match: rules.Match{Method: "GET /"}, Rate: one},
		{Name: "tenant", Match: rules.Match{Tenant: "acme"}, Rate: one},
		{Name: "tenant+method", Match: rules.Match{Tenant: "acme", Method: "GET /"}, Rate: one},
		{Name: "net8", Match: rules.Match{IP: network("10.0.0.0/8")}, Rate: one},
		{Name: "net16", Match: rules.Match{IP: network("10.1.0.0/16")}, Blocked: true},
		{Name: "net0", Match: rules.Match{IP: network("::/0")}, Rate: one},
		{Name: "vip", Match: rules.Match{User: "42"}, Unlimited: true},
		{Name: "vip+net", Match: rules.Match{User: "42", IP: network("10.0.0.0/8")}, Rate: one},
	})
	for _, c := range []struct {
		want    string
		subject rules.Subject
	}{
		{"all", rules.Subject{}},
		{"all", rules.Subject{User: "7", Method: "GET /x"}},
		{"method", rules.Subject{Method: "GET /"}},
		{"tenant", rules.Subject{Tenant: "acme"}},
		{"tenant+method", rules.Subject{Tenant: "acme", Method: "GET /"}},
		{"net8", rules.Subject{IP: netip.MustParseAddr("10.2.3.4"), Tenant: "acme"}},
		{"net16", rules.Subject{IP: netip.MustParseAddr("10.1.3.4")}},
		{"net16", rules.Subject{IP: netip.MustParseAddr("::ffff:10.1.3.4")}},
		{"net0", rules.Subject{IP: netip.MustParseAddr("fe80::1%eth0")}},
		{"vip", rules.Subject{User: "42", IP: netip.MustParseAddr("11.0.0.1")}},
		{"vip+net", rules.Subject{User: "42", IP: netip.MustParseAddr("10.1.0.1")}},
	} {
		require.Equal(t, c.want, decide(t, s, c.subject, 0).Rule)
	}
	require.False(t, decide(t, s, rules.Subject{IP: netip.MustParseAddr("10.1.3.4")}, 1).Allowed)
	for range 100 {
		require.True(t, decide(t, s, rules.Subject{User: "42"}, 1000).Allowed)
	}
	_, err := s.Decide(t.Context(), rules.Subject{User: "42"}, -1)
	require.ErrorIs(t, err, ratelimit.ErrRequest)
}

func TestWithoutARuleEverythingIsAdmitted(t *testing.T) {
	d := decide(t, newSet(t, nil), rules.Subject{User: "7"}, 1)
	require.Equal(t, ratelimit.Decision{Allowed: true, Limit: ratelimit.Unlimited, Remaining: ratelimit.Unlimited}, d)
}

func TestPerGivesEachValueItsOwnBudget(t *testing.T) {
	s := newSet(t, []rules.Rule{
		{Name: "user", Per: []rules.Field{rules.User, rules.Method}, Rate: ratelimit.PerHour(1)},
		{Name: "guest", Per: []rules.Field{rules.IP}, Rate: ratelimit.PerHour(1)},
	})
	ip := netip.MustParseAddr
	for _, subject := range []rules.Subject{
		{User: "a", Method: "b"}, {User: "a", Method: "c"}, {User: "1:a", Method: "b"}, {User: "a1:", Method: "b"},
		// Each two of these would join to the same text without their lengths.
		{User: "a1:x", Method: "b"}, {User: "a", Method: "x1:b"}, {User: "xy", Method: "z"}, {User: "x", Method: "yz"},
		{IP: ip("1.2.3.4")}, {IP: ip("1.2.3.5")}, {IP: ip("2001:db8:0:1::1")}, {IP: ip("2001:db8:0:2::1")},
	} {
		require.True(t, decide(t, s, subject, 1).Allowed, "%v", subject)
		require.False(t, decide(t, s, subject, 1).Allowed, "%v", subject)
	}
	require.False(t, decide(t, s, rules.Subject{IP: ip("2001:db8:0:1:ffff::9")}, 1).Allowed, "the same /64")
	require.False(t, decide(t, s, rules.Subject{IP: ip("::ffff:1.2.3.4")}, 1).Allowed, "the same address")
	require.Equal(t, "", decide(t, s, rules.Subject{Tenant: "x"}, 1).Rule, "no rule is for who is nobody from nowhere")
}

func TestReplacingRulesKeepsWhatWasUsed(t *testing.T) {
	list := []rules.Rule{
		{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerHour(10), Burst: 10},
		{Name: "other", Match: rules.Match{Tenant: "x"}, Rate: ratelimit.PerHour(10), Burst: 10},
	}
	s := newSet(t, list)
	u := rules.Subject{User: "7"}
	decide(t, s, u, 6)
	decide(t, s, rules.Subject{Tenant: "x"}, 6)

	list[0].Rate, list[0].Burst = ratelimit.PerHour(100), 100
	require.NoError(t, s.Replace(list))
	require.Equal(t, int64(94), decide(t, s, u, 0).Remaining)
	require.Equal(t, int64(4), decide(t, s, rules.Subject{Tenant: "x"}, 0).Remaining, "an unchanged rule goes on")

	list[0].Rate, list[0].Burst = ratelimit.PerHour(5), 5
	require.NoError(t, s.Replace(list))
	require.False(t, decide(t, s, u, 1).Allowed, "a lower limit holds at once")

	list[0].Per = nil
	require.NoError(t, s.Replace(list))
	require.True(t, decide(t, s, u, 5).Allowed, "another division is another budget")
}

func TestBadRulesAreRefusedAndTheOldStay(t *testing.T) {
	good := []rules.Rule{{Name: "default", Rate: ratelimit.PerHour(3), Burst: 3}}
	s := newSet(t, good)
	decide(t, s, rules.Subject{}, 1)
	bad := []rules.Rule{
		{Name: "default", Rate: ratelimit.PerHour(30), Burst: 30}, // good, but must not come into force alone
		{Name: "typo", Rate: ratelimit.PerSecond(0)},
	}
	var field *ratelimit.FieldError
	require.ErrorAs(t, s.Replace(bad), &field)
	require.Equal(t, "rules[1].rate.count", field.Field)
	now, version := s.Rules()
	require.Equal(t, good, now)
	require.Equal(t, uint64(1), version)
	require.Equal(t, int64(2), decide(t, s, rules.Subject{}, 0).Remaining)
}

func TestValidateNamesEachBadField(t *testing.T) {
	err := rules.Validate([]rules.Rule{
		{},
		{Name: "a", Rate: ratelimit.PerSecond(1), Unlimited: true},
		{Name: "a", Unlimited: true, Blocked: true},
		{Name: "b", Match: rules.Match{IP: netip.MustParsePrefix("10.0.0.1/8")}, Per: []rules.Field{"usr", rules.IP, rules.IP}, Blocked: true},
		{Name: "c", Match: rules.Match{IP: netip.MustParsePrefix("::ffff:0:0/96")}, Unlimited: true},
		{Name: "d", Match: rules.Match{IP: netip.MustParsePrefix("::ffff:0:0/96")}, Unlimited: true},
		{Name: "e", Rate: ratelimit.PerSecond(1), Burst: -1},
	})
	for _, text := range []string{
		`rules[0].name "": `, "rules[0].rate.count 0: ", "rules[0].rate.per 0s: ",
		"rules[1].rate 1/1s: ", "rules[2].name a: is the name of rules[1]", "rules[2].blocked true: ",
		"rules[3].match.ip 10.0.0.1/8: ", "rules[3].per[0] usr: ", "rules[3].per[2] ip: ",
		"rules[4].match.ip ::ffff:0.0.0.0/96: ", "rules[5].match d: is that of rules[4]", "rules[6].burst -1: ",
	} {
		require.ErrorContains(t, err, text)
	}
	require.NoError(t, rules.Validate(nil))
}

func TestAStaleVersionIsRefused(t *testing.T) {
	s := newSet(t, nil)
	_, version := s.Rules()
	list := []rules.Rule{{Name: "all", Rate: ratelimit.PerSecond(1)}}
	require.NoError(t, s.CompareAndSet(version, list))
	require.ErrorIs(t, s.CompareAndSet(version, nil), rules.ErrStale)
	now, _ := s.Rules()
	require.Equal(t, list, now)
}

func TestAShadowRuleIsChargedAndReportedButDecidesNothing(t *testing.T) {
	var shadowed []ratelimit.Decision
	list := []rules.Rule{
		{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerHour(10), Burst: 10},
		{Name: "tighter", Per: []rules.Field{rules.User}, Rate: ratelimit.PerHour(2), Burst: 2, Shadow: true},
	}
	s := newSet(t, list, rules.WithOnShadow(func(_ context.Context, d ratelimit.Decision, err error) {
		require.NoError(t, err)
		shadowed = append(shadowed, d)
	}))
	u := rules.Subject{User: "7"}
	for range 4 {
		d := decide(t, s, u, 1)
		require.True(t, d.Allowed)
		require.Equal(t, "default", d.Rule)
	}
	require.Len(t, shadowed, 4)
	for i, d := range shadowed {
		require.Equal(t, i < 2, d.Allowed)
		require.Equal(t, "tighter", d.Rule)
	}
	list[1].Shadow = false
	list = list[1:]
	require.NoError(t, s.Replace(list))
	require.False(t, decide(t, s, u, 1).Allowed, "it comes into force with what was used")
}

func TestExplainTellsWhyAndChargesNothing(t *testing.T) {
	s := newSet(t, []rules.Rule{
		{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerHour(1)},
		{Name: "tighter", Per: []rules.Field{rules.User}, Rate: ratelimit.PerHour(1), Shadow: true},
		{Name: "login", Match: rules.Match{Method: "login"}, Rate: ratelimit.PerHour(1)},
		{Name: "vip", Match: rules.Match{User: "42"}, Unlimited: true},
	})
	for range 3 {
		e := s.Explain(t.Context(), rules.Subject{User: "7"})
		require.Equal(t, uint64(1), e.Version)
		require.Equal(t, "vip: does not apply, because of the user\n"+
			"login: does not apply, because of the method\n"+
			"tighter: as a shadow, admits\n"+
			"default: decides, and admits\n", e.String())
	}
	decide(t, s, rules.Subject{User: "7", Method: "login"}, 1)
	require.Contains(t, s.Explain(t.Context(), rules.Subject{User: "7", Method: "login"}).String(), "login: decides, and denies\n")
	require.Contains(t, s.Explain(t.Context(), rules.Subject{User: "42"}).String(), "default: applies, but another is more specific\n")
}

type failing struct{ err error }

func (f failing) Take(context.Context, string, int64) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, f.err
}

func TestErrorsOfLimitersComeOut(t *testing.T) {
	boom := errors.New("boom")
	s := newSet(t, []rules.Rule{{Name: "all", Rate: ratelimit.PerSecond(1)}},
		rules.WithFactory(func(rules.Rule) (ratelimit.Limiter, error) { return failing{boom}, nil }))
	d, err := s.Decide(t.Context(), rules.Subject{}, 1)
	require.ErrorIs(t, err, boom)
	require.Zero(t, d)
	require.Contains(t, s.Explain(t.Context(), rules.Subject{}).String(), "all: fails: boom")
	_, err = rules.New([]rules.Rule{{Name: "all", Rate: ratelimit.PerSecond(1)}},
		rules.WithFactory(func(rules.Rule) (ratelimit.Limiter, error) { return nil, boom }))
	require.ErrorIs(t, err, boom)
	require.ErrorContains(t, err, `rule "all"`)
	_, err = rules.New(nil, rules.WithFactory(nil))
	require.ErrorContains(t, err, "factory")
	_, err = newSet(t, nil).Take(t.Context(), "", 1)
	require.ErrorIs(t, err, ratelimit.ErrKey)
}

// stubborn cannot be retuned.
type stubborn struct {
	*ratelimit.Local
	err error
}

func (s stubborn) Retune(ratelimit.Quota) error { return s.err }

func TestAFailedRetuneRollsTheOthersBack(t *testing.T) {
	boom := errors.New("boom")
	list := []rules.Rule{
		{Name: "soft", Match: rules.Match{Tenant: "s"}, Rate: ratelimit.PerHour(10), Burst: 10},
		{Name: "hard", Match: rules.Match{Tenant: "h"}, Rate: ratelimit.PerHour(10), Burst: 10},
	}
	s := newSet(t, list, rules.WithFactory(func(r rules.Rule) (ratelimit.Limiter, error) {
		l, err := ratelimit.NewTokenBucket(r.Rate, ratelimit.WithBurst(r.Burst))
		if r.Name == "hard" {
			return stubborn{l, boom}, err
		}
		return l, err
	}))
	next := []rules.Rule{list[0], list[1]}
	next[0].Burst, next[1].Burst = 5, 5
	require.ErrorIs(t, s.Replace(next), boom)
	require.Equal(t, int64(10), decide(t, s, rules.Subject{Tenant: "s"}, 0).Limit)
}

func TestRulesChangeUnderLoad(t *testing.T) {
	s := newSet(t, []rules.Rule{{Name: "all", Rate: ratelimit.PerHour(50), Burst: 50}})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				if d, err := s.Decide(context.Background(), rules.Subject{User: "7"}, 1); err == nil && d.Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	for i := range int64(100) {
		require.NoError(t, s.Replace([]rules.Rule{{Name: "all", Rate: ratelimit.PerHour(50 + i%2), Burst: 50}}))
	}
	wg.Wait()
	require.InDelta(t, 50, admitted.Load(), 1)
}

func TestRulesSurviveJSON(t *testing.T) {
	list := []rules.Rule{
		{Name: "login", Match: rules.Match{User: "u", IP: network("10.0.0.0/8"), Tenant: "t", Method: "m"},
			Per: []rules.Field{rules.IP, rules.User}, Rate: ratelimit.PerMinute(5), Burst: 5, Shadow: true},
		{Name: "vip", Match: rules.Match{User: "42"}, Unlimited: true},
		{Name: "bad", Match: rules.Match{User: "43"}, Blocked: true},
	}
	data, err := json.Marshal(list)
	require.NoError(t, err)
	again, err := rules.Parse(data)
	require.NoError(t, err)
	require.Equal(t, list, again)
}

func TestParseNamesTheFieldWithTheTypo(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                  "rules {}: must be a JSON array",
		`[`:                                   "rules [: must be a JSON array",
		`[] x`:                                "rules [] x: must be a JSON array",
		`[null]`:                              "rules[0] null: must be a JSON object",
		`[1]`:                                 "rules[0] 1: must be a JSON object",
		`[{"nmae":"x"}]`:                      `rules[0].nmae "x": is unknown`,
		`[{"Name":"x"}]`:                      `rules[0].Name "x": is unknown`,
		`[{"name":7}]`:                        `rules[0].name 7: must be a text`,
		`[{"name":null}]`:                     `rules[0].name null: must be a text`,
		`[{"match":{"usr":""}}]`:              `rules[0].match.usr "": is unknown`,
		`[{"match":{"ip":"10.0.0.0/33"}}]`:    `rules[0].match.ip 10.0.0.0/33: must be a network`,
		`[{"rate":{"count":1.5,"per":"1s"}}]`: `rules[0].rate.count 1.5: must be a whole number`,
		`[{"rate":{"count":1,"per":"1 s"}}]`:  `rules[0].rate.per 1 s: must be a duration`,
		`[{"rate":{"count":1,"per":1}}]`:      `rules[0].rate.per 1: must be a duration`,
		`[{"name":"x","rate":{"count":-1,"per":"1s"}}]`: `rules[0].rate.count -1: must be at least 1`,
		`[{"name":"x","per":["usr"],"blocked":true}]`:   `rules[0].per[0] usr: must be`,
		`[{"name":"x","unlimited":"yes"}]`:              `rules[0].unlimited "yes": must be true or false`,
	} {
		_, err := rules.Parse([]byte(text))
		var field *ratelimit.FieldError
		require.ErrorAs(t, err, &field, text)
		require.ErrorContains(t, err, want, text)
	}
	list, err := rules.Parse([]byte(`[{"name":"one","match":{"ip":"2001:db8::1"},"blocked":true}]`))
	require.NoError(t, err)
	require.Equal(t, network("2001:db8::1/128"), list[0].Match.IP)
}

// Whatever Parse accepts is valid, can be put in force, and survives being written
// and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`[{"name":"a","match":{"user":"u","ip":"10.0.0.0/8"},"per":["ip"],"rate":{"count":5,"per":"1m"},"burst":5}]`))
	f.Add([]byte(`[{"name":"a","unlimited":true},{"name":"b","blocked":true,"match":{"ip":"::1"}}]`))
	f.Add([]byte(`[{"name":"a","rate":{"count":9223372036854775807,"per":"8784h"}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := rules.Parse(data)
		if err != nil {
			var field *ratelimit.FieldError
			require.ErrorAs(t, err, &field)
			return
		}
		require.NoError(t, rules.Validate(list))
		s, err := rules.New(list)
		if err == nil {
			_, err = s.Decide(t.Context(), rules.Subject{User: "u", IP: netip.MustParseAddr("10.0.0.1")}, 1)
			require.NoError(t, err)
		}
		written, err := json.Marshal(list)
		require.NoError(t, err)
		again, err := rules.Parse(written)
		require.NoError(t, err)
		require.Equal(t, len(list), len(again))
		rewritten, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, written, rewritten)
	})
}

func TestAFactoryWithoutALimiterIsRefused(t *testing.T) {
	_, err := rules.New([]rules.Rule{{Name: "a", Rate: ratelimit.PerSecond(1)}},
		rules.WithFactory(func(rules.Rule) (ratelimit.Limiter, error) { return nil, nil }))
	require.ErrorContains(t, err, `rule "a"`)
}

func TestRulesThatWereReadMayBeChangedFreely(t *testing.T) {
	s := newSet(t, []rules.Rule{{Name: "a", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(1)}})
	read, _ := s.Rules()
	read[0].Per[0] = rules.Tenant
	again, _ := s.Rules()
	require.Equal(t, []rules.Field{rules.User}, again[0].Per)
}

func TestANegativeCostIsInvalidWithoutARuleToo(t *testing.T) {
	_, err := newSet(t, nil).Decide(t.Context(), rules.Subject{User: "u"}, -1)
	require.ErrorIs(t, err, ratelimit.ErrRequest)
}

// severable is a limiter like one over a store, which can be cut off.
type severable struct {
	*ratelimit.Local
	cut *atomic.Bool
}

func (s severable) Take(ctx context.Context, key string, cost int64) (ratelimit.Decision, error) {
	if s.cut.Load() {
		return ratelimit.Decision{}, errors.New("cut off")
	}
	return s.Local.Take(ctx, key, cost)
}

func TestAnEditedRuleKeepsItsLocalShares(t *testing.T) {
	var cut atomic.Bool
	var built int
	list := []rules.Rule{{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerHour(10), Burst: 10}}
	s := newSet(t, list, rules.WithFactory(func(r rules.Rule) (ratelimit.Limiter, error) {
		built++
		l, err := ratelimit.NewTokenBucket(r.Rate, ratelimit.WithBurst(r.Burst))
		if err != nil {
			return nil, err
		}
		shared, err := ratelimit.Share(severable{l, &cut}, 1)
		return ratelimit.Observe(shared, "api", &notebook{}), err
	}))
	u := rules.Subject{User: "7"}
	decide(t, s, u, 1)
	cut.Store(true)
	decide(t, s, u, 1) // begins the share, with all that remained or with nothing
	before := decide(t, s, u, 0).Remaining

	list[0].Rate, list[0].Burst = ratelimit.PerHour(100), 100
	require.NoError(t, s.Replace(list))
	require.Equal(t, 1, built)
	d := decide(t, s, u, 0)
	require.True(t, d.Degraded)
	require.Equal(t, before+90, d.Remaining)
}

// notebook keeps the labels of what ended.
type notebook struct{ rules []string }

func (n *notebook) Start(ctx context.Context, _ observe.Operation) (context.Context, observe.End) {
	return ctx, func(r observe.Result) { n.rules = append(n.rules, r.Values[0]) }
}

func TestAnObservedLimiterReportsTheRuleThatItIsFor(t *testing.T) {
	n := &notebook{}
	list := []rules.Rule{
		{Name: "vip", Match: rules.Match{User: "42"}, Rate: ratelimit.PerHour(10), Burst: 10},
		{Name: "default", Rate: ratelimit.PerHour(10), Burst: 10},
	}
	s := newSet(t, list, rules.WithFactory(func(r rules.Rule) (ratelimit.Limiter, error) {
		l, err := ratelimit.NewTokenBucket(r.Rate, ratelimit.WithBurst(r.Burst))
		return ratelimit.Observe(l, "api", n), err
	}))
	decide(t, s, rules.Subject{User: "42"}, 1)
	decide(t, s, rules.Subject{User: "7"}, 1)
	list[1].Burst = 5
	require.NoError(t, s.Replace(list))
	decide(t, s, rules.Subject{User: "7"}, 1)
	require.Equal(t, []string{"vip", "default", "default"}, n.rules)
}

func TestASetWithAScopeRefusesRulesThatAnotherWouldChargeToo(t *testing.T) {
	inside := []rules.Rule{
		{Name: "each", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(1)},
		{Name: "one", Match: rules.Match{User: "7", Method: "GET /"}, Rate: ratelimit.PerSecond(1)},
		{Name: "health", Match: rules.Match{Method: "GET /health"}, Unlimited: true}, // charges nothing
		{Name: "closed", Match: rules.Match{Method: "GET /old"}, Blocked: true},
	}
	s := newSet(t, inside, rules.WithScope(rules.User))
	for _, outside := range []rules.Rule{
		{Name: "all", Rate: ratelimit.PerSecond(1)},
		{Name: "login", Match: rules.Match{Method: "login"}, Rate: ratelimit.PerSecond(1)},
		{Name: "address", Per: []rules.Field{rules.IP, rules.Method}, Rate: ratelimit.PerSecond(1)},
	} {
		list := append([]rules.Rule{inside[0]}, outside)
		for _, err := range []error{s.Replace(list), s.Check(list)} {
			var field *ratelimit.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, "rules[1].per", field.Field)
		}
	}
	now, _ := s.Rules()
	require.Equal(t, inside, now)
	_, err := rules.New(nil, rules.WithScope("usr"))
	require.ErrorContains(t, err, "scope[0] usr")
	newSet(t, []rules.Rule{
		{Name: "net", Match: rules.Match{IP: network("10.0.0.0/8")}, Rate: ratelimit.PerSecond(1)},
		{Name: "tenant", Match: rules.Match{Tenant: "acme"}, Rate: ratelimit.PerSecond(1)},
		{Name: "method", Match: rules.Match{Method: "login"}, Rate: ratelimit.PerSecond(1)},
	}, rules.WithScope(rules.IP, rules.Tenant, rules.Method))
}
