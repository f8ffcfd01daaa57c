package asynctest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/async"
)

func leaseBeforeCall(t *testing.T, f fixture) {
	f.put(entry("a"))
	f.claimOne(short)
	require.Equal(t, int64(1), f.swept(sweepOf(), "a", async.Queued).Released)
	r := f.claimOne(long)
	require.Equal(t, 2, r.Attempts, "counted at the claim")
	require.NotEmpty(t, r.LastError)
}

func leaseAfterSubmit(t *testing.T, f fixture) {
	f.put(entry("a"))
	r := f.claimOne(long)
	f.write(change(r, async.Leased, async.Submitted))
	kept, err := f.store.Renew(f.ctx, short, []async.Held{{ID: r.ID, Token: r.Token}})
	require.NoError(t, err)
	require.True(t, kept[0])
	require.Equal(t, int64(1), f.swept(sweepOf(), "a", async.Unknown).Unknown)
	require.ErrorIs(t, f.write(change(r, async.Submitted, async.Delivered))[0], async.ErrLost)
	require.Empty(t, f.claim(claimOf(1, long)), "never sent again in silence")
	c := claimOf(1, long)
	c.From = async.Unknown
	require.Empty(t, f.claim(c), "parked")
}

func leaseResend(t *testing.T, f fixture) {
	f.put(entry("a"))
	r := f.claimOne(long)
	f.write(change(r, async.Leased, async.Submitted))
	_, err := f.store.Renew(f.ctx, short, []async.Held{{ID: r.ID, Token: r.Token}})
	require.NoError(t, err)
	s := sweepOf()
	s.Resend = true
	require.Equal(t, int64(1), f.swept(s, "a", async.Queued).Resent)
	require.Equal(t, 2, f.claimOne(long).Attempts)
}

func poison(t *testing.T, f fixture) {
	f.put(entry("a"))
	s := sweepOf()
	s.Tries = 2
	f.claimOne(short)
	f.swept(s, "a", async.Queued)
	f.claimOne(short)
	require.Equal(t, int64(1), f.swept(s, "a", async.Dead).Dead)
}

// One that is always due longest would be claimed first each time, and nothing behind
// it ever.
func poisonWaits(t *testing.T, f fixture) {
	f.put(entry("poison"))
	f.put(entry("b"))
	f.put(entry("c"))
	require.Equal(t, "poison", f.claimOne(short).Key)
	f.swept(sweepOf(), "poison", async.Queued)
	require.Equal(t, []string{"b", "c", "poison"}, keys(f.claim(claimOf(3, long))))
}

func renewal(t *testing.T, f fixture) {
	f.put(entry("a"), entry("b"))
	rows := f.claim(claimOf(2, short))
	held := []async.Held{{ID: rows[0].ID, Token: rows[0].Token}, {ID: rows[1].ID, Token: rows[1].Token - 1}}
	kept, err := f.store.Renew(f.ctx, long, held)
	require.NoError(t, err)
	require.Equal(t, []bool{true, false}, kept)
	f.swept(sweepOf(), rows[1].Key, async.Queued)
	require.Equal(t, async.Leased, f.row(rows[0].Key).State)
	kept, err = f.store.Renew(f.ctx, long, held[1:])
	require.NoError(t, err)
	require.Equal(t, []bool{false}, kept)
}

func checks(t *testing.T, f fixture) {
	e := entry("a")
	e.State = async.Unknown
	f.put(e)
	require.Empty(t, f.claim(claimOf(1, long)))
	c := claimOf(1, short)
	c.From = async.Unknown
	rows := f.claim(c)
	require.Len(t, rows, 1)
	require.Equal(t, async.Reconciling, rows[0].State)
	require.Equal(t, 1, rows[0].Checks)
	require.Zero(t, rows[0].Attempts)
	s := sweepOf()
	s.CheckAfter = 0
	f.swept(s, "a", async.Unknown)
	c.Lease = long
	rows = f.claim(c)
	require.Len(t, rows, 1)
	back := change(rows[0], async.Reconciling, async.Unknown)
	back.GiveBack = true
	require.NoError(t, f.write(back)[0])
	rows = f.claim(c)
	require.Equal(t, 2, rows[0].Checks)
	require.NoError(t, f.write(change(rows[0], async.Reconciling, async.Queued))[0])
	require.Equal(t, 1, f.claimOne(long).Attempts)
}

func giveBack(t *testing.T, f fixture) {
	f.put(entry("a"))
	back := change(f.claimOne(long), async.Leased, async.Queued)
	back.GiveBack, back.Note = true, "limited"
	require.NoError(t, f.write(back)[0])
	r := f.claimOne(long)
	require.Equal(t, 1, r.Attempts)
	require.Equal(t, "limited", r.LastError)
	later := change(r, async.Leased, async.Queued)
	later.Delay = long
	require.NoError(t, f.write(later)[0])
	require.Empty(t, f.claim(claimOf(1, long)))
}

func retention(t *testing.T, f fixture) {
	f.put(entry("a"), entry("b"))
	for _, r := range f.claim(claimOf(2, long)) {
		f.write(change(r, async.Leased, async.Submitted))
		to := async.Delivered
		if r.Key == "b" {
			to = async.Dead
		}
		f.write(change(r, async.Submitted, to))
	}
	s := sweepOf()
	s.Retain = long
	_, err := f.store.Sweep(f.ctx, s)
	require.NoError(t, err)
	require.Equal(t, async.Delivered, f.row("a").State, "not yet")
	s.Retain = time.Millisecond
	require.Eventually(t, func() bool {
		_, err := f.store.Sweep(f.ctx, s)
		require.NoError(t, err)
		rows, err := f.store.List(f.ctx, async.Filter{Queue: queue})
		require.NoError(t, err)
		return len(rows) == 1 && rows[0].Key == "b" // dead ones wait for a person
	}, 30*time.Second, 5*time.Millisecond)
	require.False(t, f.put(entry("a"))[0].Duplicate)
}

func pausing(t *testing.T, f fixture) {
	f.put(entry("a"))
	require.NoError(t, f.store.Pause(f.ctx, queue))
	require.NoError(t, f.store.Pause(f.ctx, queue))
	require.Empty(t, f.claim(claimOf(1, long)))
	s, err := f.store.Stats(f.ctx, queue, 10)
	require.NoError(t, err)
	require.True(t, s.Paused)
	f.put(entry("b"))
	require.NoError(t, f.store.Resume(f.ctx, queue))
	require.NoError(t, f.store.Resume(f.ctx, queue))
	require.Len(t, f.claim(claimOf(9, long)), 2)
}

func operators(t *testing.T, f fixture) {
	f.put(entry("held"))
	f.claimOne(long)
	f.put(entry("dead"), entry("gone"))
	for _, r := range f.claim(claimOf(2, long)) {
		f.write(change(r, async.Leased, async.Dead))
	}
	all := async.Filter{Queue: queue, States: async.States(), Keys: []string{"held", "dead"}}
	n, err := f.store.Requeue(f.ctx, all)
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	require.Equal(t, async.Leased, f.row("held").State)
	require.Equal(t, 1, f.claimOne(long).Attempts, "a fresh start")
	n, err = f.store.Purge(f.ctx, async.Filter{Queue: queue, States: async.States()})
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	rows, err := f.store.List(f.ctx, async.Filter{Queue: queue})
	require.NoError(t, err)
	require.Equal(t, []string{"held", "dead"}, keys(rows))
	rows, err = f.store.List(f.ctx, async.Filter{Queue: queue, After: rows[0].ID, Most: 1})
	require.NoError(t, err)
	require.Equal(t, []string{"dead"}, keys(rows))
}

func figures(t *testing.T, f fixture) {
	f.put(entry("a"), entry("b"), entry("c"), entry("d"))
	f.claimOne(long)
	s, err := f.store.Stats(f.ctx, queue, 100)
	require.NoError(t, err)
	require.Equal(t, int64(3), s.Depth[async.Queued])
	require.Equal(t, int64(1), s.Depth[async.Leased])
	require.Equal(t, int64(4), s.Backlog())
	require.False(t, s.Paused)
	require.Greater(t, s.Oldest, time.Duration(0))
	s, err = f.store.Stats(f.ctx, queue, 2)
	require.NoError(t, err)
	require.Equal(t, int64(2), s.Depth[async.Queued])
}

func cancelled(t *testing.T, f fixture) {
	if _, isMemory := f.store.(*async.Memory); isMemory {
		t.Skip("memory has nothing to wait for")
	}
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, err := f.store.Put(ctx, []async.Entry{entry("a")})
	require.ErrorIs(t, err, context.Canceled)
	_, err = f.store.Claim(ctx, claimOf(1, long))
	require.ErrorIs(t, err, context.Canceled)
	_, err = f.store.Sweep(ctx, sweepOf())
	require.ErrorIs(t, err, context.Canceled)
}
