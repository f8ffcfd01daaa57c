// Package asynctest is the suite that every [async.Store] passes.
package asynctest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/async"
)

// Test runs the suite on the stores that open returns: an empty one for each call,
// used by several goroutines.
func Test(t *testing.T, open func(t *testing.T) async.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, fixture)
	}{
		{"what is put comes back as it was", keepsAll},
		{"a key is kept once", keyOnce},
		{"keys that look alike are different", keysExact},
		{"one duplicate does not keep the others out", duplicateAmongOthers},
		{"queues are apart", queuesApart},
		{"claims follow priority and due time", order},
		{"low goes first when asked", lowFirst},
		{"newest goes first when asked", newestFirst},
		{"what is not due stays", notDue},
		{"what is never due has no age", neverDue},
		{"two claims never share a row", claimsDisjoint},
		{"the token fences every write", fencing},
		{"a lost lease cannot submit", lateSubmit},
		{"many changes, one refused", oneRefused},
		{"an expired request is not submitted", expiryAtSubmit},
		{"an expired request is swept", expirySwept},
		{"a lease that ends before the call queues again", leaseBeforeCall},
		{"a lease that ends after submitting is unknown", leaseAfterSubmit},
		{"a lease that ends is sent again when asked", leaseResend},
		{"a request that ends its workers is given up", poison},
		{"a request that ends its workers lets the others go first", poisonWaits},
		{"renewing keeps a lease, and tells of a lost one", renewal},
		{"unknown requests are claimed to be checked", checks},
		{"a row given back costs no attempt", giveBack},
		{"ended requests are forgotten in time", retention},
		{"a paused queue has no claims", pausing},
		{"requeue and purge leave held rows alone", operators},
		{"figures", figures},
		{"a cancelled context is an error", cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, fixture{T: t, store: open(t), ctx: t.Context()})
		})
	}
}

const (
	queue = "q"
	long  = time.Hour
	// short is a lease that ends within the test.
	short = 20 * time.Millisecond
)

type fixture struct {
	*testing.T
	store async.Store
	ctx   context.Context
}

func entry(key string) async.Entry {
	return async.Entry{Queue: queue, Key: key, Payload: []byte(key), Reason: async.Limited}
}

func (f fixture) put(entries ...async.Entry) []async.Stored {
	f.Helper()
	stored, err := f.store.Put(f.ctx, entries)
	require.NoError(f, err)
	require.Len(f, stored, len(entries))
	return stored
}

func claimOf(n int, lease time.Duration) async.Claim {
	return async.Claim{Queue: queue, Owner: "w", From: async.Queued, Most: n, Lease: lease}
}

func (f fixture) claim(c async.Claim) []async.Row {
	f.Helper()
	rows, err := f.store.Claim(f.ctx, c)
	require.NoError(f, err)
	return rows
}

func (f fixture) claimOne(lease time.Duration) async.Row {
	f.Helper()
	rows := f.claim(claimOf(1, lease))
	require.Len(f, rows, 1)
	return rows[0]
}

func (f fixture) write(changes ...async.Change) []error {
	f.Helper()
	answers, err := f.store.Write(f.ctx, changes)
	require.NoError(f, err)
	require.Len(f, answers, len(changes))
	return answers
}

func change(r async.Row, from, to async.State) async.Change {
	return async.Change{ID: r.ID, Token: r.Token, From: from, To: to}
}

func (f fixture) row(key string) async.Row {
	f.Helper()
	rows, err := f.store.List(f.ctx, async.Filter{Queue: queue, Keys: []string{key}})
	require.NoError(f, err)
	require.Len(f, rows, 1)
	return rows[0]
}

func sweepOf() async.Sweep {
	return async.Sweep{Queue: queue, CheckAfter: -1, Tries: 3, Most: 100}
}

// swept sweeps until the row is in a state: leases end by the store's clock.
func (f fixture) swept(s async.Sweep, key string, state async.State) async.Swept {
	f.Helper()
	var total async.Swept
	require.Eventually(f, func() bool {
		n, err := f.store.Sweep(f.ctx, s)
		require.NoError(f, err)
		total.Released += n.Released
		total.Unknown += n.Unknown
		total.Resent += n.Resent
		total.Dead += n.Dead
		total.Expired += n.Expired
		return f.row(key).State == state
	}, 30*time.Second, 5*time.Millisecond)
	return total
}

func keys(rows []async.Row) []string {
	var all []string
	for _, r := range rows {
		all = append(all, r.Key)
	}
	return all
}

func keepsAll(t *testing.T, f fixture) {
	e := async.Entry{
		Queue: queue, Key: "k-\u00e9", Priority: async.High, Payload: []byte{0, 1, 255, 'x'},
		Carried: map[string]string{"trace": "t1"}, Reason: async.Judged, Note: "why \u2713", NotAfter: long,
	}
	stored := f.put(e)
	require.Equal(t, async.Stored{State: async.Queued}, stored[0])
	r := f.claimOne(long)
	require.Equal(t, e.Key, r.Key)
	require.Equal(t, e.Queue, r.Queue)
	require.Equal(t, e.Payload, r.Payload)
	require.Equal(t, e.Carried, r.Carried)
	require.Equal(t, e.Reason, r.Reason)
	require.Equal(t, e.Note, r.LastError)
	require.Equal(t, e.Priority, r.Priority)
	require.Equal(t, async.Leased, r.State)
	require.Equal(t, 1, r.Attempts)
	require.Equal(t, "w", r.Owner)
	require.Greater(t, r.Left, long/2)
	require.LessOrEqual(t, r.Left, long)
	require.GreaterOrEqual(t, r.Age, time.Duration(0))
}

func keyOnce(t *testing.T, f fixture) {
	require.False(t, f.put(entry("a"))[0].Duplicate)
	require.Equal(t, async.Stored{Duplicate: true, State: async.Queued}, f.put(entry("a"))[0])
	r := f.claimOne(long)
	f.write(change(r, async.Leased, async.Submitted))
	f.write(change(r, async.Submitted, async.Delivered))
	require.Equal(t, async.Stored{Duplicate: true, State: async.Delivered}, f.put(entry("a"))[0], "known after its end")

	var wins sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			stored, err := f.store.Put(f.ctx, []async.Entry{entry("raced")})
			if err == nil && !stored[0].Duplicate {
				wins.Store(i, true)
			}
		})
	}
	wg.Wait()
	n := 0
	wins.Range(func(any, any) bool { n++; return true })
	require.Equal(t, 1, n)
}

func keysExact(t *testing.T, f fixture) {
	for _, key := range []string{"key", "KEY", "key ", "k\u00e9y", "ke\u0301y"} {
		require.False(t, f.put(entry(key))[0].Duplicate, "%q", key)
	}
	require.Len(t, f.claim(claimOf(10, long)), 5)
}

func duplicateAmongOthers(t *testing.T, f fixture) {
	f.put(entry("b"))
	stored := f.put(entry("a"), entry("b"), entry("c"), entry("c"))
	require.Equal(t, []bool{false, true, false, true}, []bool{stored[0].Duplicate, stored[1].Duplicate, stored[2].Duplicate, stored[3].Duplicate})
	require.Len(t, f.claim(claimOf(10, long)), 3)
}

func queuesApart(t *testing.T, f fixture) {
	other := entry("a")
	other.Queue = "other"
	f.put(entry("a"), other)
	require.Len(t, f.claim(claimOf(10, long)), 1)
	require.Empty(t, f.claim(claimOf(10, long)))
}

func prioritised(f fixture) {
	for i, p := range []async.Priority{async.Low, async.Normal, async.High, async.Normal} {
		e := entry(fmt.Sprint(i))
		e.Priority = p
		f.put(e)
	}
}

func order(t *testing.T, f fixture) {
	prioritised(f)
	require.Equal(t, []string{"2", "1"}, keys(f.claim(claimOf(2, long))))
	require.Equal(t, []string{"3", "0"}, keys(f.claim(claimOf(9, long))))
}

func lowFirst(t *testing.T, f fixture) {
	prioritised(f)
	c := claimOf(2, long)
	c.LowFirst = true
	require.Equal(t, []string{"0", "1"}, keys(f.claim(c)))
}

func newestFirst(t *testing.T, f fixture) {
	f.put(entry("a"))
	f.put(entry("b"))
	f.put(entry("c"))
	c := claimOf(2, long)
	c.Newest = true
	require.Equal(t, []string{"c", "b"}, keys(f.claim(c)))
}

func neverDue(_ *testing.T, f fixture) {
	e := entry("a")
	e.Delay = -1
	f.put(e)
	stats, err := f.store.Stats(f.ctx, queue, 10)
	require.NoError(f, err)
	require.EqualValues(f, 1, stats.Depth[async.Queued])
	require.Zero(f, stats.Oldest)
}

func notDue(t *testing.T, f fixture) {
	later, parked := entry("later"), entry("parked")
	later.Delay, parked.Delay = long, -1
	f.put(later, parked)
	require.Empty(t, f.claim(claimOf(9, long)))
	require.Greater(t, f.row("later").Due, long/2)
	require.Greater(t, f.row("parked").Due, 24*time.Hour)
}

func claimsDisjoint(t *testing.T, f fixture) {
	const rows, workers = 160, 16
	for i := range rows {
		f.put(entry(fmt.Sprint(i)))
	}
	var mu sync.Mutex
	var all []string
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				got, err := f.store.Claim(f.ctx, claimOf(4, long))
				mu.Lock()
				all = append(all, keys(got)...)
				n := len(all)
				mu.Unlock()
				if err != nil || n >= rows {
					return
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(all)
	require.Len(t, all, rows)
	require.Len(t, slices.Compact(all), rows, "a row was claimed twice")
}

func fencing(t *testing.T, f fixture) {
	f.put(entry("a"))
	first := f.claimOne(short)
	f.swept(sweepOf(), "a", async.Queued)
	require.ErrorIs(t, f.write(change(first, async.Leased, async.Submitted))[0], async.ErrLost)
	second := f.claimOne(long)
	require.Greater(t, second.Token, first.Token)
	require.ErrorIs(t, f.write(change(first, async.Leased, async.Submitted))[0], async.ErrLost, "same state, older token")
	require.NoError(t, f.write(change(second, async.Leased, async.Submitted))[0])
	require.ErrorIs(t, f.write(change(first, async.Submitted, async.Delivered))[0], async.ErrLost)
	require.NoError(t, f.write(change(second, async.Submitted, async.Delivered))[0])
	require.ErrorIs(t, f.write(change(second, async.Submitted, async.Dead))[0], async.ErrLost, "the end is the end")
	require.Equal(t, async.Delivered, f.row("a").State)
}

func lateSubmit(t *testing.T, f fixture) {
	f.put(entry("a"))
	r := f.claimOne(short)
	claimed := f.row("a").Age // by the store's clock, and no sooner than the claim
	require.Eventually(t, func() bool { return f.row("a").Age > claimed+2*short }, 30*time.Second, time.Millisecond)
	require.ErrorIs(t, f.write(change(r, async.Leased, async.Submitted))[0], async.ErrLost)
	require.Equal(t, async.Leased, f.row("a").State, "nobody swept it, and yet its lease was over")
}

func oneRefused(t *testing.T, f fixture) {
	f.put(entry("a"), entry("b"), entry("c"))
	rows := f.claim(claimOf(3, long))
	changes := []async.Change{
		change(rows[0], async.Leased, async.Submitted), change(rows[1], async.Leased, async.Submitted), change(rows[2], async.Leased, async.Submitted),
	}
	changes[1].Token++
	answers := f.write(changes...)
	require.NoError(t, answers[0])
	require.ErrorIs(t, answers[1], async.ErrLost)
	require.NoError(t, answers[2])
	require.Equal(t, async.Leased, f.row(rows[1].Key).State)
	require.Equal(t, async.Submitted, f.row(rows[2].Key).State)
}

func expiryAtSubmit(t *testing.T, f fixture) {
	e := entry("a")
	e.NotAfter = 300 * time.Millisecond
	f.put(e, entry("b"))
	rows := f.claim(claimOf(2, long))
	if len(rows) < 2 {
		t.Skip("too slow a machine: expired before it was claimed")
	}
	require.Eventually(t, func() bool { return f.row("a").Left < 0 }, 30*time.Second, 5*time.Millisecond)
	answers := f.write(change(rows[0], async.Leased, async.Submitted), change(rows[1], async.Leased, async.Submitted))
	require.ErrorIs(t, answers[0], async.ErrExpired)
	require.NoError(t, answers[1])
	require.Equal(t, async.Expired, f.row("a").State)
}

func expirySwept(t *testing.T, f fixture) {
	e := entry("a")
	e.NotAfter = time.Microsecond
	f.put(e)
	require.Equal(t, int64(1), f.swept(sweepOf(), "a", async.Expired).Expired)
	require.Empty(t, f.claim(claimOf(1, long)))
	n, err := f.store.Requeue(f.ctx, async.Filter{Queue: queue, States: []async.State{async.Expired}})
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	require.Zero(t, f.claimOne(long).Left, "an operator's word: for ever")
}
