package guard_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx/otp"
	"github.com/bulwark-go/bulwark/smsx/otp/guard"
)

var home = netip.MustParseAddr("192.0.2.1")

// bench is a guard on a clock that the test moves.
type bench struct {
	*guard.Guard
	t   *testing.T
	now time.Time
}

func newBench(t *testing.T, cfg guard.Config, opts ...guard.Option) *bench {
	b := &bench{t: t, now: time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)}
	if cfg.DailyCap == 0 {
		cfg.DailyCap = 1000
	}
	var err error
	b.Guard, err = guard.New(cfg, append(opts, guard.WithClock(func() time.Time { return b.now }))...)
	require.NoError(t, err)
	return b
}

func (b *bench) ask(number string, addr netip.Addr) guard.Reason {
	d := b.Allow(number, addr)
	require.Equal(b.t, d.Allowed, d.Reason == "")
	return d.Reason
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
	b.Verified(number(0), addr(0))
	require.Equal(t, guard.ByPrefix, b.ask(number(20), addr(20)), "not half full")
	b.Verified(number(0), addr(0)) // the same number proves nothing more
	require.Equal(t, guard.ByPrefix, b.ask(number(20), addr(20)))
	b.Verified(number(1), addr(1))
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
		guard.WithKnown(func(n string) bool { return n == number(7) }))
	require.Empty(t, b.ask(number(0), home))
	b.Verified(number(0), home)
	require.Empty(t, b.ask(number(1), home))
	require.Equal(t, guard.BySpend, b.ask(number(2), home))
	for range 100 {
		require.Equal(t, guard.Decision{Allowed: true, Known: true}, b.Allow(number(0), home))
		require.Equal(t, guard.Decision{Allowed: true, Known: true}, b.Allow(number(7), home))
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
	b := newBench(t, guard.Config{Capacity: 4, Network: 3, Prefix: 1000, Country: 1000})
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
	_, err := guard.New(guard.Config{PrefixDigits: 2, Prefix: 1, Country: -1, Network: 1, PerVerified: 21, CountriesPerNetwork: -1, Capacity: -1})
	for _, field := range []string{"DailyCap", "PrefixDigits", "Prefix", "Country", "Network", "PerVerified", "CountriesPerNetwork", "Capacity"} {
		require.ErrorContains(t, err, "guard: "+field+" = ")
	}
	_, err = guard.New(guard.Config{DailyCap: 1}, guard.WithClock(nil))
	require.Error(t, err)
	b := newBench(t, guard.Config{})
	require.Equal(t, guard.ByNumber, b.ask("hello", home))
	b.Verified("hello", home)
	b.Refund("hello", home)
	require.False(t, errors.Is(err, guard.ErrBlocked))
}
