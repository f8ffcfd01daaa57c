package dryrun_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/dryrun"
)

// random draws the same in each run.
func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// crowd is a trace of users and addresses, busier ones among them, for so long.
func crowd(seed uint64, users int, perSecond float64, length time.Duration) (trace []event) {
	rnd := random(seed)
	for at := time.Duration(0); ; {
		at += time.Duration(rnd.ExpFloat64() / perSecond * float64(time.Second))
		if at > length {
			return trace
		}
		// Half of the calls come from a tenth of the users.
		u := rnd.IntN(users)
		if rnd.IntN(9) < 4 {
			u = rnd.IntN(users/10 + 1)
		}
		trace = append(trace, event{at, rules.Subject{
			User: strconv.Itoa(u), IP: netip.AddrFrom4([4]byte{10, 0, byte(u >> 8), byte(u)}),
			Method: []string{"GET /", "GET /x", "POST /login"}[rnd.IntN(3)],
		}, 1})
	}
}

// requireNear demands that a count is within 2 % of the truth.
func requireNear(t *testing.T, want, got int64) {
	t.Helper()
	require.Positive(t, want)
	require.InEpsilon(t, want, got, 0.02)
}

var tight = []rules.Rule{
	{Name: "login", Match: rules.Match{Method: "POST /login"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(3), Burst: 2},
	{Name: "read", Match: rules.Match{Method: "GET /x"}, Rate: ratelimit.PerSecond(20)},
	{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerMinute(4), Burst: 3},
}

func TestTheLastMinutesOfALongTraceAreToldWithinTwoPercent(t *testing.T) {
	const length = 12 * time.Minute
	trace := crowd(1, 300, 100, length)
	c := new(clock)
	r := record(t, c, trace, dryrun.Config{Calls: 1 << 17})
	c.set(length)
	report, err := r.Replay(t.Context(), tight, nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Share)
	require.Equal(t, 5*time.Minute, report.Window)
	require.Equal(t, time.Minute, report.Warmup)
	want := run(t, c, trace, tight, length-report.Window)
	require.Equal(t, want.all, report.Candidate.Calls)
	requireNear(t, want.refused, report.Candidate.Rejected)
	for _, o := range report.Candidate.Rules {
		require.True(t, o.Settled, o.Rule)
		requireNear(t, want.rejected[o.Rule], o.Rejected)
	}
}

func TestARuleThatRefillsMoreSlowlyThanTheWarmupIsNotSettled(t *testing.T) {
	c := new(clock)
	r := record(t, c, crowd(1, 10, 1, 10*time.Minute), dryrun.Config{})
	for settled, list := range map[bool][]rules.Rule{
		true:  {{Name: "all", Rate: ratelimit.PerHour(60), Burst: 1}, {Name: "gone", Match: rules.Match{User: "x"}, Blocked: true}},
		false: {{Name: "all", Rate: ratelimit.PerHour(60), Burst: 2}, {Name: "tenth", Match: rules.Match{User: "x"}, Rate: ratelimit.PerHour(60)}},
	} {
		report, err := r.Replay(t.Context(), list, nil)
		require.NoError(t, err)
		for _, o := range report.Candidate.Rules {
			require.Equal(t, settled, o.Settled, o.Rule)
		}
	}
}

// The sample depends on a key that is drawn anew in each run. With as many calls and
// users as here, 2 % are six of its standard deviations or more, which is less than
// once in 10^8 runs.
func TestASampleTellsWithinTwoPercent(t *testing.T) {
	cfg, perSecond := dryrun.Config{Calls: 1 << 19, Subjects: 1 << 17}, 1500.0
	if os.Getenv(testenv.EnvLong) != "" {
		cfg, perSecond = dryrun.Config{}, 6000
	}
	const length = 6 * time.Minute
	trace := crowd(2, 30_000, perSecond, length)
	c := new(clock)
	r := record(t, c, trace, cfg)
	c.set(length)
	list := []rules.Rule{
		{Name: "login", Match: rules.Match{Method: "POST /login"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerHour(15), Burst: 1},
		{Name: "read", Match: rules.Match{Method: "GET /x"}, Rate: ratelimit.PerSecond(50)},
		{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerHour(15), Burst: 1},
	}
	report, err := r.Replay(t.Context(), list, nil)
	require.NoError(t, err)
	require.Less(t, report.Share, 1.0)
	want := run(t, c, trace, list, length-report.Window)
	t.Logf("%+v, in truth %+v", report, want)
	requireNear(t, want.all, report.Candidate.Calls)
	requireNear(t, want.refused, report.Candidate.Rejected)
	for _, o := range report.Candidate.Rules {
		requireNear(t, want.rejected[o.Rule], o.Rejected)
		require.InDelta(t, want.rejected[o.Rule], o.Rejected, 4*float64(o.Margin)) // eight deviations
		require.Positive(t, o.Margin)
		require.Less(t, float64(o.Margin), 0.02*float64(o.Rejected))
	}
}

func TestOfASampledUserAllCallsAreKept(t *testing.T) {
	trace := crowd(3, 1000, 200, 2*time.Minute)
	c := new(clock)
	r := record(t, c, trace, dryrun.Config{Window: time.Minute, Warmup: time.Minute, Calls: 1 << 13, Subjects: 1 << 12})
	require.Positive(t, r.Level())
	want := map[string]int{}
	for _, e := range trace {
		want[r.Pseudonym(e.subject.User)]++
	}
	kept, whole := r.Kept()
	sampled := 0
	for user, yes := range whole {
		if yes {
			sampled++
			require.Equal(t, want[user], kept[user])
		}
	}
	require.InDelta(t, 1000/math.Exp2(float64(r.Level())), sampled, 8*math.Sqrt(1000/math.Exp2(float64(r.Level()))))
}

func TestTheShareGrowsAgainWhenThereIsRoom(t *testing.T) {
	const horizon = time.Minute
	c := new(clock)
	cfg := dryrun.Config{Window: horizon / 2, Warmup: horizon / 2, Calls: 1024, Subjects: 1024}
	r := record(t, c, crowd(4, 1000, 200, time.Minute), cfg)
	before := r.Level()
	require.GreaterOrEqual(t, before, uint32(3))
	calm := crowd(5, 1000, 2, 10*time.Minute)
	for i := range calm {
		calm[i].at += time.Minute
		c.set(calm[i].at)
		r.Record(calm[i].subject, calm[i].cost)
		require.LessOrEqual(t, r.Level(), before)
		before = r.Level()
		if calm[i].at < 2*horizon {
			continue
		}
		want := map[string]int{} // those who are in the sample now have been all the time
		for j := i; j >= 0 && calm[j].at >= calm[i].at-horizon; j-- {
			want[r.Pseudonym(calm[j].subject.User)]++
		}
		kept, whole := r.Kept()
		for user, yes := range whole {
			if yes {
				require.Equal(t, want[user], kept[user])
			}
		}
	}
	require.Zero(t, r.Level())
	report, err := r.Replay(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, run(t, c, calm, nil, c.read()-horizon/2).all, report.Candidate.Calls)
	require.EqualValues(t, 1, report.Share)
}

func TestMemoryIsBounded(t *testing.T) {
	require.EqualValues(t, dryrun.EntrySize, dryrun.RealEntrySize)
	require.EqualValues(t, 16, dryrun.CallSize)
	before := heap()
	c := new(clock)
	r, err := dryrun.New(dryrun.Config{Calls: 1 << 16, Subjects: 1 << 14}, dryrun.WithClock(c.read))
	require.NoError(t, err)
	full := r.Snapshot().Bytes
	rnd := random(6)
	for i := range 200_000 { // many more subjects than there are places
		c.set(time.Duration(i) * time.Millisecond)
		var raw [16]byte
		for b := range raw {
			raw[b] = byte(rnd.Uint32())
		}
		r.Record(rules.Subject{IP: netip.AddrFrom16(raw), Method: "GET /"}, 1)
	}
	require.LessOrEqual(t, heap()-before, int64(full)+1<<18)
	s := r.Snapshot()
	require.Equal(t, full, s.Bytes)
	require.LessOrEqual(t, s.Calls, 1<<16)
	require.LessOrEqual(t, s.Subjects, 1<<14)
	require.Less(t, s.Share, 1.0)
	runtime.KeepAlive(r)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestTheZeroConfigTakesWhatItSays(t *testing.T) {
	r, err := dryrun.New(dryrun.Config{})
	require.NoError(t, err)
	require.Less(t, r.Snapshot().Bytes, 26_000_000)
}

func TestRecordingDoesNotAllocate(t *testing.T) {
	c := new(clock)
	r, err := dryrun.New(dryrun.Config{Calls: 1024, Subjects: 256}, dryrun.WithClock(c.read))
	require.NoError(t, err)
	trace := crowd(7, 5000, 1000, 20*time.Second)
	i := 0
	require.Zero(t, testing.AllocsPerRun(len(trace)-1, func() { // sampling and thinning included
		c.set(trace[i].at)
		r.Record(trace[i].subject, 1)
		i++
	}))
	require.Less(t, r.Snapshot().Share, 1.0)
}

func TestOldCallsAreForgotten(t *testing.T) {
	c := new(clock)
	r := record(t, c, crowd(8, 500, 100, time.Minute), dryrun.Config{})
	require.Positive(t, r.Snapshot().Subjects)
	c.set(10 * time.Minute)
	r.Record(rules.Subject{User: "last"}, 1)
	require.Equal(t, 1, r.Snapshot().Subjects)
	require.Equal(t, 1, r.Snapshot().Calls)
}

func TestNoSubjectIsKeptAsItIs(t *testing.T) {
	c := new(clock)
	ip4, ip6 := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8:1:2:3:4:5:6")
	trace := []event{
		{0, rules.Subject{User: "user-alice", Tenant: "tenant-acme", Method: "POST /secret", IP: ip4}, 1},
		{1, rules.Subject{User: "user-bob", IP: ip6}, 1},
	}
	r := record(t, c, trace, dryrun.Config{Calls: 1024})
	require.Len(t, r.Subjects(), 2)
	kept := fmt.Sprintf("%+v %#v", r.Subjects(), r)
	for _, raw := range []string{"alice", "bob", "acme", "secret", ip4.String(), ip6.String(), "203.0", "2001:db8"} {
		require.False(t, strings.Contains(kept, raw), raw)
	}
	other := record(t, c, trace, dryrun.Config{Calls: 1024})
	require.NotEqual(t, r.Pseudonym("user-alice"), other.Pseudonym("user-alice"), "each has its own key")
}

func TestPseudonymsKeepNetworksTogether(t *testing.T) {
	r, err := dryrun.New(dryrun.Config{Calls: 1024})
	require.NoError(t, err)
	common := func(a, b netip.Addr) int {
		x, y := a.AsSlice(), b.AsSlice()
		for i := range x {
			if d := x[i] ^ y[i]; d != 0 {
				return 8*i + bits.LeadingZeros8(d)
			}
		}
		return 8 * len(x)
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
		x := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "a")
		y := append([]byte(nil), x...)
		rest := rapid.SliceOfN(rapid.Byte(), 0, size).Draw(t, "rest")
		copy(y[size-len(rest):], rest)
		a, _ := netip.AddrFromSlice(x)
		b, _ := netip.AddrFromSlice(y)
		if a.Is4In6() || b.Is4In6() {
			t.Skip("a recorder unmaps them first")
		}
		require.Equal(t, common(a, b), common(r.PseudonymOf(a), r.PseudonymOf(b)))
	})
	changed := 0
	for i := range 256 { // that an address stays what it is has odds of 1 to 2^32
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		if r.PseudonymOf(a) != a {
			changed++
		}
	}
	require.NotZero(t, changed)
}

func TestARecorderServesManyAtOnce(t *testing.T) {
	const writers, each = 4, 20_000
	c := new(clock)
	r, err := dryrun.New(dryrun.Config{Calls: 1 << 14, Subjects: 1 << 10}, dryrun.WithClock(c.read))
	require.NoError(t, err)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			rnd := random(uint64(w))
			for range each {
				c.now.Add(int64(time.Millisecond))
				r.Record(rules.Subject{User: strconv.Itoa(rnd.IntN(3000))}, 1)
			}
		})
	}
	for range 10 {
		_, err := r.Replay(t.Context(), tight, tight)
		require.NoError(t, err)
		r.Snapshot()
	}
	all.Wait()
	report, err := r.Replay(t.Context(), nil, nil)
	require.NoError(t, err)
	require.InDelta(t, writers*each, report.Candidate.Calls, 0.25*writers*each) // they span 80 s
}

func TestInstancesReplayTheirShareOfALimit(t *testing.T) {
	const length, instances = 5 * time.Minute, 4
	c := new(clock)
	trace := crowd(9, 50, 400, length)
	list := []rules.Rule{{Name: "all", Rate: ratelimit.PerSecond(100), Burst: 100}}
	parts := make([][]event, instances)
	rnd := random(10)
	for _, e := range trace { // as a load balancer deals them out
		i := rnd.IntN(instances)
		parts[i] = append(parts[i], e)
	}
	sum := int64(0)
	for _, mine := range parts {
		c.set(0)
		r := record(t, c, mine, dryrun.Config{}, dryrun.WithInstances(func() int { return instances }))
		report, err := r.Replay(t.Context(), list, list)
		require.NoError(t, err)
		sum += report.Candidate.Rejected
	}
	requireNear(t, run(t, c, trace, list, 0).refused, sum)
}

func TestAFactoryReplaysOnItsOwnAlgorithm(t *testing.T) {
	c := new(clock)
	trace := crowd(11, 20, 50, 2*time.Minute)
	c.set(0)
	r := record(t, c, trace, dryrun.Config{}, dryrun.WithFactory(func(rule rules.Rule, opts ...ratelimit.Option) (ratelimit.Limiter, error) {
		return ratelimit.NewFixedWindow(rule.Rate, opts...)
	}))
	list := []rules.Rule{{Name: "all", Rate: ratelimit.PerMinute(100)}}
	report, err := r.Replay(t.Context(), list, nil)
	require.NoError(t, err)
	admitted := report.Candidate.Calls - report.Candidate.Rejected
	require.GreaterOrEqual(t, admitted, int64(200)) // two windows, or parts of three
	require.LessOrEqual(t, admitted, int64(300))
	require.Zero(t, admitted%100)

	boom := errors.New("boom")
	r = record(t, c, nil, dryrun.Config{}, dryrun.WithFactory(func(rules.Rule, ...ratelimit.Option) (ratelimit.Limiter, error) { return nil, boom }))
	_, err = r.Replay(t.Context(), list, nil)
	require.ErrorIs(t, err, boom)
	require.ErrorContains(t, err, "candidate")
}

func TestReplayRefusesBadRulesAndHeedsItsContext(t *testing.T) {
	r := record(t, new(clock), nil, dryrun.Config{})
	var field *ratelimit.FieldError
	_, err := r.Replay(t.Context(), []rules.Rule{{Name: "x"}}, nil)
	require.ErrorAs(t, err, &field)
	require.ErrorContains(t, err, "candidate")
	_, err = r.Replay(t.Context(), nil, []rules.Rule{{Name: "x"}})
	require.ErrorAs(t, err, &field)
	require.ErrorContains(t, err, "current")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Replay(ctx, nil, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestNewRefusesBadValues(t *testing.T) {
	_, err := dryrun.New(dryrun.Config{Window: time.Millisecond, Warmup: -1, Calls: 1, Subjects: 1})
	for _, text := range []string{"window 1ms", "warmup -1ns", "calls 1:", "subjects 1:"} {
		require.ErrorContains(t, err, text)
	}
}
