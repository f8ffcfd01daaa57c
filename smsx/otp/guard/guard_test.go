package guard_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/smsx/otp"
	"github.com/bulwark-go/bulwark/smsx/otp/guard"
	"github.com/bulwark-go/bulwark/smsx/otp/guard/guardtest"
)

var home = netip.MustParseAddr("192.0.2.1")

// bench is a guard on a clock that the test moves.
type bench struct {
	*guard.Guard
	t   *testing.T
	now time.Time
}

func newBench(t *testing.T, cfg guard.Config, opts ...guard.Option) *bench {
	return newBenchOf(t, cfg, 100_000, opts...)
}

func newBenchOf(t *testing.T, cfg guard.Config, capacity int, opts ...guard.Option) *bench {
	b := &bench{t: t, now: time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)}
	if cfg.DailyCap == 0 {
		cfg.DailyCap = 1000
	}
	store := guard.NewMemory(guard.WithClock(func() time.Time { return b.now }), guard.WithCapacity(capacity))
	var err error
	b.Guard, err = guard.New(store, cfg, opts...)
	require.NoError(t, err)
	return b
}

func (b *bench) allow(number string, addr netip.Addr) guard.Decision {
	d, err := b.Allow(b.t.Context(), number, addr)
	require.NoError(b.t, err)
	return d
}

func (b *bench) ask(number string, addr netip.Addr) guard.Reason {
	d := b.allow(number, addr)
	require.Equal(b.t, d.Allowed, d.Reason == "")
	return d.Reason
}

func (b *bench) verified(number string, addr netip.Addr) {
	require.NoError(b.t, b.Verified(b.t.Context(), number, addr))
}

func number(i int) string { return fmt.Sprintf("+86138%08d", i) }

// addr returns addresses of networks that differ.
func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}) }

func TestEachAccountRunsDryByItself(t *testing.T) {
	b := newBench(t, guard.Config{Prefix: 4, Country: 8, Network: 3})
	for i := range 3 {
		require.Empty(t, b.ask(number(i), home))
	}
	require.Equal(t, guard.ByNetwork, b.ask(number(3), home))
	require.Equal(t, guard.ByNetwork, b.ask(number(3), netip.MustParseAddr("::ffff:192.0.2.200")), "another address of it")
	require.Empty(t, b.ask(number(3), addr(1)), "what the network was refused took nothing from the prefix")
	require.Equal(t, guard.ByPrefix, b.ask(number(4), addr(2)))
	for i := range 4 {
		require.Empty(t, b.ask(number(10_000_000*(i+1)), addr(3+i)))
	}
	require.Equal(t, guard.ByCountry, b.ask(number(99_000_000), addr(9)))
	require.Empty(t, b.ask("+12025550100", addr(9)))
}

func TestVerificationsAndTimeOpenAnAccount(t *testing.T) {
	b := newBench(t, guard.Config{Prefix: 20})
	for i := range 20 {
		require.Empty(t, b.ask(number(i), addr(i)))
	}
	require.Equal(t, guard.ByPrefix, b.ask(number(20), addr(20)))
	b.verified(number(0), addr(0))
	require.Equal(t, guard.ByPrefix, b.ask(number(20), addr(20)), "not half full")
	b.verified(number(0), addr(0)) // the same number proves nothing more
	require.Equal(t, guard.ByPrefix, b.ask(number(20), addr(20)))
	b.verified(number(1), addr(1))
	require.Empty(t, b.ask(number(20), addr(20)))
	for i := 21; b.ask(number(i), addr(i)) == ""; i++ {
		require.Less(t, i, 40)
	}
	b.now = b.now.Add(-time.Hour)
	require.Equal(t, guard.ByPrefix, b.ask(number(50), addr(50)), "a clock that is set back brings nothing")
	b.now = b.now.Add(12*time.Hour + time.Minute)
	require.Empty(t, b.ask(number(50), addr(50)))
}

func TestVerifiedNumbersAlwaysPass(t *testing.T) {
	b := newBench(t, guard.Config{DailyCap: 2, Network: 2, Prefix: 2},
		guard.WithKnown(func(_ context.Context, n string) bool { return n == number(7) }))
	require.Empty(t, b.ask(number(0), home))
	b.verified(number(0), home)
	require.Empty(t, b.ask(number(1), home))
	require.Equal(t, guard.BySpend, b.ask(number(2), home))
	for range 100 {
		require.Equal(t, guard.Decision{Allowed: true, Known: true}, b.allow(number(0), home))
		require.Equal(t, guard.Decision{Allowed: true, Known: true}, b.allow(number(7), home))
	}
	b.now = b.now.Add(24 * time.Hour)
	require.Empty(t, b.ask(number(2), home), "the cap is a day's")
}

func TestANetworkAsksForFewCountries(t *testing.T) {
	b := newBench(t, guard.Config{CountriesPerNetwork: 2})
	require.Empty(t, b.ask("+8613800138000", home))
	require.Empty(t, b.ask("+12025550100", home))
	require.Equal(t, guard.ByCountries, b.ask("+442079460000", home))
	require.Empty(t, b.ask("+12025550101", home))
	require.Empty(t, b.ask("+442079460000", addr(1)))
	b.now = b.now.Add(24 * time.Hour)
	require.Empty(t, b.ask("+442079460000", home))
}

func TestAccountsBeyondTheCapacityShareOne(t *testing.T) {
	b := newBenchOf(t, guard.Config{Network: 3, Prefix: 1000, Country: 1000}, 4)
	allowed := 0
	for i := range 300 {
		if b.ask(number(i), addr(i)) == "" {
			allowed++
		}
	}
	require.LessOrEqual(t, allowed, 4+3, "new networks are no way around")
}

func TestProtectedCodes(t *testing.T) {
	sent, rejects := 0, false
	keys := otp.Keys{Subject: secret(1), Codes: []otp.Key{{ID: "a", Secret: secret(2)}}}
	var code string
	codes, err := otp.New(otp.NewMemory(), otp.SenderFunc(func(_ context.Context, d otp.Delivery) error {
		if rejects {
			return otp.ErrRejected
		}
		sent, code = sent+1, d.Code
		return nil
	}), keys, otp.Config{CountryCode: "86"})
	require.NoError(t, err)
	b := newBench(t, guard.Config{Network: 2, CountryCode: "86"})
	protected := guard.Protect(codes, b.Guard)
	ctx := guard.WithAddr(t.Context(), home)

	require.NoError(t, protected.Issue(ctx, "login", "13800138000"))
	require.ErrorIs(t, protected.Issue(ctx, "login", "13800138000"), otp.ErrLimited, "and is given back")
	rejects = true
	require.ErrorIs(t, protected.Issue(ctx, "login", "13800138001"), otp.ErrRejected, "and is given back")
	rejects = false
	require.NoError(t, protected.Issue(ctx, "login", "13800138002"))
	err = protected.Issue(ctx, "login", "13800138003")
	require.ErrorIs(t, err, guard.ErrBlocked)
	var blocked *guard.BlockedError
	require.ErrorAs(t, err, &blocked)
	require.Equal(t, guard.ByNetwork, blocked.Reason)
	require.NotContains(t, err.Error(), "13800138003")
	require.Equal(t, 2, sent)
	require.NoError(t, protected.Issue(t.Context(), "login", "13800138003"), "those without an address share another")

	ok, err := protected.Verify(ctx, "login", "13800138003", code)
	require.NoError(t, err)
	require.True(t, ok)
	for _, purpose := range []string{"pay", "close"} {
		require.NoError(t, protected.Issue(ctx, purpose, "13800138003"), "a verified number passes")
	}
}

func secret(sign byte) []byte {
	s := make([]byte, 32)
	for i := range s {
		s[i] = sign
	}
	return s
}

func TestNewNamesEveryViolation(t *testing.T) {
	memory := guard.NewMemory()
	_, err := guard.New(memory, guard.Config{PrefixDigits: 2, Prefix: 1, Country: -1, Network: 1, PerVerified: 21, CountriesPerNetwork: -1, Failure: 2})
	for _, field := range []string{"DailyCap", "PrefixDigits", "Prefix", "Country", "Network", "PerVerified", "CountriesPerNetwork", "Failure"} {
		require.ErrorContains(t, err, "guard: "+field+" = ")
	}
	_, err = guard.New(nil, guard.Config{DailyCap: 1})
	require.Error(t, err)
	_, err = guard.New(memory, guard.Config{DailyCap: 1}, guard.WithKnown(nil))
	require.Error(t, err)
	b := newBench(t, guard.Config{})
	require.Equal(t, guard.ByNumber, b.ask("hello", home))
	b.verified("hello", home)
	require.NoError(t, b.Refund(t.Context(), "hello", home))
}

func TestMemoryConforms(t *testing.T) {
	guardtest.Test(t, func(*testing.T) guardtest.Harness {
		now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
		return guardtest.Harness{
			Store:   guard.NewMemory(guard.WithClock(func() time.Time { return now })),
			Advance: func(d time.Duration) { now = now.Add(d) },
		}
	})
}

// broken is a store that cannot be asked.
type broken struct{ guard.Store }

var errBroken = errors.New("no such host")

func (broken) Take(context.Context, guard.Send, guard.Limits) (guard.Decision, error) {
	return guard.Decision{}, errBroken
}
func (broken) Earn(context.Context, guard.Send, guard.Limits) error   { return errBroken }
func (broken) Refund(context.Context, guard.Send, guard.Limits) error { return errBroken }

// A store that fails has a policy, and a backup goes before it.
func TestWhatHappensWithoutTheStore(t *testing.T) {
	cfg := guard.Config{DailyCap: 10, Network: 2}
	refusing, err := guard.New(broken{}, cfg)
	require.NoError(t, err)
	d, err := refusing.Allow(t.Context(), number(1), home)
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, guard.Decision{Degraded: true, Reason: guard.ByFailure}, d)

	cfg.Failure = guard.AllowIt
	allowing, err := guard.New(broken{}, cfg)
	require.NoError(t, err)
	d, err = allowing.Allow(t.Context(), number(1), home)
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, guard.Decision{Allowed: true, Degraded: true}, d)

	backed, err := guard.New(broken{}, cfg, guard.WithBackup(guard.NewMemory()))
	require.NoError(t, err)
	for i, want := range []guard.Reason{"", "", guard.ByNetwork} {
		d, err = backed.Allow(t.Context(), number(i), home)
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, want, d.Reason)
		require.True(t, d.Degraded)
	}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	d, err = allowing.Allow(left, number(1), home)
	require.Error(t, err)
	require.False(t, d.Allowed, "who left gets nothing")
}

// Codes go on without the store as its policy says, and a right code is right without
// it.
func TestProtectedCodesWithoutTheStore(t *testing.T) {
	keys := otp.Keys{Subject: secret(1), Codes: []otp.Key{{ID: "a", Secret: secret(2)}}}
	var code string
	codes, err := otp.New(otp.NewMemory(), otp.SenderFunc(func(_ context.Context, d otp.Delivery) error {
		code = d.Code
		return nil
	}), keys, otp.Config{CountryCode: "86"})
	require.NoError(t, err)
	for _, policy := range []guard.FailurePolicy{guard.RefuseIt, guard.AllowIt} {
		g, err := guard.New(broken{}, guard.Config{DailyCap: 10, CountryCode: "86", Failure: policy})
		require.NoError(t, err)
		err = guard.Protect(codes, g).Issue(t.Context(), "login", "13800138000")
		if policy == guard.RefuseIt {
			require.ErrorIs(t, err, guard.ErrBlocked)
			require.ErrorIs(t, err, errBroken)
			continue
		}
		require.NoError(t, err)
		ok, err := guard.Protect(codes, g).Verify(t.Context(), "login", "13800138000", code)
		require.NoError(t, err)
		require.True(t, ok)
	}
}

func TestObserveTellsResultsAndNoNames(t *testing.T) {
	recorder := observetest.NewRecorder(t)
	store := guard.Observe(guard.NewMemory(), recorder)
	g, err := guard.New(store, guard.Config{DailyCap: 2})
	require.NoError(t, err)
	for i := range 3 {
		_, err := g.Allow(t.Context(), number(i), home)
		require.NoError(t, err)
	}
	require.NoError(t, g.Verified(t.Context(), number(0), home))
	_, err = g.Allow(t.Context(), number(0), home)
	require.NoError(t, err)
	require.NoError(t, g.Refund(t.Context(), number(1), home))
	var seen []string
	for _, r := range recorder.Records() {
		seen = append(seen, fmt.Sprint(r.Kind.Action, " ", r.Result.Outcome, " ", r.Label("result")))
	}
	require.NotContains(t, recorder.String(), "138000")
	require.Equal(t, []string{
		"take ok allowed", "take ok allowed", "take rejected spend", "earn ok ", "take ok known", "refund ok ",
	}, seen)
	require.Equal(t, store, guard.Observe(store, nil))
}
