package redisfilter_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/idempotency"
	"github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/idempotency/redisfilter"
	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/observe/observetest"
)

// TestMain lets go-redis sleep out the second after which it would dial a dead server
// again, which closing the client does not end.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

const scope = idempotency.Scope("payment")

func ExampleNew() {
	server, err := embedded.StartRedis(embedded.RedisConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()

	filter, err := redisfilter.New(client, redisfilter.Config{TTL: 24 * time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, paid := context.Background(), idempotency.Delivery{Key: scope.Key("42"), Payload: idempotency.Fields(100)}
	key := []idempotency.Fingerprint{paid.Key.Fingerprint()}
	before, _ := filter.Look(ctx, key)
	err = filter.Remember(ctx, []idempotency.Mark{{Key: key[0], Digest: paid.Digest()}}) // idempotency.Filtered does, after the commit
	after, _ := filter.Look(ctx, key)
	fmt.Println(before[0].Seen, after[0].Seen, after[0].Digest == paid.Digest(), err)
	// Output: false true true <nil>
}

// patient has no time-out that a busy machine runs into.
var patient = redisfilter.Config{Timeout: time.Minute, Rest: time.Nanosecond}

func newFilter(t testing.TB, client redis.Cmdable, cfg redisfilter.Config) *redisfilter.Filter {
	t.Helper()
	f, err := redisfilter.New(client, cfg)
	require.NoError(t, err)
	return f
}

func mark(id string) idempotency.Mark {
	d := idempotency.Delivery{Key: scope.Key(id)}
	return idempotency.Mark{Key: d.Key.Fingerprint(), Digest: d.Digest()}
}

func TestNewRefuses(t *testing.T) {
	_, err := redisfilter.New(nil, redisfilter.Config{Prefix: "{a}", TTL: 1, Timeout: 1, Rest: -1})
	require.ErrorIs(t, err, idempotency.ErrConfig)
	for _, field := range []string{"client", "Prefix", "TTL", "Timeout", "Rest"} {
		require.ErrorContains(t, err, field)
	}
}

func TestMarksEndAndSayNothingOfTheirKeys(t *testing.T) {
	client := testenv.Redis(t)
	f := newFilter(t, client, redisfilter.Config{Prefix: "p", TTL: time.Hour, Timeout: time.Minute})
	require.NoError(t, f.Remember(t.Context(), []idempotency.Mark{mark("13800138000"), mark("other")}))
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, key := range keys {
		require.True(t, strings.HasPrefix(key, "p:"))
		require.NotContains(t, key, "138")
		left, err := client.TTL(t.Context(), key).Result()
		require.NoError(t, err)
		require.InDelta(t, time.Hour, left, float64(time.Minute))
		value, err := client.Get(t.Context(), key).Result()
		require.NoError(t, err)
		require.NotContains(t, value, "138")
	}
	require.NoError(t, f.Remember(t.Context(), nil))
	none, err := f.Look(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

// What is at a mark's place and is none may be something, and proves nothing.
func TestWhatIsNoMarkProvesNothing(t *testing.T) {
	client := testenv.Redis(t)
	f := newFilter(t, client, patient)
	require.NoError(t, f.Remember(t.Context(), []idempotency.Mark{mark("short"), mark("list"), mark("fine")}))
	for i, key := range client.Keys(t.Context(), "*").Val() {
		if client.Get(t.Context(), key).Val() == string(digestOf("fine")) {
			continue
		}
		require.NoError(t, client.Del(t.Context(), key).Err())
		if i%2 == 0 {
			require.NoError(t, client.Set(t.Context(), key, "1", 0).Err())
		} else {
			require.NoError(t, client.LPush(t.Context(), key, "1").Err())
		}
	}
	hints, err := f.Look(t.Context(), []idempotency.Fingerprint{mark("none").Key, mark("short").Key, mark("fine").Key})
	require.NoError(t, err)
	require.Equal(t, idempotency.Hint{}, hints[0])
	require.Zero(t, hints[1].Digest)
	require.Equal(t, mark("fine").Digest, hints[2].Digest)
}

func digestOf(id string) []byte { d := mark(id).Digest; return d[:] }

func TestRedisIsLeftAloneAfterAFailure(t *testing.T) {
	node := testenv.RestartableRedis(t)
	client := redis.NewClient(&redis.Options{Addr: node.Addr(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	f := newFilter(t, client, redisfilter.Config{Timeout: time.Minute, Rest: time.Hour})
	look := func(f *redisfilter.Filter) error {
		_, err := f.Look(t.Context(), []idempotency.Fingerprint{mark("1").Key})
		return err
	}
	require.NoError(t, look(f))
	left, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Look(left, []idempotency.Fingerprint{mark("1").Key})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, look(f), "a caller who left is no failure of Redis")

	node.Stop()
	err = look(f)
	require.ErrorContains(t, err, "redisfilter: look")
	require.NotErrorIs(t, err, redisfilter.ErrResting)
	require.ErrorIs(t, look(f), redisfilter.ErrResting)
	require.ErrorIs(t, f.Remember(t.Context(), []idempotency.Mark{mark("1")}), redisfilter.ErrResting)
	node.Start()
	impatient := newFilter(t, client, redisfilter.Config{Timeout: time.Minute, Rest: time.Nanosecond})
	require.Eventually(t, func() bool { return look(impatient) == nil }, time.Minute, time.Millisecond)
}

func TestAHungRedisIsBounded(t *testing.T) {
	proxy := testenv.Proxy(t, testenv.RedisOptions(t).Addr)
	client := redis.NewClient(&redis.Options{Addr: proxy.Addr(), MaxRetries: -1, ReadTimeout: time.Hour, ContextTimeoutEnabled: true})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	f := newFilter(t, client, redisfilter.Config{Timeout: 50 * time.Millisecond})
	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Hold: true}})
	_, err := f.Look(t.Context(), []idempotency.Fingerprint{mark("1").Key}) // else the test hangs for an hour
	require.Error(t, err)
	proxy.Heal()
}

// world is a store behind a bloom filter and marks in Redis, the books that its effects
// write, and the books as they must be.
type world struct {
	t          *testing.T
	db         *gorm.DB
	store      idempotency.Store[*gorm.DB]
	statements atomic.Int64
	done       map[string]int  // amount by key
	booked     map[string]bool // what must be a repeat
	keys       []string
	repeats    int // that came
	spared     int // of them, without a statement
	random     *rand.Rand
}

type account struct {
	ID      int `gorm:"primaryKey"`
	Balance int
}

func newWorld(t *testing.T, db *gorm.DB, client redis.Cmdable, bloomKeys int, opts ...idempotency.FilterOption) *world {
	w := &world{t: t, db: db, done: map[string]int{}, booked: map[string]bool{}, random: rand.New(rand.NewPCG(7, 11))}
	require.NoError(t, db.AutoMigrate(&account{}))
	require.NoError(t, db.Create(&account{ID: 1}).Error)
	s, err := gormstore.New(db, gormstore.Config{})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	bloom, err := idempotency.NewBloom(idempotency.BloomConfig{Name: "test", Keys: bloomKeys, FalsePositives: 0.01})
	require.NoError(t, err)
	w.store = idempotency.Filtered[*gorm.DB](s, idempotency.Cascade(bloom, newFilter(t, client, patient)), opts...)
	count := func(*gorm.DB) { w.statements.Add(1) }
	require.NoError(t, db.Callback().Raw().Before("*").Register("count", count))
	require.NoError(t, db.Callback().Row().Before("*").Register("count", count))
	return w
}

// deliver makes n deliveries, one by one and in batches, about half of them again.
func (w *world) deliver(n int) {
	w.t.Helper()
	for n > 0 {
		size := 1
		if w.random.IntN(4) == 0 {
			size = 1 + w.random.IntN(20)
		}
		n -= size
		batch := make([]idempotency.Delivery, size)
		amounts := make([]int, size)
		for i := range batch {
			var id string
			if len(w.keys) > 0 && w.random.IntN(2) == 0 {
				id = w.keys[w.random.IntN(len(w.keys))]
				amounts[i] = w.done[id]
			} else {
				id, amounts[i] = fmt.Sprint(len(w.keys)), 1+w.random.IntN(9)
				w.keys, w.done[id] = append(w.keys, id), amounts[i]
			}
			batch[i] = idempotency.Delivery{Key: scope.Key(id), Payload: idempotency.Fields(amounts[i])}
		}
		w.do(batch, amounts)
	}
	w.balanced()
}

func (w *world) do(batch []idempotency.Delivery, amounts []int) {
	w.t.Helper()
	book := func(tx *gorm.DB, first []int) error {
		total := 0
		for _, i := range first {
			total += amounts[i]
		}
		return tx.Exec("UPDATE accounts SET balance = balance + ? WHERE id = 1", total).Error
	}
	before := w.statements.Load()
	decisions := make([]idempotency.Decision, 1)
	var err error
	if len(batch) == 1 {
		decisions[0], err = w.store.Do(w.t.Context(), batch[0].Key, batch[0].Payload, func(tx *gorm.DB) error { return book(tx, []int{0}) })
	} else {
		decisions, err = w.store.DoBatch(w.t.Context(), batch, book)
	}
	require.NoError(w.t, err)
	for i, d := range decisions {
		want := idempotency.Repeat
		if id := batch[i].Key.ID; !w.booked[id] {
			want, w.booked[id] = idempotency.First, true
		}
		require.Equal(w.t, want, d.Kind, "%s", batch[i].Key)
		if want == idempotency.Repeat && len(batch) == 1 {
			w.repeats++
			if w.statements.Load() == before {
				w.spared++
			}
		}
	}
}

// balanced compares the books with what they must be.
func (w *world) balanced() {
	w.t.Helper()
	var balance, want int
	for _, amount := range w.done {
		want += amount
	}
	require.NoError(w.t, w.db.Model(&account{}).Select("balance").Take(&balance).Error)
	require.Equal(w.t, want, balance)
}

// conflicts delivers each of some keys with another payload.
func (w *world) conflicts() {
	w.t.Helper()
	for range 20 {
		id := w.keys[w.random.IntN(len(w.keys))]
		_, err := w.store.Do(w.t.Context(), scope.Key(id), idempotency.Fields(w.done[id]+1), func(*gorm.DB) error { panic("booked") })
		require.ErrorIs(w.t, err, idempotency.ErrConflict)
	}
	w.balanced()
}

func TestTrustedMarksAnswerRepeatsWithoutTheDatabase(t *testing.T) {
	w := newWorld(t, testenv.SQLite(t), testenv.Redis(t), 2000, idempotency.WithTrustedMarks())
	w.deliver(testenv.Scale(2000, 20_000))
	w.conflicts()
	require.GreaterOrEqual(t, float64(w.spared), 0.95*float64(w.repeats))
	t.Logf("%d of %d repeats were answered without the database", w.spared, w.repeats)
}

func TestUntrustedMarksSpareTheTransactionOnly(t *testing.T) {
	w := newWorld(t, testenv.SQLite(t), testenv.Redis(t), 2000)
	w.deliver(400)
	w.conflicts()
	require.Zero(t, w.spared, "the database has the last word")
}

// Redis down, empty, or with marks of an hour ago: every decision is right, and every
// amount is booked once.
func TestNothingDependsOnAMark(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		node := testenv.RestartableRedis(t)
		client := redis.NewClient(&redis.Options{Addr: node.Addr(), MaxRetries: -1, DialerRetries: 1})
		t.Cleanup(func() { require.NoError(t, client.Close()) })
		w := newWorld(t, db, client, 10_000, idempotency.WithTrustedMarks())
		n := testenv.Scale(150, 2000)
		w.deliver(n)
		snapshot := marks(t, client)
		require.NotEmpty(t, snapshot)
		w.deliver(n)

		require.NoError(t, client.FlushDB(t.Context()).Err())
		w.deliver(n)
		w.conflicts()
		node.Stop()
		w.deliver(n)
		w.conflicts()
		node.StartEmpty()
		// The client's pool takes a moment to believe it.
		require.Eventually(t, func() bool { return client.Ping(t.Context()).Err() == nil }, time.Minute, 10*time.Millisecond)
		w.deliver(n)
		restore(t, client, snapshot)
		w.deliver(n)
		w.conflicts()
		t.Logf("%d deliveries of %d keys, %d of %d single repeats without the database", 6*n, len(w.keys), w.spared, w.repeats)
	})
}

func marks(t *testing.T, client *redis.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, key := range client.Keys(t.Context(), "*").Val() {
		value, err := client.Get(t.Context(), key).Result()
		require.NoError(t, err)
		all[key] = value
	}
	return all
}

func restore(t *testing.T, client *redis.Client, snapshot map[string]string) {
	t.Helper()
	require.NoError(t, client.FlushDB(t.Context()).Err())
	for key, value := range snapshot {
		require.NoError(t, client.Set(t.Context(), key, value, time.Hour).Err())
	}
}

// A store whose Redis is down works on, and tells of it.
func TestRedisDownIsCounted(t *testing.T) {
	node := testenv.RestartableRedis(t)
	client := redis.NewClient(&redis.Options{Addr: node.Addr(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	node.Stop()
	rec := observetest.NewRecorder(t)
	w := newWorld(t, testenv.SQLite(t), client, 1, idempotency.WithTrustedMarks(), idempotency.WithFilterObserver(rec))
	w.deliver(50)
	require.NotEmpty(t, rec.Ended("idempotency", "filter_failures"))
}
