package gormstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/failover/async/gormstore"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// held is how many rows are finished while somebody holds an old snapshot, as a backup
// or a forgotten transaction does.
const held = 20_000

// batch is how many rows a claim asks for, and together how many are stored by one
// statement.
const (
	batch    = 50
	together = 500
)

// work stores, claims and finishes rows.
type work struct {
	t      *testing.T
	store  *gormstore.Store
	number int
}

// put stores n rows.
func (w *work) put(n int) {
	w.t.Helper()
	for n > 0 {
		var entries []async.Entry
		for range min(n, together) {
			w.number++
			entries = append(entries, async.Entry{Queue: "q", Key: strconv.Itoa(w.number), Payload: []byte("{}")})
		}
		_, err := w.store.Put(w.t.Context(), entries)
		require.NoError(w.t, err)
		n -= len(entries)
	}
}

func (w *work) claim(n int) []async.Row {
	w.t.Helper()
	rows, err := w.store.Claim(w.t.Context(), async.Claim{Queue: "q", Owner: "w", From: async.Queued, Most: max(n, 1), Lease: time.Hour})
	require.NoError(w.t, err)
	require.Len(w.t, rows, n)
	return rows
}

func (w *work) finish(rows []async.Row) {
	w.t.Helper()
	var changes []async.Change
	for _, r := range rows {
		changes = append(changes, async.Change{ID: r.ID, Token: r.Token, From: async.Leased, To: async.Delivered})
	}
	answers, err := w.store.Write(w.t.Context(), changes)
	require.NoError(w.t, err)
	for _, refused := range answers {
		require.NoError(w.t, refused)
	}
}

// What a claim reads must not grow with what was finished since a snapshot was taken.
// What is counted are index entries, dead ones among them.
func TestAHeldSnapshotDoesNotSlowClaimsOnPostgres(t *testing.T) {
	db := testenv.Postgres(t)
	conns, err := db.DB()
	require.NoError(t, err)
	conns.SetMaxOpenConns(2) // the one that holds, and the one whose reads are counted
	w := &work{t: t, store: open(t, db)}
	hold(t, db, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	read := func() (n int64) {
		require.NoError(t, db.Exec("SELECT pg_stat_force_next_flush()").Error)
		require.NoError(t, db.Raw(`SELECT (SELECT SUM(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = current_schema() AND relname = 'async_requests')
			+ (SELECT seq_tup_read FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname = 'async_requests')`).Scan(&n).Error)
		return n
	}
	for n := range held / together {
		w.put(together)
		w.finish(w.claim(together))
		if n%10 == 0 {
			require.NoError(t, db.Exec("ANALYZE async_requests").Error) // as the server does by itself
		}
	}
	w.put(20 * batch)
	require.NoError(t, db.Exec("ANALYZE async_requests").Error)
	var entries []int64
	for range 20 {
		before := read()
		rows := w.claim(batch)
		entries = append(entries, read()-before)
		w.finish(rows)
	}
	bounded(t, entries, 3*batch+together)
}

// bounded holds claims to what they claim, in three places, and what was stored by the
// same statement, whose due times are the same. Most claims: now and then one begins at
// the beginning.
func bounded(t *testing.T, each []int64, most int) {
	t.Helper()
	middle := slices.Sorted(slices.Values(each))[len(each)/2]
	t.Logf("claims of %d, after %d rows that a snapshot keeps, read %v", batch, held, each)
	require.LessOrEqual(t, middle, int64(most))
}

// MariaDB tells for a statement how many pages it touched. Priorities that have no rows,
// and a queue that has none left, cost nothing: their ranges end where they begin.
func TestAHeldSnapshotDoesNotSlowClaimsOnMariaDB(t *testing.T) {
	db := testenv.MySQL(t)
	var version string
	require.NoError(t, db.Raw("SELECT VERSION()").Scan(&version).Error)
	if !strings.Contains(version, "MariaDB") {
		t.Skip("MySQL does not tell the pages of a statement")
	}
	w := &work{t: t, store: open(t, db)}
	hold(t, db, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
	for range held / together {
		w.put(together)
		w.finish(w.claim(together))
	}
	require.NoError(t, db.Exec("ANALYZE TABLE async_requests").Error)
	w.put(20 * batch)
	pages := map[async.Priority][]int64{}
	accessed := regexp.MustCompile(`"pages_accessed": (\d+)`)
	require.NoError(t, db.Callback().Row().Before("gorm:row").Register("analyze", func(tx *gorm.DB) {
		text := tx.Statement.SQL.String()
		if !strings.Contains(text, "SKIP LOCKED") {
			return
		}
		var plan string
		require.NoError(t, tx.Statement.ConnPool.QueryRowContext(t.Context(), "ANALYZE FORMAT=JSON "+text, tx.Statement.Vars...).Scan(&plan))
		var sum int64
		for _, m := range accessed.FindAllStringSubmatch(plan, -1) {
			n, err := strconv.ParseInt(m[1], 10, 64)
			require.NoError(t, err)
			sum += n
		}
		for _, p := range async.Priorities() {
			if slices.Contains(tx.Statement.Vars, any(p)) {
				pages[p] = append(pages[p], sum)
			}
		}
	}))
	for range 20 {
		w.finish(w.claim(batch))
	}
	require.NotEmpty(t, pages[async.Normal])
	bounded(t, pages[async.Normal], 2*(3*batch+together)) // one of the index and one of the table
	// What was claimed last is below the mark until a claim begins at the beginning.
	require.Empty(t, w.claim(0))
	clear(pages)
	for range 9 {
		require.Empty(t, w.claim(0))
	}
	for _, p := range async.Priorities() {
		require.NotEmpty(t, pages[p])
		bounded(t, pages[p], 2*(3*batch+together))
	}
}

// hold begins a transaction that sees the database as it is now, until the test ends.
func hold(t *testing.T, db *gorm.DB, begin string) {
	t.Helper()
	conns, err := db.DB()
	require.NoError(t, err)
	conn, err := conns.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { release(t, conn) })
	for _, statement := range []string{begin, "SELECT COUNT(*) FROM async_requests"} {
		_, err = conn.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
}

func release(t *testing.T, conn *sql.Conn) {
	_, err := conn.ExecContext(context.Background(), "ROLLBACK")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
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
			if len(rows) == 0 {
				return ""
			}
			return rows[0].Key
		}
		put("a")
		require.Equal(t, "a", claim())
		put("late")
		require.NoError(t, db.Exec("UPDATE async_requests SET due = due - 60000000 WHERE req_key = 'late'").Error)
		for n := range 3 {
			put(fmt.Sprint("b", n))
		}
		require.Eventually(t, func() bool { return claim() == "late" }, 30*time.Second, 50*time.Millisecond)
	})
}
