// Package guardtest checks implementations of [guard.Store].
package guardtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx/otp/guard"
)

// Harness is a store under test.
type Harness struct {
	// Store is empty.
	Store guard.Store
	// Advance moves the store's clock, back when negative, by whole milliseconds.
	Advance func(time.Duration)
}

// bench is a harness with short words for what tests do.
type bench struct {
	Harness
	t      *testing.T
	limits guard.Limits
}

// Test checks a store; each call of make returns one that is empty.
func Test(t *testing.T, make func(t *testing.T) Harness) {
	for _, c := range []struct {
		name  string
		check func(*bench)
	}{
		{"each account runs dry by itself", eachAccount},
		{"what one account refuses takes nothing from the others", refusedIsFree},
		{"an account is closed until it is half full", halfFull},
		{"an account is full after a day", fullInADay},
		{"a number earns once", earnsOnce},
		{"a number that was verified passes", verifiedPasses},
		{"a network asks for few countries a day", countries},
		{"the daily cap is a day's", dailyCap},
		{"a refund gives back", refunds},
		{"accounts hold no more than they do", noMore},
		{"a clock that is set back brings nothing", setBack},
		{"of many at once exactly the credit passes", atOnce},
		{"limits may change", newLimits},
		{"a caller who left is an error", cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.check(&bench{Harness: make(t), t: t, limits: guard.Limits{
				DailyCap: 1000, Prefix: 20, Country: 400, Network: 40, PerVerified: 5, CountriesPerNetwork: 5,
			}})
		})
	}
}

// send is one of number n of a prefix, asked for by a network.
func send(network, prefix string, n int) guard.Send {
	return guard.Send{Number: fmt.Sprintf("+%s%06d", prefix, n), Network: network, Prefix: "+" + prefix, Country: prefix[:2]}
}

// far is a send that shares nothing with any other number.
func far(n int) guard.Send { return send(fmt.Sprint("net", n), fmt.Sprintf("86%05d", n), n) }

func (b *bench) take(s guard.Send) guard.Reason {
	b.t.Helper()
	d, err := b.Store.Take(context.Background(), s, b.limits)
	require.NoError(b.t, err)
	require.Equal(b.t, d.Allowed, d.Reason == "")
	require.False(b.t, d.Degraded)
	return d.Reason
}

func (b *bench) earn(s guard.Send) {
	b.t.Helper()
	require.NoError(b.t, b.Store.Earn(context.Background(), s, b.limits))
}

func (b *bench) refund(s guard.Send) {
	b.t.Helper()
	require.NoError(b.t, b.Store.Refund(context.Background(), s, b.limits))
}

// passes takes sends that differ in their number only until one is refused.
func (b *bench) passes(s guard.Send) (n int, why guard.Reason) {
	b.t.Helper()
	number := s.Number
	for {
		s.Number = fmt.Sprintf("%s9%04d", number, n)
		if why = b.take(s); why != "" {
			return n, why
		}
		if n++; n > 2000 {
			b.t.Fatal("nothing is refused")
		}
	}
}

func eachAccount(b *bench) {
	b.limits.Network, b.limits.Prefix, b.limits.Country = 3, 4, 8
	n, why := b.passes(send("n", "8613800", 1))
	require.Equal(b.t, 3, n)
	require.Equal(b.t, guard.ByNetwork, why)
	require.Empty(b.t, b.take(send("n2", "8613800", 2)))
	require.Equal(b.t, guard.ByPrefix, b.take(send("n3", "8613800", 3)))
	for i := range 4 {
		require.Empty(b.t, b.take(far(i)))
	}
	require.Equal(b.t, guard.ByCountry, b.take(far(5)))
	require.Empty(b.t, b.take(send("n4", "4420794", 1)))
}

func refusedIsFree(b *bench) {
	b.limits.Network, b.limits.Prefix = 2, 5
	for i := range 50 {
		b.take(send("n", "8613800", i))
	}
	n, why := 0, guard.Reason("")
	for ; why == ""; n++ {
		why = b.take(send(fmt.Sprint("other", n), "8613800", 100+n))
	}
	require.Equal(b.t, guard.ByPrefix, why)
	require.Equal(b.t, 4, n, "three of five were left, and the fourth was refused")
}

func halfFull(b *bench) {
	s := send("n", "8613800", 1)
	b.limits.Prefix, b.limits.Network = 20, 1000
	n, _ := b.passes(s)
	require.Equal(b.t, 20, n)
	b.earn(send("n", "8613800", 901)) // 5
	require.Equal(b.t, guard.ByPrefix, b.take(s))
	b.earn(send("n", "8613800", 902)) // 10
	n, _ = b.passes(send("n", "8613800", 2))
	require.Equal(b.t, 10, n)
	b.Advance(11 * time.Hour)
	require.Equal(b.t, guard.ByPrefix, b.take(s))
	b.Advance(time.Hour + time.Second)
	require.Empty(b.t, b.take(s))
}

func fullInADay(b *bench) {
	s := send("n", "8613800", 1)
	n, _ := b.passes(s)
	require.Equal(b.t, 20, n)
	b.Advance(24*time.Hour + time.Second)
	n, _ = b.passes(send("n2", "8613800", 2))
	require.Equal(b.t, 20, n)
	b.Advance(240 * time.Hour)
	n, _ = b.passes(send("n3", "8613800", 3))
	require.Equal(b.t, 20, n, "and no more after ten")
}

func earnsOnce(b *bench) {
	s := send("n", "8613800", 1)
	b.passes(s)
	for range 10 {
		b.earn(send("n", "8613800", 900))
	}
	require.Equal(b.t, guard.ByPrefix, b.take(s), "five of twenty, which is not half")
	b.earn(send("n", "8613800", 901))
	n, _ := b.passes(send("n2", "8613800", 2))
	require.Equal(b.t, 10, n)
}

func verifiedPasses(b *bench) {
	b.limits.DailyCap, b.limits.Network = 2, 2
	s := send("n", "8613800", 1)
	require.Empty(b.t, b.take(s))
	b.earn(s)
	n, why := b.passes(send("n2", "8613801", 2))
	require.Equal(b.t, 1, n)
	require.Equal(b.t, guard.BySpend, why)
	for range 20 {
		d, err := b.Store.Take(context.Background(), s, b.limits)
		require.NoError(b.t, err)
		require.Equal(b.t, guard.Decision{Allowed: true, Known: true}, d)
	}
	b.Advance(30 * 24 * time.Hour)
	d, err := b.Store.Take(context.Background(), s, b.limits)
	require.NoError(b.t, err)
	require.True(b.t, d.Known, "after a month as well")
}

func countries(b *bench) {
	b.limits.CountriesPerNetwork = 2
	require.Empty(b.t, b.take(send("n", "8613800", 1)))
	require.Empty(b.t, b.take(send("n", "4420794", 1)))
	require.Equal(b.t, guard.ByCountries, b.take(send("n", "4915112", 1)))
	require.Empty(b.t, b.take(send("n", "4420794", 2)), "one of the two")
	require.Empty(b.t, b.take(send("n2", "4915112", 1)))
	b.Advance(24 * time.Hour)
	require.Empty(b.t, b.take(send("n", "4915112", 1)))
}

func dailyCap(b *bench) {
	b.limits.DailyCap = 5
	for i := range 5 {
		require.Empty(b.t, b.take(far(i)))
	}
	require.Equal(b.t, guard.BySpend, b.take(far(6)))
	b.Advance(24 * time.Hour)
	require.Empty(b.t, b.take(far(7)))
}

func refunds(b *bench) {
	b.limits.DailyCap, b.limits.Network = 3, 2
	for i := range 10 {
		s := send("n", "8613800", i)
		require.Empty(b.t, b.take(s))
		b.refund(s)
	}
	require.Empty(b.t, b.take(send("n", "8613800", 11)))
	require.Empty(b.t, b.take(send("n", "8613800", 12)))
	require.Equal(b.t, guard.ByNetwork, b.take(send("n", "8613800", 13)))
	require.Empty(b.t, b.take(far(1)))
	require.Equal(b.t, guard.BySpend, b.take(far(2)))
}

func noMore(b *bench) {
	for i := range 50 {
		b.refund(send("n", "8613800", i))
		b.earn(send("n", "8613800", 1000+i))
	}
	n, why := b.passes(send("n2", "8613800", 1))
	require.Equal(b.t, 20, n)
	require.Equal(b.t, guard.ByPrefix, why)
}

func setBack(b *bench) {
	s := send("n", "8613800", 1)
	b.passes(s)
	for range 30 {
		b.Advance(-time.Hour)
		require.Equal(b.t, guard.ByPrefix, b.take(s))
		require.Equal(b.t, guard.ByPrefix, b.take(s))
	}
	b.Advance(12*time.Hour + time.Second)
	require.Empty(b.t, b.take(s), "and goes on from there")
}

func atOnce(b *bench) {
	b.limits.Prefix = 7
	var passed, failed atomic.Int64
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			d, err := b.Store.Take(context.Background(), send(fmt.Sprint("n", i), "8613800", i), b.limits)
			if err != nil {
				failed.Add(1)
			} else if d.Allowed {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	require.Zero(b.t, failed.Load())
	require.EqualValues(b.t, 7, passed.Load())

	number := send("n", "8613800", 900)
	for range 20 {
		all.Go(func() {
			if b.Store.Earn(context.Background(), number, b.limits) != nil {
				failed.Add(1)
			}
		})
	}
	all.Wait()
	require.Zero(b.t, failed.Load())
	n, _ := b.passes(send("x", "8613800", 1))
	require.Equal(b.t, 5, n, "one of twenty has earned")
}

func newLimits(b *bench) {
	b.limits.Prefix = 4
	s := send("n", "8613800", 1)
	b.passes(s)
	b.limits.Prefix = 40
	require.Equal(b.t, guard.ByPrefix, b.take(s), "what it may hold is not what it has")
	b.Advance(13 * time.Hour)
	require.Empty(b.t, b.take(s), "more than half of forty")
	b.limits.Prefix = 3
	n, _ := b.passes(send("n2", "8613800", 2))
	require.Equal(b.t, 3, n, "cut down")
}

func cancelled(b *bench) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := send("n", "8613800", 1)
	_, err := b.Store.Take(ctx, s, b.limits)
	require.ErrorIs(b.t, err, context.Canceled)
	require.ErrorIs(b.t, b.Store.Earn(ctx, s, b.limits), context.Canceled)
	require.ErrorIs(b.t, b.Store.Refund(ctx, s, b.limits), context.Canceled)
}
