package gormstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// Somebody holds an old snapshot, as a backup or a forgotten transaction does: what a
// claim reads must not grow with what was delivered since.
func TestAHeldSnapshotDoesNotSlowClaims(t *testing.T) {
	db := testenv.Postgres(t)
	conns, err := db.DB()
	require.NoError(t, err)
	conns.SetMaxOpenConns(2) // the one that holds, and the one whose reads are counted
	s := open(t, db)
	release := hold(t, db)
	defer release()
	require.NoError(t, db.Exec("SET enable_seqscan = off").Error) // as with a table of some size
	read := func() (n int64) {                                    // entries of the index, dead ones among them
		require.NoError(t, db.Exec("SELECT pg_stat_force_next_flush()").Error)
		require.NoError(t, db.Raw("SELECT SUM(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'async_requests'").Scan(&n).Error)
		return n
	}
	deliver := func() (entries int64) {
		var batch []async.Entry
		for range 50 {
			number++
			batch = append(batch, async.Entry{Queue: "q", Key: fmt.Sprint(number), Payload: []byte("{}")})
		}
		_, err := s.Put(t.Context(), batch)
		require.NoError(t, err)
		before := read()
		rows, err := s.Claim(t.Context(), async.Claim{Queue: "q", Owner: "w", From: async.Queued, Most: 50, Lease: time.Hour})
		require.NoError(t, err)
		require.Len(t, rows, 50)
		entries = read() - before
		var changes []async.Change
		for _, r := range rows {
			changes = append(changes, async.Change{ID: r.ID, Token: r.Token, From: async.Leased, To: async.Dead})
		}
		_, err = s.Write(t.Context(), changes)
		require.NoError(t, err)
		return entries
	}
	var entries []int64
	batches := testenv.Scale(60, 400)
	for range batches {
		entries = append(entries, deliver())
	}
	last := slices.Sorted(slices.Values(entries[batches-9:]))[4] // now and then one begins at the beginning
	t.Logf("a claim of 50 reads %d entries at first, and %d after %d deliveries that a snapshot keeps", entries[1], last, 50*(batches-1))
	require.LessOrEqual(t, last, 2*entries[1])
}

// number names requests.
var number int

// hold begins a transaction that sees the database as it is now, until release.
func hold(t *testing.T, db *gorm.DB) (release func()) {
	t.Helper()
	conns, err := db.DB()
	require.NoError(t, err)
	conn, err := conns.Conn(t.Context())
	require.NoError(t, err)
	for _, statement := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT COUNT(*) FROM async_requests"} {
		_, err = conn.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	return func() {
		_, err := conn.ExecContext(context.Background(), "ROLLBACK")
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
}

// A row below the mark, as one that was committed late, waits a second longer at most.
func TestARowBelowTheMarkIsFound(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s := open(t, db)
		put := func(key string) {
			_, err := s.Put(t.Context(), []async.Entry{{Queue: "q", Key: key, Payload: []byte("{}")}})
			require.NoError(t, err)
		}
		claim := func() string {
			rows, err := s.Claim(t.Context(), async.Claim{Queue: "q", Owner: "w", From: async.Queued, Most: 1, Lease: time.Hour})
			require.NoError(t, err)
			var keys []string
			for _, r := range rows {
				keys = append(keys, r.Key)
			}
			return strings.Join(keys, " ")
		}
		put("a")
		require.Equal(t, "a", claim())
		put("late")
		require.NoError(t, db.Exec("UPDATE async_requests SET due = due - 60000000 WHERE req_key = 'late'").Error)
		put("b")
		require.Eventually(t, func() bool { return claim() == "late" }, 30*time.Second, 50*time.Millisecond)
	})
}
