package quota_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/smsx/quota"
	"github.com/bulwark-go/bulwark/smsx/quota/quotatest"
)

type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(1_795_408_549_123)
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func newMemory(t testing.TB, opts ...quota.Option) *quota.Memory {
	t.Helper()
	m, err := quota.NewMemory(opts...)
	require.NoError(t, err)
	return m
}

func TestMemoryConforms(t *testing.T) {
	quotatest.Test(t, func(t *testing.T) quotatest.Harness {
		c := newClock()
		return quotatest.Harness{Quota: newMemory(t, quota.WithClock(c.now)), Now: c.now, Advance: c.advance}
	})
}

// TestNoHistoryOverspends walks through what senders do: try, lose answers, retry
// under the same ID, die, refund late and twice. World is what receivers got, which
// the quota has to have counted: it is kept apart and knows nothing of tries.
func TestNoHistoryOverspends(t *testing.T) {
	const steps, messages = 16, 6
	const capacity = 12
	ctx := context.Background()
	c := newClock()
	m := newMemory(t, quota.WithClock(c.now))
	random := rand.New(rand.NewPCG(1, 2))
	granted, refused, multi := 0, 0, 0
	for history := range testenv.Scale(20_000, 10_000_000) {
		account := fmt.Sprint(history)
		var world [messages]int64 // units that receivers got of each message
		var tickets, refunds []quota.Ticket
		for range steps {
			if len(tickets) == 0 || random.IntN(2) == 0 {
				i := random.IntN(messages)
				units := int64(i + 1)
				d, err := m.Reserve(ctx, quota.Charge{Account: account, ID: string(rune('a' + i)), Content: "x", Units: units, Capacity: capacity})
				if err != nil {
					t.Fatal(err)
				}
				if d.Verdict != quota.Granted {
					refused++
					continue
				}
				granted++
				if d.Ticket.Try > 1 {
					multi++
				}
				tickets = append(tickets, d.Ticket)
				continue
			}
			k := random.IntN(len(tickets))
			ticket := tickets[k]
			i := int(ticket.ID[0] - 'a')
			switch random.IntN(6) {
			case 0, 1: // sent, and told
				world[i] = int64(i + 1)
				commit(t, m, ticket, int64(i+1))
			case 2: // sent, but nobody knows, or the process died
				world[i] = int64(i + 1)
			case 3, 4: // certainly not sent, and told
				refund(t, m, ticket)
				refunds = append(refunds, ticket)
			default: // died before sending
			}
			tickets[k] = tickets[len(tickets)-1]
			tickets = tickets[:len(tickets)-1]
			if len(refunds) > 0 && random.IntN(3) == 0 {
				refund(t, m, refunds[random.IntN(len(refunds))]) // told again, late
			}
		}
		sent := int64(0)
		for _, units := range world {
			sent += units
		}
		if sent > capacity {
			t.Fatalf("history %d: %d sent of %d", history, sent, capacity)
		}
		if history%1000 == 0 {
			c.advance(quotatest.Retention) // what was remembered makes room
		}
	}
	t.Logf("%d grants, %d of them retries, %d refusals", granted, multi, refused)
	require.Positive(t, refused)
	require.Positive(t, multi)
}

func commit(t *testing.T, m quota.Quota, ticket quota.Ticket, units int64) {
	if err := m.Commit(context.Background(), ticket, units); err != nil {
		t.Fatal(err)
	}
}

func refund(t *testing.T, m quota.Quota, ticket quota.Ticket) {
	if err := m.Refund(context.Background(), ticket); err != nil {
		t.Fatal(err)
	}
}

func TestAFullMemoryRefusesRatherThanForgets(t *testing.T) {
	c := newClock()
	m := newMemory(t, quota.WithClock(c.now), quota.WithCapacity(2))
	reserve := func(id string) error {
		_, err := m.Reserve(t.Context(), quota.Charge{Account: "a", ID: id, Content: "x", Units: 1, Capacity: 9})
		return err
	}
	require.NoError(t, reserve("1"))
	require.NoError(t, reserve("2"))
	require.ErrorIs(t, reserve("3"), quota.ErrFull)
	require.NoError(t, reserve("2"), "a retry needs no room")
	c.advance(quota.DefaultRetention)
	require.NoError(t, reserve("3"))
}

func TestMonthsCoverTimeWithoutGaps(t *testing.T) {
	var zones []*time.Location
	for _, name := range []string{"UTC", "Asia/Shanghai", "America/New_York", "Asia/Kathmandu", "America/Asuncion", "Pacific/Apia", "Africa/Cairo"} {
		zone, err := time.LoadLocation(name)
		require.NoError(t, err)
		zones = append(zones, zone)
	}
	check := func(t require.TestingT, at time.Time, zone *time.Location) {
		start, end := quota.Month(at, zone)
		require.False(t, at.Before(start), "%v %v", at, zone)
		require.True(t, at.Before(end), "%v %v", at, zone)
		_, same := quota.Month(start, zone)
		require.Equal(t, end.Unix(), same.Unix(), "%v %v", at, zone)
		next, _ := quota.Month(end, zone)
		require.Equal(t, end.Unix(), next.Unix(), "%v %v", at, zone)
		days := end.Sub(start).Hours() / 24
		require.True(t, days > 26.9 && days < 31.1, "%v %v: %v days", at, zone, days)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(t, "at"), 0), rapid.SampledFrom(zones).Draw(t, "zone"))
	})
	asuncion := zones[4] // where the first of October 2017 had no midnight
	for s := range 7200 {
		check(t, time.Date(2017, 10, 1, 3, 0, 0, 0, time.UTC).Add(time.Duration(s)*time.Second), asuncion)
	}
	start, end := quota.Month(time.Date(2026, 11, 30, 15, 59, 59, 0, time.UTC), zones[1])
	require.Equal(t, "2026-11-01T00:00:00+08:00", start.Format(time.RFC3339))
	require.Equal(t, "2026-12-01T00:00:00+08:00", end.Format(time.RFC3339))
	start, _ = quota.Month(end, zones[1])
	require.Equal(t, end.Unix(), start.Unix())
}

func TestNewMemoryNamesEveryViolation(t *testing.T) {
	_, err := quota.NewMemory(quota.WithClock(nil), quota.WithZone(nil), quota.WithRetention(time.Microsecond), quota.WithCapacity(0))
	for _, field := range []string{"clock", "zone", "retention", "capacity"} {
		require.ErrorContains(t, err, "quota: "+field+" = ")
	}
}
