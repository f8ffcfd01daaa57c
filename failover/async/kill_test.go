package async_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/failover/async/gormstore"
	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// envVictim holds a plan as JSON; with it the test binary is a worker process that
// kills itself.
const envVictim = "BULWARK_ASYNC_VICTIM"

// plan is what one worker process does.
type plan struct {
	Dialect, DSN string
	// Dir holds the files that survive: what callers were told, and what reached the
	// provider.
	Dir string
	// Step is where the process kills itself, at the At-th time; empty drains the
	// queue and ends.
	Step string
	At   int
	// Prefix makes keys unique; Feed is how many requests to accept.
	Prefix    string
	Feed      int
	Reconcile bool
}

// steps are the places to die at: between the parts of the pipeline, and before and
// after any statement that goes to the database.
var steps = []string{"accepting", "stored", "claimed", "submitted", "sent", "finished", "checked", "statement", "statement done"}

func TestKilledWorkersLoseAndDoubleNothing(t *testing.T) {
	each := func(t *testing.T, dialect string, dsn func(t *testing.T) string) {
		for _, reconcile := range []bool{true, false} {
			t.Run(map[bool]string{true: "reconciled", false: "parked"}[reconcile], func(t *testing.T) {
				killMany(t, plan{Dialect: dialect, DSN: dsn(t), Dir: t.TempDir(), Reconcile: reconcile}, testenv.Scale(10, 500))
			})
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		each(t, "sqlite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "kill.db") })
	})
	t.Run("mysql", func(t *testing.T) { each(t, "mysql", func(t *testing.T) string { return testenv.MySQLDSN(t) }) })
	t.Run("postgres", func(t *testing.T) { each(t, "postgres", func(t *testing.T) string { return testenv.PostgresDSN(t) }) })
}

// killMany keeps two workers at the queue, each killed at a step in turn, then lets
// one finish, and compares what was promised with what was done.
func killMany(t *testing.T, p plan, kills int) {
	store, closeDB := p.open()
	require.NoError(t, store.Migrate(t.Context()))
	defer closeDB()
	var mu sync.Mutex
	places := slices.DeleteFunc(slices.Clone(steps), func(s string) bool { return s == "checked" && !p.Reconcile })
	died, started, quiet := map[string]int{}, 0, 0
	total := func() (n int) {
		for _, v := range died {
			n += v
		}
		return n
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				mu.Lock()
				if total() >= kills || quiet > kills+50 {
					mu.Unlock()
					return
				}
				started++
				v := p
				v.Prefix, v.Feed = fmt.Sprint(started), 8
				v.Step, v.At = places[started%len(places)], 1+rand.IntN(5)
				if strings.HasPrefix(v.Step, "statement") {
					v.At = 1 + rand.IntN(40)
				}
				mu.Unlock()
				killed, output := v.run(t)
				mu.Lock()
				if killed {
					died[v.Step]++
				} else {
					quiet++ // its step did not come
				}
				mu.Unlock()
				if !killed && output != "" {
					t.Errorf("worker: %s", output)
					return
				}
			}
		})
	}
	wg.Wait()
	last := p
	killed, output := last.run(t)
	require.False(t, killed)
	require.Empty(t, output)

	told, reached := p.read("told"), p.read("reached")
	unknown, doubled := 0, 0
	rows := everything(t, store)
	for key := range told {
		row, ok := rows[key]
		require.True(t, ok, "%s was accepted and is gone", key)
		switch {
		case row.State == async.Delivered:
			require.Equal(t, 1, reached[key], "%s", key)
		case row.State == async.Unknown && !p.Reconcile:
			unknown++
		default:
			t.Errorf("%s was accepted and is %v: %s", key, row.State, row.LastError)
		}
	}
	for key, n := range reached {
		if n > 1 {
			doubled++
			t.Errorf("%s reached the provider %d times", key, n)
		}
	}
	require.GreaterOrEqual(t, total(), kills)
	t.Logf("%d kills in %d processes, by step %v: %d accepted, 0 lost, %d doubled, %d unknown and parked",
		total(), started, died, len(told), doubled, unknown)
}

func everything(t *testing.T, s async.Store) map[string]async.Row {
	all, after := map[string]async.Row{}, int64(0)
	for {
		rows, err := s.List(t.Context(), async.Filter{Queue: "kill", After: after, Most: 500})
		require.NoError(t, err)
		if len(rows) == 0 {
			return all
		}
		for _, r := range rows {
			all[r.Key], after = r, r.ID
		}
	}
}

// run runs a worker process, and tells whether it was killed, or what it complained
// of.
func (p plan) run(t *testing.T) (killed bool, output string) {
	text, err := json.Marshal(p)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envVictim+"="+string(text))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true, ""
		}
	}
	if err != nil {
		return false, err.Error() + ": " + out.String()
	}
	return false, ""
}

// read counts the lines of a file.
func (p plan) read(name string) map[string]int {
	lines := map[string]int{}
	content, _ := os.ReadFile(filepath.Join(p.Dir, name))
	for line := range strings.Lines(string(content)) {
		lines[strings.TrimSpace(line)]++
	}
	return lines
}

// note appends a line with one write, which outlives the process.
func (p plan) note(name, line string) error {
	f, err := os.OpenFile(filepath.Join(p.Dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

func (p plan) open() (*gormstore.Store, func()) {
	db, closeDB := p.openDB()
	store, err := gormstore.New(db)
	must(err)
	return store, closeDB
}

func (p plan) openDB() (*gorm.DB, func()) {
	if p.Dialect == "sqlite" {
		s, err := embedded.OpenSQLite(embedded.SQLiteConfig{Path: p.DSN, BusyTimeout: 30 * time.Second})
		must(err)
		return s.DB(), func() { must(s.Close()) }
	}
	dialector := mysql.Open(p.DSN)
	if p.Dialect == "postgres" {
		dialector = postgres.Open(p.DSN)
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	must(err)
	conns, err := db.DB()
	must(err)
	conns.SetMaxOpenConns(6)
	return db, func() { must(conns.Close()) }
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// victim is the worker process.
func victim() {
	var p plan
	must(json.Unmarshal([]byte(os.Getenv(envVictim)), &p))
	var mu sync.Mutex
	passed := 0
	reach := func(step string) {
		mu.Lock()
		defer mu.Unlock()
		if step != p.Step {
			return
		}
		if passed++; passed == p.At {
			must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
			select {} // until the signal is there
		}
	}
	db, closeDB := p.openDB()
	before, after := func(*gorm.DB) { reach("statement") }, func(*gorm.DB) { reach("statement done") }
	for _, processor := range []interface {
		Register(string, func(*gorm.DB)) error
	}{db.Callback().Raw().Before("gorm:raw"), db.Callback().Query().Before("gorm:query")} {
		must(processor.Register("kill:before", before))
	}
	must(db.Callback().Raw().After("gorm:raw").Register("kill:after", after))
	must(db.Callback().Query().After("gorm:query").Register("kill:after", after))
	store, err := gormstore.New(db)
	must(err)
	p.work(store, reach)
	closeDB()
}

func (p plan) work(store async.Store, reach func(string)) {
	send := func(ctx context.Context, key string) error { return p.note("reached", key) }
	opts := []async.Option{
		async.WithHook(reach), async.WithTerms(func(key string) async.Terms { return async.Terms{Key: key} }),
	}
	if p.Reconcile {
		opts = append(opts, async.WithReconciler(func(_ context.Context, key string) (async.Verdict, error) {
			if p.read("reached")[key] > 0 {
				return async.Succeeded, nil
			}
			return async.Failed, nil
		}))
	}
	r, err := async.New(store, send, async.Config{
		Name: "kill", Mode: async.AlwaysLater, Workers: 4, Poll: 5 * time.Millisecond, Backoff: time.Millisecond,
		SendTimeout: time.Second, CheckAfter: time.Second, Lease: 1500 * time.Millisecond,
		SweepEvery: 100 * time.Millisecond, StatsEvery: time.Second, StoreTimeout: 30 * time.Second,
		Retain: -1, Retries: 1000, Checks: 1000,
	}, opts...)
	must(err)
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Second)
	if p.Step == "" {
		ctx, stop = context.WithTimeout(context.Background(), 5*time.Minute)
	}
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { must(r.Run(ctx)) })
	for i := range p.Feed {
		key := p.Prefix + "-" + fmt.Sprint(i)
		if out, err := r.Do(ctx, key); err == nil && out.Status == async.Accepted {
			must(p.note("told", key))
		}
	}
	if p.Step == "" {
		p.drained(ctx, r, stop)
	}
	wg.Wait()
}

// drained waits until no request can move any more, then stops the worker.
func (p plan) drained(ctx context.Context, r *async.Rescued[string], stop func()) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		s, err := r.Stats(ctx)
		must(err)
		left := s.Backlog()
		if !p.Reconcile {
			left -= s.Depth[async.Unknown]
		}
		if left == 0 {
			stop()
		}
	}
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.Canceled) {
		panic("not drained in time: " + fmt.Sprint(slices.Collect(maps.Keys(p.read("told")))))
	}
}
