// Package otptest checks implementations of [otp.Store].
package otptest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx/otp"
)

// Harness is a store under test.
type Harness struct {
	// Store is empty.
	Store otp.Store
	// Advance moves the store's clock, back when negative, by whole milliseconds.
	Advance func(time.Duration)
}

// limits are those of a zero [otp.Config].
var limits = otp.Limits{
	Validity: 10 * time.Minute, Cooldown: time.Minute, Tries: 3, SendsPerHour: 5, SendsPerDay: 10,
	FailuresPerDay: 10, FailuresPerMonth: 100,
}

// bench is a harness with short words for what tests do.
type bench struct {
	Harness
	t *testing.T
	n atomic.Int64
}

func (b *bench) issue(name, code string) otp.Issued {
	out, err := b.Store.Issue(context.Background(), name, otp.Issue{ID: b.id(), MAC: "k." + code, Limits: limits})
	require.NoError(b.t, err)
	return out
}

func (b *bench) grant(name, code string) {
	b.t.Helper()
	require.Equal(b.t, otp.Granted, b.issue(name, code).Outcome)
}

func (b *bench) verify(name, code string) otp.Outcome {
	out, err := b.Store.Verify(context.Background(), name, otp.Guess{ID: b.id(), MACs: []string{"other.x", "k." + code}, Limits: limits})
	require.NoError(b.t, err)
	return out
}

func (b *bench) id() string { return fmt.Sprintf("id-%d", b.n.Add(1)) }

const spare = 2 * time.Second // more than any rounding of a store

// Test checks a store; each call of make returns one that is empty.
func Test(t *testing.T, make func(t *testing.T) Harness) {
	for name, check := range map[string]func(*bench){
		"a code is used once":                         usedOnce,
		"three tries":                                 threeTries,
		"expiry is exact and costs nothing":           expiry,
		"one a minute":                                oneAMinute,
		"five an hour and ten a day":                  hourAndDay,
		"wrong guesses outlive codes":                 dayLock,
		"a hundred wrong guesses in 30 days":          monthLock,
		"a new code ends the one before":              newCode,
		"a refund gives the minute back only":         refund,
		"the same id is the same operation":           sameID,
		"names stand apart":                           apart,
		"a clock set back opens nothing":              setBack,
		"nobody asked for":                            absent,
		"of 1000 right guesses one is":                manyRight,
		"of 1000 wrong guesses three count":           manyWrong,
		"of 1000 issues one is":                       manyIssues,
		"a context that ended gets its error, no say": ended,
	} {
		t.Run(name, func(t *testing.T) { check(&bench{Harness: make(t), t: t}) })
	}
}

func usedOnce(b *bench) {
	b.grant("a", "1")
	require.Equal(b.t, otp.Verified, b.verify("a", "1"))
	require.Equal(b.t, otp.Absent, b.verify("a", "1"))
}

func threeTries(b *bench) {
	b.grant("a", "1")
	for range 3 {
		require.Equal(b.t, otp.Wrong, b.verify("a", "2"))
	}
	require.Equal(b.t, otp.Exhausted, b.verify("a", "1"), "right, but too late")
}

func expiry(b *bench) {
	b.grant("a", "1")
	b.Advance(limits.Validity)
	for range 20 {
		require.Equal(b.t, otp.Expired, b.verify("a", "1"))
	}
	b.grant("a", "2")
	b.Advance(limits.Validity - time.Millisecond)
	require.Equal(b.t, otp.Verified, b.verify("a", "2"), "expired guesses locked the subject")
}

func oneAMinute(b *bench) {
	b.grant("a", "1")
	b.Advance(limits.Cooldown - time.Millisecond)
	require.Equal(b.t, otp.Issued{Outcome: otp.Limited, RetryAfter: time.Millisecond}, b.issue("a", "2"))
	require.Equal(b.t, otp.Verified, b.verify("a", "1"), "a refused issue changed the code")
	b.Advance(time.Millisecond)
	b.grant("a", "2")
}

func hourAndDay(b *bench) {
	began := time.Duration(0)
	step := func(d time.Duration) { b.Advance(d); began += d }
	for range limits.SendsPerHour {
		b.grant("a", "1")
		step(limits.Cooldown)
	}
	out := b.issue("a", "1")
	require.Equal(b.t, otp.Limited, out.Outcome)
	require.InDelta(b.t, time.Hour-began, out.RetryAfter, float64(spare))
	step(out.RetryAfter - spare)
	require.Equal(b.t, otp.Limited, b.issue("a", "1").Outcome)
	step(spare)
	for range limits.SendsPerDay - limits.SendsPerHour {
		b.grant("a", "1")
		step(time.Hour)
	}
	out = b.issue("a", "1")
	require.Equal(b.t, otp.Limited, out.Outcome)
	require.InDelta(b.t, 24*time.Hour-began, out.RetryAfter, float64(spare))
	b.Advance(out.RetryAfter)
	b.grant("a", "1")
}

// spend guesses wrong n times, over as many codes as that takes.
func spend(b *bench, n int) {
	b.t.Helper()
	for i := range n {
		if i%limits.Tries == 0 {
			b.grant("a", "1")
			b.Advance(limits.Cooldown)
		}
		require.Equal(b.t, otp.Wrong, b.verify("a", "2"), "guess %d", i)
	}
}

func dayLock(b *bench) {
	// Begin in the first minutes of a day, which a lock's end shows.
	spend(b, limits.FailuresPerDay)
	require.Equal(b.t, otp.Locked, b.verify("a", "1"), "right, but locked")
	out := b.issue("a", "3")
	require.Equal(b.t, otp.Locked, out.Outcome)
	require.LessOrEqual(b.t, out.RetryAfter, 24*time.Hour)
	b.Advance(out.RetryAfter - time.Millisecond)
	require.Equal(b.t, otp.Locked, b.issue("a", "3").Outcome)
	b.Advance(time.Millisecond)
	require.NotEqual(b.t, otp.Locked, b.issue("a", "3").Outcome)
}

func monthLock(b *bench) {
	for range limits.FailuresPerMonth / limits.FailuresPerDay {
		spend(b, limits.FailuresPerDay)
		b.Advance(24 * time.Hour)
	}
	out := b.issue("a", "1")
	require.Equal(b.t, otp.Locked, out.Outcome)
	require.Greater(b.t, out.RetryAfter, 19*24*time.Hour)
	b.Advance(out.RetryAfter - time.Millisecond)
	require.Equal(b.t, otp.Locked, b.issue("a", "1").Outcome)
	b.Advance(time.Millisecond)
	b.grant("a", "1")
	require.Equal(b.t, otp.Verified, b.verify("a", "1"))
}

func newCode(b *bench) {
	b.grant("a", "1")
	b.Advance(limits.Cooldown)
	b.grant("a", "2")
	require.Equal(b.t, otp.Wrong, b.verify("a", "1"))
	require.Equal(b.t, otp.Verified, b.verify("a", "2"))
}

func refund(b *bench) {
	ctx := context.Background()
	for i := range limits.SendsPerHour {
		id := b.id()
		out, err := b.Store.Issue(ctx, "a", otp.Issue{ID: id, MAC: "k.1", Limits: limits})
		require.NoError(b.t, err)
		require.Equal(b.t, otp.Granted, out.Outcome, "issue %d", i)
		require.NoError(b.t, b.Store.Refund(ctx, "a", "another"))
		require.Equal(b.t, otp.Limited, b.issue("a", "2").Outcome)
		require.NoError(b.t, b.Store.Refund(ctx, "a", id))
		require.Equal(b.t, otp.Absent, b.verify("a", "1"), "a code that was not sent")
	}
	require.Equal(b.t, otp.Limited, b.issue("a", "2").Outcome, "refunds open the hour")
}

func sameID(b *bench) {
	ctx := context.Background()
	in := otp.Issue{ID: "once", MAC: "k.1", Limits: limits}
	for range 3 {
		out, err := b.Store.Issue(ctx, "a", in)
		require.NoError(b.t, err)
		require.Equal(b.t, otp.Granted, out.Outcome)
	}
	for range 5 {
		out, err := b.Store.Verify(ctx, "a", otp.Guess{ID: "wrong", MACs: []string{"k.2"}, Limits: limits})
		require.NoError(b.t, err)
		require.Equal(b.t, otp.Wrong, out)
	}
	for range 3 {
		out, err := b.Store.Verify(ctx, "a", otp.Guess{ID: "right", MACs: []string{"k.1"}, Limits: limits})
		require.NoError(b.t, err)
		require.Equal(b.t, otp.Verified, out)
	}
	require.Equal(b.t, otp.Absent, b.verify("a", "1"))
}

func apart(b *bench) {
	b.grant("a", "1")
	b.grant("b", "2")
	require.Equal(b.t, otp.Wrong, b.verify("b", "1"))
	require.Equal(b.t, otp.Verified, b.verify("a", "1"))
	require.Equal(b.t, otp.Verified, b.verify("b", "2"))
}

func setBack(b *bench) {
	spend(b, limits.FailuresPerDay)
	b.Advance(-40 * 24 * time.Hour)
	require.NotEqual(b.t, otp.Verified, b.verify("a", "1"), "the code lives for 40 days more")
	out := b.issue("a", "1")
	require.Equal(b.t, otp.Locked, out.Outcome)
	require.LessOrEqual(b.t, out.RetryAfter, 24*time.Hour, "locked until the clock is where it was")
	b.grant("b", "1")
	b.Advance(-24 * time.Hour)
	require.Equal(b.t, otp.Expired, b.verify("b", "1"))
	for range limits.SendsPerHour - 1 {
		b.grant("b", "2") // nobody waits until the clock is where it was
		b.Advance(limits.Cooldown)
	}
	require.Equal(b.t, otp.Limited, b.issue("b", "2").Outcome, "what was sent in the future counts for the hour")
}

func absent(b *bench) {
	for range 200 {
		require.Equal(b.t, otp.Absent, b.verify("a", "1"))
	}
	require.NoError(b.t, b.Store.Refund(context.Background(), "a", "none"))
	b.grant("a", "1")
	require.Equal(b.t, otp.Verified, b.verify("a", "1"), "guesses at nothing were charged")
}

// many runs f a thousand times at once and counts the outcomes.
func many(f func() otp.Outcome) map[otp.Outcome]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	counts := map[otp.Outcome]int{}
	begin := make(chan struct{})
	for range 1000 {
		wg.Go(func() {
			<-begin
			out := f()
			mu.Lock()
			defer mu.Unlock()
			counts[out]++
		})
	}
	close(begin)
	wg.Wait()
	return counts
}

func manyRight(b *bench) {
	b.grant("a", "1")
	require.Equal(b.t, map[otp.Outcome]int{otp.Verified: 1, otp.Absent: 999}, many(func() otp.Outcome { return b.verify("a", "1") }))
}

func manyWrong(b *bench) {
	b.grant("a", "1")
	require.Equal(b.t, map[otp.Outcome]int{otp.Wrong: 3, otp.Exhausted: 997}, many(func() otp.Outcome { return b.verify("a", "2") }))
}

func manyIssues(b *bench) {
	counts := many(func() otp.Outcome { return b.issue("a", "1").Outcome })
	require.Equal(b.t, map[otp.Outcome]int{otp.Granted: 1, otp.Limited: 999}, counts)
}

func ended(b *bench) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := b.Store.Issue(ctx, "a", otp.Issue{ID: "x", MAC: "k.1", Limits: limits})
	require.ErrorIs(b.t, err, context.Canceled)
	_, err = b.Store.Verify(ctx, "a", otp.Guess{ID: "y", MACs: []string{"k.1"}, Limits: limits})
	require.ErrorIs(b.t, err, context.Canceled)
	b.grant("a", "1")
}
