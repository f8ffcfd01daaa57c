package gormstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/failover/async/asynctest"
	"github.com/bulwark-go/bulwark/failover/async/gormstore"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

func TestSuite(t *testing.T) { suite(t) }

func TestSuiteByCompareAndSet(t *testing.T) { suite(t, gormstore.WithCompareAndSet()) }

func suite(t *testing.T, opts ...gormstore.Option) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		n := 0
		asynctest.Test(t, func(t *testing.T) async.Store {
			n++
			return open(t, db, append(opts, gormstore.WithTable(fmt.Sprintf("r%d", n)))...)
		})
	})
}

func open(t testing.TB, db *gorm.DB, opts ...gormstore.Option) *gormstore.Store {
	t.Helper()
	s, err := gormstore.New(db, opts...)
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

func TestMigrateTwice(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		s := open(t, db)
		require.NoError(t, s.Migrate(t.Context()))
	})
}

func TestNewRefuses(t *testing.T) {
	_, err := gormstore.New(nil)
	require.ErrorContains(t, err, "db")
	_, err = gormstore.New(testenv.SQLite(t), gormstore.WithTable("a; DROP TABLE b"))
	require.ErrorContains(t, err, "table")
}

// What a claim reads does not grow with what has ended or is not due.
func TestClaimReadsAnIndexRange(t *testing.T) {
	db := testenv.SQLite(t)
	open(t, db)
	var plan []struct{ Detail string }
	require.NoError(t, db.Raw(`EXPLAIN QUERY PLAN SELECT id FROM async_requests
		WHERE queue = 'q' AND state = 0 AND priority = 0 AND due >= 1 AND due <= 5 ORDER BY due, id LIMIT 10`).Scan(&plan).Error)
	require.Len(t, plan, 1, "no sorting step: %v", plan)
	require.True(t, strings.Contains(plan[0].Detail, "async_requests_due (queue=? AND state=? AND priority=? AND due>? AND due<?)"), plan[0].Detail)
}

// Sweeps go by the index of ends; claims cannot, even where they have no other, so that
// no planner's estimate takes them past what a mark spares.
func TestOnlySweepsGoByTheIndexOfEnds(t *testing.T) {
	for name, database := range map[string]func(testing.TB) *gorm.DB{"sqlite": testenv.SQLite, "postgres": testenv.Postgres} {
		t.Run(name, func(t *testing.T) {
			db := database(t)
			open(t, db)
			explain := "EXPLAIN QUERY PLAN "
			if name == "postgres" {
				explain = "EXPLAIN "
				conns, err := db.DB()
				require.NoError(t, err)
				conns.SetMaxOpenConns(1)
				require.NoError(t, db.Exec("SET enable_seqscan = off").Error)
			}
			for _, index := range []string{"due", "key"} {
				require.NoError(t, db.Exec("DROP INDEX async_requests_"+index).Error)
			}
			const from = "SELECT id FROM async_requests WHERE queue = 'q' AND state = 0 AND "
			require.NotContains(t, plan(t, db, explain+from+"priority = 0 AND due >= 1 AND due <= 5 AND not_after > 5 ORDER BY due, id LIMIT 10"), "async_requests_ends")
			require.Contains(t, plan(t, db, explain+from+"ends <= 5 AND ends < 4611686018427387904 ORDER BY id LIMIT 10"), "async_requests_ends")
		})
	}
}

// plan is what a database answers to EXPLAIN, of which the last column tells.
func plan(t *testing.T, db *gorm.DB, explain string) string {
	t.Helper()
	rows, err := db.Raw(explain).Rows()
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var all strings.Builder
	for rows.Next() {
		into := make([]any, len(columns))
		for i := range into {
			into[i] = new(any)
		}
		require.NoError(t, rows.Scan(into...))
		fmt.Fprintln(&all, *into[len(into)-1].(*any))
	}
	require.NoError(t, rows.Err())
	return all.String()
}

func ExampleNew() {
	db := exampleDB()
	store, err := gormstore.New(db, gormstore.WithTable("sms_later"))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := store.Migrate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	stored, err := store.Put(ctx, []async.Entry{{Queue: "sms", Key: "order-1", Payload: []byte("{}")}})
	fmt.Println(stored[0].Duplicate, stored[0].State, err)
	// Output: false queued <nil>
}

// The rows at the ends of ranges are nobody's: no figure counts them, no list shows them,
// and no operator reaches them.
func TestTheStoresOwnRowsAreNotShown(t *testing.T) {
	db := testenv.MySQL(t)
	s := open(t, db)
	_, err := s.Claim(t.Context(), async.Claim{Queue: "q", Owner: "w", From: async.Queued, Most: 10, Lease: time.Hour})
	require.NoError(t, err)
	var there int64
	require.NoError(t, db.Raw("SELECT COUNT(*) FROM async_requests").Scan(&there).Error)
	require.EqualValues(t, 6, there)
	stats, err := s.Stats(t.Context(), "q", 1000)
	require.NoError(t, err)
	require.Equal(t, async.Stats{}, stats)
	rows, err := s.List(t.Context(), async.Filter{Queue: "q"})
	require.NoError(t, err)
	require.Empty(t, rows)
	for _, change := range []func(context.Context, async.Filter) (int64, error){s.Requeue, s.Purge} {
		n, err := change(t.Context(), async.Filter{Queue: "q", States: async.States()})
		require.NoError(t, err)
		require.Zero(t, n)
	}
	_, err = s.Put(t.Context(), []async.Entry{{Queue: "q", Key: "\x00end of queued 0"}})
	require.Error(t, err, "nobody's key")
}
