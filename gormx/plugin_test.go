package gormx_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/bulwark-go/bulwark/gormx"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/observetest"
	"github.com/bulwark-go/bulwark/observe/otel"
	"github.com/bulwark-go/bulwark/observe/prom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"gorm.io/gorm"
)

// observed returns a database and what it reports from now on.
func observed(t *testing.T, cfg *gorm.Config, opts ...gormx.Option) (*gorm.DB, *observetest.Recorder) {
	t.Helper()
	db := openDB(t, cfg)
	rec := observetest.NewRecorder(t)
	require.NoError(t, db.Use(gormx.Observe(rec, opts...)))
	return db, rec
}

// told lists what was reported, as "operation table outcome rows".
func told(rec *observetest.Recorder) (lines []string) {
	for _, r := range rec.Ended("gorm", "operation") {
		lines = append(lines, fmt.Sprint(r.Label("operation"), " ", r.Label("table"), " ", r.Outcome, " ", r.Amount))
	}
	return lines
}

func TestEveryOperationIsReported(t *testing.T) {
	db, rec := observed(t, &gorm.Config{}, gormx.WithName("library"))
	for _, c := range []struct {
		name string
		run  func() error
		want string
	}{
		{"create", func() error { return db.Create(&[]author{{Name: "a", Email: "a@x"}, {Name: "b", Email: "b@x"}}).Error }, "create authors ok 2"},
		{"query", func() error { return db.Find(&[]author{}).Error }, "query authors ok 2"},
		{"count", func() error { var n int64; return db.Model(&author{}).Count(&n).Error }, "query authors ok 1"},
		{"update", func() error { return db.Model(&author{}).Where("name = ?", "a").Update("name", "c").Error }, "update authors ok 1"},
		{"delete", func() error { return db.Where("name = ?", "b").Delete(&author{}).Error }, "delete authors ok 1"},
		{"row", func() error { var n int; return db.Model(&author{}).Select("count(*)").Row().Scan(&n) }, "row authors ok -1"},
		{"rows", func() error {
			rows, err := db.Model(&author{}).Rows()
			if err != nil {
				return err
			}
			return rows.Close()
		}, "row authors ok -1"},
		{"raw", func() error { return db.Exec("UPDATE authors SET name = 'd'").Error }, "raw none ok 1"},
		{"raw query", func() error { var n int; return db.Raw("SELECT 1").Scan(&n).Error }, "row none ok -1"},
		{"table", func() error { return db.Table("authors").Select("name").Find(&[]string{}).Error }, "query authors ok 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec.Reset()
			require.NoError(t, c.run())
			require.Equal(t, []string{c.want}, told(rec))
			require.Equal(t, "library", rec.Only("gorm", "operation").Label("db"))
		})
	}
}

func TestOutcomesTellFailuresFromAnswers(t *testing.T) {
	db, rec := observed(t, &gorm.Config{TranslateError: true})
	require.NoError(t, db.Create(&author{Email: "a@x"}).Error)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, c := range []struct {
		name string
		run  func() error
		want string
	}{
		{"no row", func() error { return db.First(&author{}, 99).Error }, "query authors skipped -1"},
		{"duplicate", func() error { return db.Create(&author{Email: "a@x"}).Error }, "create authors skipped -1"},
		{"bad statement", func() error { return db.Exec("SELEC").Error }, "raw none failed -1"},
		{"bad row statement", func() error { return db.Raw("SELEC").Row().Err() }, "row none failed -1"},
		{"canceled", func() error { return db.WithContext(canceled).Find(&[]author{}).Error }, "query authors canceled -1"},
		{"deadline", func() error { return db.WithContext(late).Exec("SELECT 1").Error }, "raw none timeout -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec.Reset()
			require.Error(t, c.run())
			require.Equal(t, []string{c.want}, told(rec))
			require.Equal(t, "sqlite", rec.Only("gorm", "operation").Label("db"), "the dialector's name by default")
		})
	}
}

func TestDryRunsAndPreventedStatementsAreNotReported(t *testing.T) {
	db, rec := observed(t, &gorm.Config{})
	require.NoError(t, db.Session(&gorm.Session{DryRun: true}).Find(&[]author{}).Error)
	tx := db.Session(&gorm.Session{})
	_ = tx.AddError(gorm.ErrInvalidData)
	require.Error(t, tx.Find(&[]author{}).Error)
	require.Empty(t, rec.Records())
}

func TestAssociationsAndPreloadsAreReportedOnce(t *testing.T) {
	db, rec := observed(t, &gorm.Config{})
	require.NoError(t, db.Create(&author{Name: "a", Books: []book{{Title: "x"}, {Title: "y"}}}).Error)
	var got author
	require.NoError(t, db.Preload("Books").First(&got).Error)
	require.Len(t, got.Books, 2)
	require.Equal(t, []string{
		"create authors ok 1", "create books ok 2", "query authors ok 1", "query books ok 2",
	}, told(rec))
	for _, r := range rec.Records() {
		require.Equal(t, -1, r.Parent, "a finished statement is nobody's parent")
	}
}

// explosive is a parameter that panics, or leaves its goroutine, when its value is
// asked for.
type explosive struct{ leave func() }

func (e explosive) Value() (driver.Value, error) { e.leave(); return nil, nil }

func TestOperationEndsWhenTheStatementPanics(t *testing.T) {
	db, rec := observed(t, &gorm.Config{})
	for _, leave := range []func(){func() { panic("no") }, runtime.Goexit} {
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			db.Where("name = ?", explosive{leave}).Find(&[]author{})
		})
		wg.Wait()
	}
	require.Equal(t, []string{"query authors panicked -1", "query authors panicked -1"}, told(rec))
}

func TestStatementContextIsReplacedAndRestored(t *testing.T) {
	db, _ := observed(t, &gorm.Config{})
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "kept")
	var after context.Context
	require.NoError(t, db.Callback().Query().After("gorm:query").Register("test:after", func(db *gorm.DB) {
		after = db.Statement.Context
	}))
	require.NoError(t, db.WithContext(ctx).Find(&[]author{}).Error)
	require.Equal(t, ctx, after)
}

func TestStatementsAreSpansUnderTheCallersSpan(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	o, err := otel.New(provider, otel.WithErrorText(gormx.ErrorText))
	require.NoError(t, err)
	db := openDB(t, &gorm.Config{})
	require.NoError(t, db.Use(gormx.Observe(o)))

	ctx, root := provider.Tracer("test").Start(t.Context(), "request")
	chain := db.WithContext(ctx)
	require.NoError(t, chain.Find(&[]author{}).Error)
	require.NoError(t, chain.Find(&[]book{}).Error)
	root.End()

	ended := spans.Ended()
	require.Len(t, ended, 3)
	for _, span := range ended[:2] {
		require.Equal(t, "gorm operation", span.Name())
		require.Equal(t, root.SpanContext().SpanID(), span.Parent().SpanID(), "siblings, not nested")
	}
}

func TestMetricsByDatabaseOperationTableAndOutcome(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	o, err := prom.New(reg, prom.Config{Namespace: "app"})
	require.NoError(t, err)
	db := openDB(t, &gorm.Config{})
	require.NoError(t, db.Use(gormx.Observe(o, gormx.WithName("library"))))
	stats, err := db.DB()
	require.NoError(t, err)
	source, err := gormx.NewPoolStats("library", stats)
	require.NoError(t, err)
	require.NoError(t, o.Register(source))

	require.NoError(t, db.Find(&[]author{}).Error)
	require.Error(t, db.First(&author{}, 1).Error)
	n, err := testutil.GatherAndCount(reg, "app_gorm_operation_duration_seconds")
	require.NoError(t, err)
	require.Equal(t, 2, n, "one query that found rows, one that found none")
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP app_gorm_operation_in_flight SQL statements and transaction steps. Under way now.
		# TYPE app_gorm_operation_in_flight gauge
		app_gorm_operation_in_flight{db="library",operation="query",table="authors"} 0
		# HELP app_db_pool_connections Open connections.
		# TYPE app_db_pool_connections gauge
		app_db_pool_connections{db="library",state="idle"} 1
		app_db_pool_connections{db="library",state="in_use"} 0
	`), "app_gorm_operation_in_flight", "app_db_pool_connections"))
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestTableLabelIsBounded(t *testing.T) {
	db, rec := observed(t, &gorm.Config{}, gormx.WithMaxTables(2))
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { _ = db.Table(fmt.Sprintf("orders_%03d", i)).Find(&[]map[string]any{}).Error })
	}
	wg.Wait()
	_ = db.Table("authors; DROP TABLE x").Find(&[]map[string]any{}).Error
	labels := map[string]bool{}
	for _, r := range rec.Ended("gorm", "operation") {
		labels[r.Label("table")] = true
	}
	require.Len(t, labels, 4, "two tables and: %v", labels)
	require.True(t, labels["other"])
	require.True(t, labels["none"], "what gorm cannot parse")
}

func TestUseReportsBadOptionsAndASecondPlugin(t *testing.T) {
	db := openDB(t, &gorm.Config{})
	require.EqualError(t, db.Use(gormx.Observe(nil, gormx.WithMaxTables(0))), "gormx: WithMaxTables 0 is not positive")
	require.NoError(t, db.Use(gormx.Observe(nil)))
	require.ErrorIs(t, db.Use(gormx.Observe(nil)), gorm.ErrRegistered, "else every statement would count twice")
	require.NoError(t, db.Find(&[]author{}).Error, "a nil observer is Nop")
}

func TestOnePluginServesSeveralDatabases(t *testing.T) {
	rec := observetest.NewRecorder(t)
	plugin := gormx.Observe(rec)
	a, b := openDB(t, &gorm.Config{}), openDB(t, &gorm.Config{})
	require.NoError(t, a.Use(plugin))
	require.NoError(t, b.Use(plugin))
	require.NoError(t, a.Find(&[]author{}).Error)
	require.NoError(t, b.Find(&[]book{}).Error)
	require.Equal(t, []string{"query authors ok 0", "query books ok 0"}, told(rec))
}

func TestPoolStatsNeedAName(t *testing.T) {
	_, err := gormx.NewPoolStats("", nil)
	require.EqualError(t, err, "gormx: db is empty\ngormx: pool is nil")
}

func TestPoolStatsStopWhenAsked(t *testing.T) {
	pool, err := openDB(t, &gorm.Config{}).DB()
	require.NoError(t, err)
	source, err := gormx.NewPoolStats("library", pool)
	require.NoError(t, err)
	n := 0
	for r := range source.Readings() {
		require.NoError(t, r.Gauge.Validate())
		n++
	}
	require.Equal(t, 8, n)
	for range source.Readings() {
		break
	}
	var _ observe.Source = source
}
