package testenv_test

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

func TestRedisIsEmptyAndItsOwn(t *testing.T) {
	ctx := t.Context()
	first, second := testenv.Redis(t), testenv.Redis(t)
	require.NoError(t, first.Set(ctx, "key", "value", 0).Err())
	require.ErrorIs(t, second.Get(ctx, "key").Err(), redis.Nil)

	instance := redis.NewClient(first.Options())
	defer func() { require.NoError(t, instance.Close()) }()
	require.Equal(t, "value", instance.Get(ctx, "key").Val())
}

func TestRedisDatabaseOfAnEndedTestIsEmptyForTheNext(t *testing.T) {
	for range 3 {
		t.Run("", func(t *testing.T) {
			rdb := testenv.Redis(t)
			require.Zero(t, rdb.DBSize(t.Context()).Val())
			require.NoError(t, rdb.Set(t.Context(), "key", "value", 0).Err())
		})
	}
}

func TestRedisExpiresByTheClock(t *testing.T) {
	rdb := testenv.Redis(t)
	require.NoError(t, rdb.Set(t.Context(), "key", "value", 30*time.Millisecond).Err())
	require.Eventually(t, func() bool { return rdb.Exists(t.Context(), "key").Val() == 0 },
		5*time.Second, 5*time.Millisecond)
}

func TestRedisAddrAnswers(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: testenv.RedisAddr(t)})
	defer func() { require.NoError(t, rdb.Close()) }()
	key := testenv.Name(t)
	require.NoError(t, rdb.Set(t.Context(), key, "value", time.Minute).Err())
	require.NoError(t, rdb.Del(t.Context(), key).Err())
}

func TestRestartedRedisHasItsDataOrNot(t *testing.T) {
	node := testenv.RestartableRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: node.Addr(), MaxRetries: -1, DialerRetries: 1})
	defer func() { require.NoError(t, rdb.Close()) }()
	ctx := t.Context()
	require.NoError(t, rdb.Set(ctx, "key", "value", 0).Err())

	node.Stop()
	require.Error(t, rdb.Get(ctx, "key").Err())

	node.Start()
	require.Equal(t, "value", rdb.Get(ctx, "key").Val())

	node.Stop()
	node.StartEmpty()
	require.ErrorIs(t, rdb.Get(ctx, "key").Err(), redis.Nil)
}

func TestRequestWhoseReplyIsHeldRunsTwice(t *testing.T) {
	opts := testenv.RedisOptions(t)
	proxy := testenv.Proxy(t, opts.Addr)
	opts.Addr, opts.ReadTimeout, opts.MaxRetries = proxy.Addr(), 50*time.Millisecond, -1
	opts.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opts)
	defer func() { require.NoError(t, rdb.Close()) }()
	require.NoError(t, rdb.Set(t.Context(), "count", 0, 0).Err())

	proxy.Set(faultproxy.Fault{Down: faultproxy.Link{Hold: true}})
	require.ErrorContains(t, rdb.Incr(t.Context(), "count").Err(), "timeout")
	proxy.Heal()
	require.EqualValues(t, 2, rdb.Incr(t.Context(), "count").Val())
}

type account struct {
	ID      int64
	Email   string `gorm:"size:64;uniqueIndex"`
	Balance int64
}

func TestEachSQLDatabaseIsEmptyAndTranslatesDuplicates(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		require.NoError(t, db.AutoMigrate(&account{}))
		require.NoError(t, db.Create(&account{Email: "a@example.com"}).Error)
		require.ErrorIs(t, db.Create(&account{Email: "a@example.com"}).Error, gorm.ErrDuplicatedKey)
		var count int64
		require.NoError(t, db.Model(&account{}).Count(&count).Error)
		require.EqualValues(t, 1, count)
	})
}

func TestSameValueUpdateCountsAsMatched(t *testing.T) {
	testenv.EachSQL(t, func(t *testing.T, db *gorm.DB) {
		require.NoError(t, db.AutoMigrate(&account{}))
		require.NoError(t, db.Create(&account{ID: 1, Balance: 5}).Error)
		updated := db.Model(&account{}).Where("id = ?", 1).Update("balance", 5)
		require.NoError(t, updated.Error)
		require.EqualValues(t, 1, updated.RowsAffected)
	})
}

func TestTwoSQLDatabasesDoNotMeet(t *testing.T) {
	first, second := testenv.SQL(t), testenv.SQL(t)
	require.NoError(t, first.AutoMigrate(&account{}))
	require.False(t, second.Migrator().HasTable(&account{}))
}

func TestKafkaKeepsARecord(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic := testenv.Topic(t, addrs, 3)
	cfg := testenv.KafkaConfig()
	cfg.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer(addrs, cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, producer.Close()) }()
	partition, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("hello")})
	require.NoError(t, err)

	consumer, err := sarama.NewConsumer(addrs, cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, consumer.Close()) }()
	records, err := consumer.ConsumePartition(topic, partition, offset)
	require.NoError(t, err)
	defer func() { require.NoError(t, records.Close()) }()
	select {
	case record := <-records.Messages():
		require.Equal(t, "hello", string(record.Value))
	case <-time.After(30 * time.Second):
		require.Fail(t, "no record")
	}
}

func TestKafkaDoesNotCreateATopicThatIsAskedFor(t *testing.T) {
	addrs := testenv.Kafka(t)
	cfg := testenv.KafkaConfig()
	cfg.Metadata.Retry.Max = 0
	client, err := sarama.NewClient(addrs, cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	_, err = client.Partitions(testenv.Name(t))
	require.ErrorIs(t, err, sarama.ErrUnknownTopicOrPartition)
}

func TestNamesAreUniqueAndFitEverywhere(t *testing.T) {
	t.Run("Ünïcode, spaces and a very long name that no database would take as it is", func(t *testing.T) {
		a, b := testenv.Name(t), testenv.Name(t)
		require.NotEqual(t, a, b)
		require.Regexp(t, `^[a-z][a-z0-9_]{0,47}$`, a)
	})
}

func TestLongFormIsAskedForByTheEnvironment(t *testing.T) {
	t.Setenv(testenv.EnvLong, "")
	require.Equal(t, 3, testenv.Scale(3, 1000))
	require.True(t, skips(t, testenv.Long))
	t.Setenv(testenv.EnvLong, "1")
	require.Equal(t, 1000, testenv.Scale(3, 1000))
	require.False(t, skips(t, testenv.Long))
}

func TestRequiringARealServerSkipsWithoutOne(t *testing.T) {
	for env, requireReal := range map[string]func(testing.TB, string){
		testenv.EnvRedis:    testenv.RequireRealRedis,
		testenv.EnvMySQL:    testenv.RequireRealMySQL,
		testenv.EnvPostgres: testenv.RequireRealPostgres,
		testenv.EnvKafka:    testenv.RequireRealKafka,
	} {
		need := func(t testing.TB) { requireReal(t, "because") }
		if os.Getenv(env) == "" {
			require.True(t, skips(t, need), env)
			t.Setenv(env, "somewhere")
		}
		require.False(t, skips(t, need), env)
	}
}

// skips tells whether f skips the test that it is given.
func skips(t *testing.T, f func(testing.TB)) bool {
	t.Helper()
	probe := &recorder{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { f(probe) })
	wg.Wait()
	return probe.skipped
}

// recorder notes a skip instead of skipping.
type recorder struct {
	testing.TB
	skipped bool
}

func (r *recorder) Skipf(string, ...any) {
	r.skipped = true
	runtime.Goexit()
}

func TestAClusterHasAllItsSlots(t *testing.T) {
	rdb := testenv.RedisCluster(t)
	for i := range 30 { // on all three masters
		require.NoError(t, rdb.Set(t.Context(), strconv.Itoa(i), i, 0).Err())
		require.Equal(t, strconv.Itoa(i), rdb.Get(t.Context(), strconv.Itoa(i)).Val())
	}
}
