package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax/outbox"
)

// envVictim holds a plan as JSON; with it the test binary is a process that adds and
// relays, and kills itself.
const envVictim = "BULWARK_OUTBOX_VICTIM"

// plan is what one process does.
type plan struct {
	Dialect, DSN string
	// Dir holds the files that survive: what was committed, and what was published.
	Dir string
	// Step is where the process kills itself, at the At-th time; empty publishes what
	// there is and ends.
	Step string
	At   int
	// Prefix makes keys unique, and names the session; Feed is how many events to add.
	Prefix string
	Feed   int
	Lease  time.Duration
}

// steps are the places to die at, and whether anything can be acknowledged and not
// deleted there: where nothing can, nothing is published twice.
var steps = []struct {
	name    string
	repeats bool
}{
	{"adding", true},    // added, not committed; the relay is anywhere
	{"claimed", false},  // nothing of the batch sent
	{"sending", true},   // given to the publisher, with a round before it acknowledged
	{"sent", true},      // acknowledged, and the relay does not know
	{"published", true}, // acknowledged, and not deleted
	{"settled", false},  // deleted
	{"renewed", true},   // anywhere
	{"statement", true}, // before a statement, any
	{"statement done", true},
}

func TestKilledRelaysLoseNothing(t *testing.T) {
	each := func(t *testing.T, dialect string, dsn func(t *testing.T) string) {
		t.Run(dialect, func(t *testing.T) {
			for _, step := range steps {
				t.Run(step.name, func(t *testing.T) {
					p := plan{Dialect: dialect, DSN: dsn(t), Dir: t.TempDir(), Step: step.name}
					p.killMany(t, testenv.Scale(4, 1000), step.repeats)
				})
			}
		})
	}
	each(t, "sqlite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "kill.db") })
	if os.Getenv(testenv.EnvMySQL) != "" {
		each(t, "mysql", func(t *testing.T) string { return testenv.MySQLDSN(t) })
	}
	if os.Getenv(testenv.EnvPostgres) != "" {
		each(t, "postgres", func(t *testing.T) string { return testenv.PostgresDSN(t) })
	}
}

// killMany keeps two processes at the outbox until so many were killed at the step,
// lets one finish, and compares what was committed with what was published.
func (p plan) killMany(t *testing.T, kills int, repeats bool) {
	db, closeDB := p.open()
	defer closeDB()
	require.NoError(t, outbox.Migrate(t.Context(), db))
	var died, quiet, started atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for died.Load() < int64(kills) && quiet.Load() <= int64(4*kills+20) {
				v := p
				v.Prefix, v.Feed, v.At = fmt.Sprint("p", started.Add(1)), 8, 1+rand.IntN(3)
				v.Lease = time.Minute
				switch {
				case strings.HasPrefix(v.Step, "statement"):
					v.At = 1 + rand.IntN(40)
				case v.Step == "claimed" || v.Step == "settled":
					v.At = 1 // there may be no second batch
				}
				if v.Step == "renewed" {
					v.Lease = 300 * time.Millisecond
				}
				killed, output := v.run(t)
				if output != "" {
					t.Errorf("process: %s", output)
					return
				}
				if !killed {
					quiet.Add(1) // its step did not come
					continue
				}
				died.Add(1)
				// What else would come after a minute.
				if err := db.Exec("UPDATE outbox_events_sessions SET lease_until = 0 WHERE name = ?", v.Prefix).Error; err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	last := p
	last.Step, last.Prefix, last.Lease = "", "last", time.Minute
	killed, output := last.run(t)
	require.False(t, killed)
	require.Empty(t, output)
	require.GreaterOrEqual(t, died.Load(), int64(kills), "%d quiet", quiet.Load())
	doubled, inversions := p.check(t)
	if !repeats {
		require.Zero(t, doubled)
	}
	t.Logf("%s, %s: %d kills in %d processes: 0 lost, 0 ghosts, %d doubled with the same id, %d inversions",
		p.Dialect, p.Step, died.Load(), started.Load(), doubled, inversions)
}

// check holds what was published against what was committed: all of it, nothing else,
// and for each key one after the other, where only repetitions go back. What a relay
// has deleted is not repeated, and what is repeated has the same id.
func (p plan) check(t *testing.T) (doubled, inversions int) {
	ids, highest := map[string]string{}, map[string]int{}
	deleted, open := map[string]bool{}, map[string][]string{} // by the process that published
	for _, line := range p.read("published") {
		var process, key, id string
		var n int
		_, err := fmt.Sscan(line, &process, &key, &n, &id)
		require.NoError(t, err)
		if key == "settled" {
			for _, event := range open[process] {
				deleted[event] = true
			}
			open[process] = nil
			continue
		}
		event := fmt.Sprint(key, " ", n)
		open[process] = append(open[process], event)
		require.False(t, deleted[event], "%s was deleted and published again", event)
		if ids[event] != "" {
			doubled++
			require.Equal(t, ids[event], id, "%s was published twice with two ids", event)
		}
		ids[event] = id
		if n > highest[key]+1 {
			inversions++
			t.Errorf("%s: %d was published before %d", key, n, highest[key]+1)
		}
		highest[key] = max(highest[key], n)
		require.NotContains(t, key, "ghost")
	}
	committed := p.read("committed")
	for _, event := range committed {
		require.NotEmpty(t, ids[event], "%s was committed and is lost", event)
	}
	require.NotEmpty(t, committed)
	return doubled, inversions
}

// run runs a process, and tells whether it was killed, or what it complained of.
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

// read returns the lines of a file.
func (p plan) read(name string) []string {
	content, _ := os.ReadFile(filepath.Join(p.Dir, name))
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
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

func (p plan) open() (*gorm.DB, func()) {
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

// victim is the process.
func victim() {
	var p plan
	must(json.Unmarshal([]byte(os.Getenv(envVictim)), &p))
	var passed atomic.Int64
	reach := func(step string) {
		if step == p.Step && passed.Add(1) == int64(p.At) {
			must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
			select {} // until the signal is there
		}
	}
	db, closeDB := p.open()
	plugin, err := outbox.NewPlugin(outbox.Settings{})
	must(err)
	must(db.Use(plugin))
	for _, processor := range []interface {
		Register(string, func(*gorm.DB)) error
	}{db.Callback().Raw().Before("gorm:raw"), db.Callback().Row().Before("gorm:row"), db.Callback().Query().Before("gorm:query")} {
		must(processor.Register("kill:before", func(*gorm.DB) { reach("statement") }))
	}
	for _, processor := range []interface {
		Register(string, func(*gorm.DB)) error
	}{db.Callback().Raw().After("gorm:raw"), db.Callback().Row().After("gorm:row"), db.Callback().Query().After("gorm:query")} {
		must(processor.Register("kill:after", func(*gorm.DB) { reach("statement done") }))
	}
	p.work(db, reach)
	closeDB()
}

func (p plan) work(db *gorm.DB, reach func(string)) {
	publish := func(_ context.Context, messages []outbox.Message) []error {
		reach("sending")
		for _, m := range messages {
			must(p.note("published", fmt.Sprint(p.Prefix, " ", m.Key, " ", string(m.Payload), " ", m.ID)))
		}
		reach("sent")
		return nil
	}
	hook := func(step string) {
		if step == "settled" {
			must(p.note("published", p.Prefix+" settled 0 -"))
		}
		reach(step)
	}
	r, err := outbox.NewRelay(db, outbox.PublisherFunc(publish), outbox.Config{
		Workers: 1, // so that the steps of one batch are all there is
		Lease:   p.Lease, MaxPoll: 50 * time.Millisecond, SweepEvery: 50 * time.Millisecond, MaxAttempts: 1000, StoreTimeout: 30 * time.Second,
		Backoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond,
	}, outbox.WithHook(hook), outbox.WithInstance(p.Prefix))
	must(err)
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { must(r.Run(ctx)) })
	for i := range p.Feed {
		p.feed(db, fmt.Sprint(p.Prefix, "-", i%2), i/2+1, reach)
	}
	p.drained(ctx, db, stop)
	wg.Wait()
}

// feed adds one event, and one that is rolled back.
func (p plan) feed(db *gorm.DB, key string, n int, reach func(string)) {
	must(db.Transaction(func(tx *gorm.DB) error {
		if err := outbox.Add(tx, "topic", key, n); err != nil {
			return err
		}
		reach("adding")
		return nil
	}))
	must(p.note("committed", fmt.Sprint(key, " ", n)))
	back := errors.New("back")
	if err := db.Transaction(func(tx *gorm.DB) error {
		return errors.Join(back, outbox.Add(tx, "topic", "ghost-"+key, n))
	}); !errors.Is(err, back) {
		panic(err)
	}
}

// drained waits until no event is left, or where the step is another process's lot,
// for a while, then stops the relay.
func (p plan) drained(ctx context.Context, db *gorm.DB, stop func()) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for ctx.Err() == nil {
		<-tick.C
		var left int64
		must(db.Raw("SELECT COUNT(*) FROM outbox_events").Scan(&left).Error)
		if left == 0 && p.Step != "renewed" || p.Step != "" && time.Since(began) > 3*time.Second {
			stop()
			return
		}
	}
	panic("not drained in time")
}
