package outbox_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax/outbox"
)

// fill stores n events of as many aggregates, in one transaction.
func fill(t testing.TB, db *gorm.DB, from, n int) {
	t.Helper()
	require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
		for i := range n {
			if err := outbox.Add(tx, "paid", fmt.Sprint(from+i), Paid{from + i}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// claims remembers the statements that look for rows.
type claims struct {
	mu  sync.Mutex
	all []statement
}

type statement struct {
	text string
	vars []any
}

func (c *claims) install(t testing.TB, db *gorm.DB) {
	require.NoError(t, db.Callback().Row().After("gorm:row").Register("test:claims", func(tx *gorm.DB) {
		if text := tx.Statement.SQL.String(); strings.Contains(text, "CROSS JOIN LATERAL") {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.all = append(c.all, statement{text, append([]any(nil), tx.Statement.Vars...)})
		}
	}))
}

// zeros are marks that are all at the beginning.
var zeros = regexp.MustCompile(`^\{0(,0)*\}$`)

// next returns the next claim that begins at marks, or at the beginning.
func (c *claims) next(t testing.TB, whole bool) (found statement) {
	c.mu.Lock()
	c.all = nil
	c.mu.Unlock()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range c.all {
			if len(s.vars) > 1 && zeros.MatchString(s.vars[1].(string)) == whole {
				found = s
				return true
			}
		}
		return false
	}, long, soon)
	return found
}

var buffers = regexp.MustCompile(`shared hit=(\d+)`)

// pages is how many pages a statement touches.
func pages(t testing.TB, db *gorm.DB, s statement) int {
	t.Helper()
	conns, err := db.DB()
	require.NoError(t, err)
	rows, err := conns.QueryContext(t.Context(), "EXPLAIN (ANALYZE, BUFFERS) "+s.text, s.vars...)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		if m := buffers.FindStringSubmatch(line); m != nil { // the first is of the whole plan
			n, err := strconv.Atoi(m[1])
			require.NoError(t, err)
			return n
		}
	}
	require.Fail(t, "no buffers in the plan")
	return 0
}

// While somebody holds an old snapshot, published rows stay where they were. A claim
// does not step over them: the same one from the beginning touches far more pages.
func TestAHeldSnapshotDoesNotSlowClaims(t *testing.T) {
	db := testenv.Postgres(t)
	install(t, db, outbox.Settings{})
	conns, err := db.DB()
	require.NoError(t, err)
	holder, err := conns.Conn(t.Context())
	require.NoError(t, err)
	for _, text := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT COUNT(*) FROM outbox_events"} {
		_, err = holder.ExecContext(t.Context(), text)
		require.NoError(t, err)
	}
	defer func() {
		_, _ = holder.ExecContext(context.Background(), "ROLLBACK")
		_ = holder.Close()
	}()
	var looks claims
	looks.install(t, db)
	cfg := quick()
	cfg.SweepEvery = 300 * time.Millisecond
	start(t, db, &broker{}, cfg)
	total := testenv.Scale(10_000, 500_000)
	for n := 0; n < total; n += 500 {
		fill(t, db, n, 500)
	}
	empties(t, db)
	for range 3 {
		fill(t, db, total, 500) // moves the marks of all buckets, sweep by sweep
		empties(t, db)
		looks.next(t, true)
	}
	at := looks.next(t, false)
	least := pages(t, db, at)
	whole := at
	whole.vars = append([]any(nil), at.vars...)
	whole.vars[1] = regexp.MustCompile(`\d+`).ReplaceAllString(at.vars[1].(string), "0")
	most := pages(t, db, whole)
	t.Logf("after %d rows that a snapshot keeps, a claim touches %d pages, and %d from the beginning", total, least, most)
	require.Less(t, 4*least, most)
}
