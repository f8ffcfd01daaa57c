package idempotency_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/idempotency/redisfilter"
	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// envVictim holds a plan as JSON; with it the test binary is a consumer process that
// kills itself.
const envVictim = "BULWARK_IDEMPOTENCY_VICTIM"

// plan is what one consumer process does.
type plan struct {
	Dialect, DSN string
	Redis        string
	RedisDB      int
	// Events are delivered in this order, one by one or Batch at a time.
	Events []int
	Batch  int
	// Bare goes without marks.
	Bare bool
	// Step is where the process kills itself, at the At-th time; empty lives on.
	Step string
	At   int
}

// steps are the places to die at: before and after each statement, the effect, the
// commit and the mark.
var steps = []string{"statement", "statement done", "effect", "effect done", "commit", "commit done", "mark", "mark done"}

const (
	consumers = 8
	events    = 4 // of each run, each delivered 1 to 100 times
)

// posting is a line of the books, which nothing but the store keeps from being doubled.
type posting struct {
	ID      int64 `gorm:"primaryKey"`
	Event   int   `gorm:"index"`
	Account int
	Amount  int
}

type ledgerAccount struct {
	ID      int `gorm:"primaryKey"`
	Balance int
}

func TestKilledConsumersBookEachEventOnce(t *testing.T) {
	options := testenv.RedisOptions(t)
	each := func(t *testing.T, p plan) {
		p.Redis, p.RedisDB = options.Addr, options.DB
		// Events of the three databases must not share marks.
		client := redis.NewClient(options)
		defer func() { require.NoError(t, client.Close()) }()
		require.NoError(t, client.FlushDB(t.Context()).Err())
		killMany(t, p, testenv.Scale(6, 1000))
	}
	t.Run("sqlite", func(t *testing.T) {
		each(t, plan{Dialect: "sqlite", DSN: filepath.Join(t.TempDir(), "kill.db")})
	})
	t.Run("mysql", func(t *testing.T) { each(t, plan{Dialect: "mysql", DSN: testenv.MySQLDSN(t)}) })
	t.Run("postgres", func(t *testing.T) { each(t, plan{Dialect: "postgres", DSN: testenv.PostgresDSN(t)}) })
}

// killMany lets eight processes consume the same events at once, kills most of them
// somewhere, delivers again what nobody acknowledged, and looks at the books; so often.
func killMany(t *testing.T, p plan, runs int) {
	c := p.open(func(string) {})
	defer c.close()
	must(c.gormstore.Migrate(t.Context()))
	must(c.db.AutoMigrate(&posting{}, &ledgerAccount{}))
	must(c.db.Create(&[]ledgerAccount{{ID: 1}, {ID: 2}}).Error)
	died, deliveries := map[string]int{}, 0
	for run := range runs {
		shares := make([]plan, consumers)
		for i := range shares {
			shares[i] = p
			shares[i].Batch, shares[i].Bare = []int{1, 1, 5, 20}[i%4], i < consumers/2
			shares[i].Step = steps[rand.IntN(len(steps))]
			shares[i].At = 1 + rand.IntN(2)
			if i%2 == 0 { // half of them before the first commit
				shares[i].Step, shares[i].At = steps[rand.IntN(2)], 1+rand.IntN(12)
			}
		}
		for e := range events {
			for range 1 + rand.IntN(100) {
				i := rand.IntN(consumers)
				shares[i].Events = append(shares[i].Events, run*events+e)
				deliveries++
			}
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, share := range shares {
			wg.Go(func() {
				killed, complaint := share.run()
				mu.Lock()
				defer mu.Unlock()
				if killed {
					died[share.Step]++
				} else if complaint != "" {
					t.Errorf("consumer: %s", complaint)
				}
			})
		}
		wg.Wait()
		for e := range events { // the broker delivers again what was not acknowledged
			must(c.consume(t.Context(), []int{run*events + e}))
		}
		balanced(t, c.db, (run+1)*events)
	}
	kills := 0
	for _, step := range steps {
		kills += died[step]
		if runs >= 100 {
			require.NotZero(t, died[step], "nobody died at %q", step)
		}
	}
	require.GreaterOrEqual(t, kills, runs)
	t.Logf("%d runs of %d processes, %d deliveries of %d events, %d kills by step %v: each booked once",
		runs, consumers, deliveries, runs*events, kills, died)
}

// balanced checks that each of n events has its two lines, and that all sum to nothing.
func balanced(t *testing.T, db *gorm.DB, n int) {
	t.Helper()
	var all struct{ Postings, Distinctly, Total int }
	must(db.Raw("SELECT COUNT(*) AS postings, COUNT(DISTINCT event) AS distinctly, SUM(amount) AS total FROM postings").Scan(&all).Error)
	require.Equal(t, n, all.Distinctly)
	require.Equal(t, 2*n, all.Postings, "some event was booked twice")
	require.Zero(t, all.Total)
	var accounts []ledgerAccount
	must(db.Order("id").Find(&accounts).Error)
	want := 0
	for event := range n {
		want += amountOf(event)
	}
	require.Equal(t, -want, accounts[0].Balance)
	require.Equal(t, want, accounts[1].Balance)
}

func amountOf(event int) int { return 1 + event%7 }

// consumer is a store as a service has it, with books.
type consumer struct {
	plan
	db        *gorm.DB
	gormstore *gormstore.Store
	store     store
	reach     func(step string)
	close     func()
}

// consume delivers events, as one batch or one by one.
func (c *consumer) consume(ctx context.Context, batch []int) error {
	book := func(tx *gorm.DB, first []int) error {
		c.reach("effect")
		for _, event := range first {
			if err := c.book(tx, event); err != nil {
				return err
			}
		}
		c.reach("effect done")
		return nil
	}
	if len(batch) == 1 {
		d := deliveryOf(batch[0])
		_, err := c.store.Do(ctx, d.Key, d.Payload, func(tx *gorm.DB) error { return book(tx, batch) })
		return err
	}
	_, err := idempotency.DoEach(ctx, c.store, batch, deliveryOf, book)
	return err
}

func deliveryOf(event int) idempotency.Delivery {
	return idempotency.Delivery{Key: scope.Key("event", fmt.Sprint(event)), Payload: idempotency.Fields(amountOf(event))}
}

func (c *consumer) book(tx *gorm.DB, event int) error {
	amount := amountOf(event)
	for i, n := range []int{-amount, amount} {
		if err := tx.Create(&posting{Event: event, Account: i + 1, Amount: n}).Error; err != nil {
			return err
		}
		err := tx.Model(&ledgerAccount{}).Where("id = ?", i+1).UpdateColumn("balance", gorm.Expr("balance + ?", n)).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// run runs a consumer process, and tells whether it was killed, or what it complained
// of.
func (p plan) run() (killed bool, complaint string) {
	text, err := json.Marshal(p)
	must(err)
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

// victim is the consumer process.
func victim() {
	var p plan
	must(json.Unmarshal([]byte(os.Getenv(envVictim)), &p))
	passed := 0
	c := p.open(func(step string) {
		if step != p.Step {
			return
		}
		if passed++; passed == p.At {
			must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
			select {} // until the signal is there
		}
	})
	defer c.close()
	for left := p.Events; len(left) > 0; {
		n := min(p.Batch, len(left))
		must(c.consume(context.Background(), left[:n]))
		left = left[n:]
	}
}

func (p plan) open(reach func(string)) *consumer {
	c := &consumer{plan: p, reach: reach}
	var closeDB func()
	c.db, closeDB = p.openDB()
	c.db.ConnPool = &dyingPool{c.db.ConnPool, reach}
	c.db.Statement.ConnPool = c.db.ConnPool
	c.tell()
	var err error
	c.gormstore, err = gormstore.New(c.db, gormstore.Config{})
	must(err)
	client := redis.NewClient(&redis.Options{Addr: p.Redis, DB: p.RedisDB})
	marks, err := redisfilter.New(client, redisfilter.Config{Timeout: time.Minute, Prefix: p.Dialect})
	must(err)
	c.store = idempotency.Filtered[*gorm.DB](c.gormstore, dyingFilter{marks, reach}, idempotency.WithTrustedMarks())
	if p.Bare {
		c.store = c.gormstore
	}
	c.close = func() { closeDB(); must(client.Close()) }
	return c
}

// tell reports every statement as a step.
func (c *consumer) tell() {
	before, after := func(*gorm.DB) { c.reach("statement") }, func(*gorm.DB) { c.reach("statement done") }
	callbacks := c.db.Callback()
	must(callbacks.Raw().Before("*").Register("kill:before", before))
	must(callbacks.Raw().After("*").Register("kill:after", after))
	must(callbacks.Row().Before("*").Register("kill:before", before))
	must(callbacks.Row().After("*").Register("kill:after", after))
	must(callbacks.Create().Before("*").Register("kill:before", before))
	must(callbacks.Create().After("*").Register("kill:after", after))
	must(callbacks.Update().Before("*").Register("kill:before", before))
	must(callbacks.Update().After("*").Register("kill:after", after))
}

func (p plan) openDB() (*gorm.DB, func()) {
	if p.Dialect == "sqlite" {
		s, err := embedded.OpenSQLite(embedded.SQLiteConfig{Path: p.DSN, BusyTimeout: time.Minute})
		must(err)
		return s.DB(), func() { must(s.Close()) }
	}
	dialector := mysql.Open(p.DSN)
	if p.Dialect == "postgres" {
		dialector = postgres.Open(p.DSN)
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard, TranslateError: true})
	must(err)
	conns, err := db.DB()
	must(err)
	conns.SetMaxOpenConns(2)
	return db, func() { must(conns.Close()) }
}

// dyingFilter reports each mark as a step.
type dyingFilter struct {
	idempotency.Filter
	reach func(string)
}

func (f dyingFilter) Remember(ctx context.Context, done []idempotency.Mark) error {
	f.reach("mark")
	defer f.reach("mark done")
	return f.Filter.Remember(ctx, done)
}

// dyingPool reports each commit as a step.
type dyingPool struct {
	gorm.ConnPool
	reach func(string)
}

func (p *dyingPool) GetDBConn() (*sql.DB, error) { return p.ConnPool.(*sql.DB), nil }

func (p *dyingPool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.ConnPool.(gorm.TxBeginner).BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &dyingTx{tx, p.reach}, nil
}

type dyingTx struct {
	*sql.Tx
	reach func(string)
}

func (t *dyingTx) Commit() error {
	t.reach("commit")
	defer t.reach("commit done")
	return t.Tx.Commit()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
