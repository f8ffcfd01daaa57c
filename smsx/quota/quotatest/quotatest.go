// Package quotatest checks a [quota.Quota].
package quotatest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx/quota"
)

// Harness is a new quota and its clock.
type Harness struct {
	// Quota is what to check: empty, of months in UTC, with a retention of [Retention].
	Quota quota.Quota
	// Now is the time of the clock that it judges by, and Advance moves it: by whole
	// milliseconds, and back too.
	Now     func() time.Time
	Advance func(time.Duration)
}

// Retention is what a [Harness] has.
const Retention = 72 * time.Hour

const capacity = 10

// Test checks a quota; harness makes a new one for each subtest.
func Test(t *testing.T, harness func(t *testing.T) Harness) {
	for name, check := range map[string]func(*bench){
		"CapacityIsSpentExactly":                    exactly,
		"RetriesArePaidOnce":                        retries,
		"ACommittedMessageIsADuplicate":             duplicate,
		"AnIDStandsForOneContent":                   conflict,
		"ARefundGivesBackOnce":                      refundOnce,
		"ALateRefundDoesNotEndTheNextTry":           lateRefund,
		"AnUnknownTryKeepsTheCharge":                unknown,
		"APartialCommitGivesBackTheRest":            partial,
		"ARestIsKeptWhileAnotherTryIsOpen":          partialOpen,
		"AMessageIsTriedABoundedNumberOfTimes":      overtried,
		"WhatCrashedIsSpent":                        crashed,
		"AMonthBeginsAnew":                          month,
		"ARefundGoesToTheMonthItCameFrom":           refundAcross,
		"ACommitAcrossTheMonthDoesNotTouchTheNext":  commitAcross,
		"AClockSetBackBringsNoSecondCapacity":       setBack,
		"ALoweredCapacityCounts":                    lowered,
		"AccountsAndIDsStandApart":                  apart,
		"BadChargesAreRefused":                      bad,
		"AThousandAtOnceSpendTheCapacity":           many,
		"AThousandTriesOfOneMessageArePaidOnce":     manyOfOne,
		"AnEndedContextIsAnErrorAndChangesNothing":  ended,
		"ATicketOfNothingDoesNothing":               nothing,
		"EndOfMonthIsTheNextMonthsBeginningExactly": boundary,
	} {
		t.Run(name, func(t *testing.T) { check(&bench{t, harness(t)}) })
	}
}

type bench struct {
	t *testing.T
	Harness
}

func charge(id string, units int64) quota.Charge {
	return quota.Charge{Account: "shop", ID: id, Content: "hello", Units: units, Capacity: capacity}
}

func (b *bench) ask(c quota.Charge) quota.Decision {
	b.t.Helper()
	d, err := b.Quota.Reserve(context.Background(), c)
	require.NoError(b.t, err)
	return d
}

func (b *bench) grant(id string, units int64) quota.Ticket {
	b.t.Helper()
	d := b.ask(charge(id, units))
	require.Equal(b.t, quota.Granted, d.Verdict)
	require.Equal(b.t, "shop", d.Ticket.Account)
	require.Equal(b.t, id, d.Ticket.ID)
	return d.Ticket
}

func (b *bench) commit(t quota.Ticket, units int64) {
	b.t.Helper()
	require.NoError(b.t, b.Quota.Commit(context.Background(), t, units))
}

func (b *bench) refund(t quota.Ticket) {
	b.t.Helper()
	require.NoError(b.t, b.Quota.Refund(context.Background(), t))
}

// spent asks for more than there can be.
func (b *bench) spent(want int64) {
	b.t.Helper()
	d := b.ask(charge("probe", capacity+1))
	require.Equal(b.t, quota.Exhausted, d.Verdict)
	require.Equal(b.t, want, d.Spent)
}

func (b *bench) untilNextMonth() time.Duration {
	_, end := quota.Month(b.Now(), time.UTC)
	return end.Sub(b.Now())
}

func exactly(b *bench) {
	for i := range capacity / 2 {
		d := b.ask(charge(fmt.Sprint(i), 2))
		require.Equal(b.t, quota.Granted, d.Verdict)
		require.EqualValues(b.t, 2*(i+1), d.Spent)
		require.Equal(b.t, b.untilNextMonth(), d.ResetAfter)
	}
	require.Equal(b.t, quota.Exhausted, b.ask(charge("more", 1)).Verdict)
	b.spent(capacity)
}

func retries(b *bench) {
	first, second := b.grant("a", 3), b.grant("a", 3)
	require.Equal(b.t, 1, first.Try)
	require.Equal(b.t, 2, second.Try)
	b.spent(3)
	b.commit(second, 3)
	b.commit(second, 3)
	b.commit(first, 3)
	b.spent(3)
}

func duplicate(b *bench) {
	b.commit(b.grant("a", 3), 3)
	require.Equal(b.t, quota.Duplicate, b.ask(charge("a", 3)).Verdict)
	b.spent(3)
	b.Advance(Retention - time.Millisecond)
	require.Equal(b.t, quota.Duplicate, b.ask(charge("a", 3)).Verdict)
	b.Advance(time.Millisecond)
	b.grant("a", 3)
	b.spent(6)
}

func conflict(b *bench) {
	ticket := b.grant("a", 3)
	other := charge("a", 3)
	other.Content = "bye"
	require.Equal(b.t, quota.Conflict, b.ask(other).Verdict, "another message for the price of the first")
	require.Equal(b.t, quota.Conflict, b.ask(charge("a", 1)).Verdict)
	b.refund(ticket)
	require.Equal(b.t, quota.Conflict, b.ask(other).Verdict)
	b.commit(b.grant("a", 3), 3)
	require.Equal(b.t, quota.Conflict, b.ask(other).Verdict)
	b.spent(3)
}

func refundOnce(b *bench) {
	b.grant("other", 5)
	ticket := b.grant("a", 3)
	for range 3 {
		b.refund(ticket)
	}
	b.commit(ticket, 3)
	b.spent(5)
	b.grant("a", 3)
	b.spent(8)
}

func lateRefund(b *bench) {
	first := b.grant("a", 3)
	b.refund(first)
	second := b.grant("a", 3)
	b.refund(first) // delayed by the network
	b.spent(3)
	b.refund(second)
	b.spent(0)
}

func unknown(b *bench) {
	b.grant("a", 3) // nobody knows what became of it
	b.refund(b.grant("a", 3))
	b.spent(3)
}

func partial(b *bench) {
	b.commit(b.grant("a", 5), 2)
	b.spent(2)
	b.commit(b.grant("b", 5), -1)
	b.spent(2)
	b.commit(b.grant("c", 5), 9)
	b.spent(7)
}

func partialOpen(b *bench) {
	b.grant("a", 5) // may have sent all
	b.commit(b.grant("a", 5), 2)
	b.spent(5)
}

func overtried(b *bench) {
	for range quota.MaxTries {
		b.refund(b.grant("a", 3))
	}
	require.Equal(b.t, quota.Overtried, b.ask(charge("a", 3)).Verdict)
	b.spent(0)
}

func crashed(b *bench) {
	ticket := b.grant("a", 3)
	b.Advance(Retention)
	b.refund(ticket)
	b.spent(3)
}

func month(b *bench) {
	b.commit(b.grant("a", capacity), capacity)
	left := b.untilNextMonth()
	b.Advance(left - time.Millisecond)
	d := b.ask(charge("b", 1))
	require.Equal(b.t, quota.Exhausted, d.Verdict)
	require.Equal(b.t, time.Millisecond, d.ResetAfter)
	b.Advance(time.Millisecond)
	b.grant("b", 1)
	b.spent(1)
}

func refundAcross(b *bench) {
	b.Advance(b.untilNextMonth() - time.Millisecond)
	late := b.grant("late", 4)
	b.Advance(time.Millisecond)
	b.grant("new", 5)
	b.refund(late)
	b.spent(5)
	b.grant("late", 4)
	b.spent(9)
}

func commitAcross(b *bench) {
	b.Advance(b.untilNextMonth() - time.Millisecond)
	late := b.grant("late", 4)
	b.Advance(time.Millisecond)
	b.grant("new", 5)
	require.Equal(b.t, 2, b.grant("late", 4).Try, "a retry was paid last month")
	b.commit(late, 1)
	b.spent(5)
}

func setBack(b *bench) {
	b.Advance(b.untilNextMonth())
	b.grant("a", capacity)
	b.Advance(-time.Minute)
	require.Equal(b.t, quota.Exhausted, b.ask(charge("b", 1)).Verdict)
	b.Advance(time.Minute)
	require.Equal(b.t, quota.Exhausted, b.ask(charge("b", 1)).Verdict, "the same month was counted anew")
}

func lowered(b *bench) {
	b.grant("a", 6)
	c := charge("b", 1)
	c.Capacity = 5
	require.Equal(b.t, quota.Exhausted, b.ask(c).Verdict)
	c.Capacity = 0
	require.Equal(b.t, quota.Exhausted, b.ask(c).Verdict)
	c.Capacity = 7
	require.Equal(b.t, quota.Granted, b.ask(c).Verdict)
}

func apart(b *bench) {
	b.grant("a", 4)
	other := charge("a", 5)
	other.Account = "sho"
	other.ID = "pa" // nothing runs together
	require.Equal(b.t, quota.Granted, b.ask(other).Verdict)
	other.Account, other.ID = "{shop}", "a}"
	require.EqualValues(b.t, 5, b.ask(other).Spent)
	b.spent(4)
}

func bad(b *bench) {
	long := string(make([]byte, 257))
	for _, c := range []quota.Charge{
		{}, charge("", 1), charge(long, 1), charge("a", 0), charge("a", -1), charge("a", quota.MaxUnits+1),
		{ID: "a", Content: "x", Units: 1}, {Account: "shop", ID: "a", Units: 1},
		{Account: "shop", ID: "a", Content: "x", Units: 1, Capacity: -1},
		{Account: "shop", ID: "a", Content: "x", Units: 1, Capacity: quota.MaxCapacity + 1},
	} {
		d, err := b.Quota.Reserve(context.Background(), c)
		require.ErrorIs(b.t, err, quota.ErrCharge)
		require.Zero(b.t, d)
	}
	b.spent(0)
}

// at once runs f so many times at once.
func atOnce(n int, f func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			f(i)
		})
	}
	close(begin)
	wg.Wait()
}

func many(b *bench) {
	var mu sync.Mutex
	granted := 0
	atOnce(1000, func(i int) {
		d, err := b.Quota.Reserve(context.Background(), charge(fmt.Sprint(i), 3))
		if err != nil {
			b.t.Error(err)
		}
		if d.Verdict == quota.Granted {
			mu.Lock()
			granted++
			mu.Unlock()
		}
	})
	require.Equal(b.t, capacity/3, granted)
	b.spent(capacity / 3 * 3)
}

func manyOfOne(b *bench) {
	var mu sync.Mutex
	verdicts := map[quota.Verdict]int{}
	atOnce(1000, func(int) {
		d, err := b.Quota.Reserve(context.Background(), charge("a", 3))
		if err != nil {
			b.t.Error(err)
		}
		mu.Lock()
		verdicts[d.Verdict]++
		mu.Unlock()
	})
	require.Equal(b.t, map[quota.Verdict]int{quota.Granted: quota.MaxTries, quota.Overtried: 1000 - quota.MaxTries}, verdicts)
	b.spent(3)
}

func ended(b *bench) {
	ticket := b.grant("a", 3)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := b.Quota.Reserve(ctx, charge("b", 1))
	require.ErrorIs(b.t, err, context.Canceled)
	require.ErrorIs(b.t, b.Quota.Refund(ctx, ticket), context.Canceled)
	require.ErrorIs(b.t, b.Quota.Commit(ctx, ticket, 0), context.Canceled)
	b.spent(3)
}

func nothing(b *bench) {
	ticket := b.grant("a", 3)
	for _, t := range []quota.Ticket{{}, {Account: "shop", ID: "b", Try: 1}, {Account: "shop", ID: "a"},
		{Account: "shop", ID: "a", Try: 2}, {Account: "shop", ID: "a", Try: -1}, {Account: "sho", ID: "a", Try: 1}} {
		b.refund(t)
		b.commit(t, 0)
	}
	b.spent(3)
	b.refund(ticket)
	b.spent(0)
}

func boundary(b *bench) {
	b.grant("first", 1)
	for range 14 {
		b.Advance(b.untilNextMonth() - time.Millisecond)
		b.grant(b.Now().String(), capacity-1)
		require.Equal(b.t, quota.Exhausted, b.ask(charge("x", 1)).Verdict)
		b.Advance(time.Millisecond)
		d := b.ask(charge(b.Now().String(), 1))
		require.Equal(b.t, quota.Granted, d.Verdict)
		require.Equal(b.t, b.untilNextMonth(), d.ResetAfter)
		require.EqualValues(b.t, 1, d.Spent)
	}
}
