package dryrun_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/dryrun"
)

// clock is a time that tests set.
type clock struct{ now atomic.Int64 }

func (c *clock) read() time.Duration   { return time.Duration(c.now.Load()) }
func (c *clock) set(now time.Duration) { c.now.Store(int64(now)) }

// event is a call of a trace.
type event struct {
	at      time.Duration
	subject rules.Subject
	cost    int64
}

func record(t require.TestingT, c *clock, trace []event, cfg dryrun.Config, opts ...dryrun.Option) *dryrun.Recorder {
	r, err := dryrun.New(cfg, append(opts, dryrun.WithClock(c.read))...)
	require.NoError(t, err)
	for _, e := range trace {
		c.set(e.at)
		r.Record(e.subject, e.cost)
	}
	return r
}

// truth is what a set of real rules does to the calls of the last window.
type truth struct {
	calls, rejected, shadowed map[string]int64
	all, refused              int64
}

// run lets a real set decide about the trace.
func run(t require.TestingT, c *clock, trace []event, list []rules.Rule, from time.Duration) truth {
	got := truth{calls: map[string]int64{}, rejected: map[string]int64{}, shadowed: map[string]int64{}}
	counted := false
	s, err := rules.New(list, rules.WithFactory(func(r rules.Rule) (ratelimit.Limiter, error) {
		l, err := ratelimit.NewTokenBucket(r.Rate, ratelimit.WithBurst(r.Burst), ratelimit.WithClock(c.read))
		return l, err
	}), rules.WithOnShadow(func(_ context.Context, d ratelimit.Decision, err error) {
		if err == nil && counted && !d.Allowed {
			got.shadowed[d.Rule]++
		}
	}))
	require.NoError(t, err)
	for _, e := range trace {
		c.set(e.at)
		if counted = e.at >= from; e.cost <= 0 {
			continue
		}
		d, err := s.Decide(context.Background(), e.subject, e.cost)
		if !counted {
			continue
		}
		got.all++
		if err != nil || !d.Allowed {
			got.refused++
		}
		if err == nil {
			got.calls[d.Rule]++
			if !d.Allowed {
				got.rejected[d.Rule]++
			}
		}
	}
	return got
}

// pool is whom calls come from.
var pool = []rules.Subject{
	{User: "7"}, {User: "7", Method: "GET /"}, {User: "42", Tenant: "acme"}, {User: "8", Tenant: "acme", Method: "login"},
	{}, {Method: "login"}, {Tenant: "7"},
	{IP: netip.MustParseAddr("10.1.2.3")}, {IP: netip.MustParseAddr("10.1.9.9"), User: "7"}, {IP: netip.MustParseAddr("11.0.0.1")},
	{IP: netip.MustParseAddr("::ffff:10.1.2.3")},
	{IP: netip.MustParseAddr("2001:db8::1"), Method: "login"}, {IP: netip.MustParseAddr("2001:db8::2")},
	{IP: netip.MustParseAddr("2001:db8:0:1::2")}, {IP: netip.MustParseAddr("fe80::1%eth0"), Tenant: "acme"},
}

// drawTrace draws calls in the order of their time.
func drawTrace(t *rapid.T, from, to time.Duration) (trace []event) {
	n := rapid.IntRange(60, 200).Draw(t, "calls")
	at := from
	for range n {
		at += time.Duration(rapid.Int64Range(1, int64(2*(to-from))/int64(n+1)).Draw(t, "pause"))
		trace = append(trace, event{min(at, to), rapid.SampledFrom(pool).Draw(t, "subject"), rapid.Int64Range(0, 4).Draw(t, "cost")})
	}
	return trace
}

// drawRules draws rules that may stand side by side.
func drawRules(t *rapid.T, label string) (list []rules.Rule) {
	for i := range rapid.IntRange(2, 8).Draw(t, label) {
		r := rules.Rule{Name: fmt.Sprint("rule ", i), Shadow: rapid.IntRange(0, 4).Draw(t, "shadow") == 0}
		r.Match.User = rapid.SampledFrom([]string{"", "", "7", "42"}).Draw(t, "user")
		r.Match.Tenant = rapid.SampledFrom([]string{"", "", "acme"}).Draw(t, "tenant")
		r.Match.Method = rapid.SampledFrom([]string{"", "", "login"}).Draw(t, "method")
		if ip := rapid.SampledFrom([]string{"", "", "10.0.0.0/8", "10.1.2.0/23", "0.0.0.0/0", "2001:db8::/63", "2001:db8::1/128", "::/0"}).Draw(t, "ip"); ip != "" {
			r.Match.IP = netip.MustParsePrefix(ip)
		}
		for _, f := range []rules.Field{rules.User, rules.IP, rules.Tenant, rules.Method} {
			if rapid.IntRange(0, 2).Draw(t, "per") == 0 {
				r.Per = append(r.Per, f)
			}
		}
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			r.Unlimited = true
		case 1:
			r.Blocked = true
		default:
			r.Rate = ratelimit.Rate{Count: rapid.Int64Range(1, 30).Draw(t, "count"), Per: time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "per")) + 100}
			r.Burst = rapid.Int64Range(0, 9).Draw(t, "burst")
		}
		if rules.Validate(append(list, r)) == nil {
			list = append(list, r)
		}
	}
	return list
}

// requireTruth demands that a replay says what real limiters do.
func requireTruth(t require.TestingT, want truth, list []rules.Rule, got dryrun.Outcome) {
	require.Equal(t, want.all, got.Calls)
	require.Equal(t, want.refused, got.Rejected)
	require.Zero(t, got.Margin)
	require.Len(t, got.Rules, len(list))
	for i, o := range got.Rules {
		require.Equal(t, list[i].Name, o.Rule)
		require.Equal(t, list[i].Shadow, o.Shadow)
		if !list[i].Shadow {
			// A call at a cost above the burst has no decision to name the rule.
			require.GreaterOrEqual(t, o.Calls, want.calls[o.Rule])
			require.Equal(t, o.Calls-want.calls[o.Rule], o.Rejected-want.rejected[o.Rule])
		} else {
			require.GreaterOrEqual(t, o.Rejected, want.shadowed[o.Rule])
		}
	}
}

func TestAReplayDecidesAsRealLimitersDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const begin, end = time.Hour, time.Hour + 5*time.Minute
		c := new(clock)
		c.set(begin)
		trace := drawTrace(t, begin, end)
		r := record(t, c, trace, dryrun.Config{Window: 4 * time.Minute, Warmup: time.Minute, Calls: 1 << 16}) // in 8 shards
		c.set(end)
		candidate, current := drawRules(t, "candidate"), drawRules(t, "current")
		report, err := r.Replay(context.Background(), candidate, current)
		require.NoError(t, err)
		require.Equal(t, 4*time.Minute, report.Window)
		require.Equal(t, time.Minute, report.Warmup)
		require.EqualValues(t, 1, report.Share)
		requireTruth(t, run(t, c, trace, candidate, end-report.Window), candidate, report.Candidate)
		requireTruth(t, run(t, c, trace, current, end-report.Window), current, report.Current)
	})
}

// Any bytes are a trace, and its replay tells the truth.
func FuzzReplay(f *testing.F) {
	f.Add([]byte{1, 1, 1, 1, 1, 1, 200, 3, 2})
	f.Add([]byte("a call takes three bytes: a pause, a subject and a cost"))
	list := []rules.Rule{
		{Name: "login", Match: rules.Match{Method: "login"}, Rate: ratelimit.PerMinute(5), Burst: 3},
		{Name: "net", Match: rules.Match{IP: netip.MustParsePrefix("10.0.0.0/8")}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerSecond(1)},
		{Name: "seven", Match: rules.Match{User: "7"}, Rate: ratelimit.PerMinute(30), Burst: 9},
		{Name: "user", Per: []rules.Field{rules.User}, Rate: ratelimit.PerMinute(30), Burst: 9},
		{Name: "six", Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(3), Burst: 250},
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := new(clock)
		var trace []event
		at := time.Duration(0)
		for ; len(data) >= 3 && at < 5*time.Minute; data = data[3:] {
			at += time.Duration(data[0]) * 10 * time.Millisecond
			trace = append(trace, event{at, pool[int(data[1])%len(pool)], int64(int8(data[2]))})
		}
		r := record(t, c, trace, dryrun.Config{Window: time.Minute, Warmup: 5 * time.Minute, Calls: 1 << 12})
		report, err := r.Replay(t.Context(), list, nil)
		require.NoError(t, err)
		end := c.read()
		requireTruth(t, run(t, c, trace, list, end-report.Window), list, report.Candidate)
		require.Equal(t, report.Candidate.Calls, report.Current.Calls)
		require.Zero(t, report.Current.Rejected)
	})
}
