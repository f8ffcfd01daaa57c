package events_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/events"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// readings are n of a thousand articles, few of which are read by many.
func readings(n int) []saramax.Record[events.ReadEvent] {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.2, 1, 999)
	all := make([]saramax.Record[events.ReadEvent], n)
	for i := range all {
		all[i] = record(int64(i), fmt.Sprintf("%026d", i), int64(zipf.Uint64())+1)
	}
	return all
}

// bump is the usual script of a cache of counters.
var bump = redis.NewScript(`if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('HINCRBY', KEYS[1], 'read_cnt', 1) end return 0`)

// oneByOne is what a consumer does that has not heard of batches: a statement for each
// event, and one step of the cache. It knows no ids, so a replay would count again.
func oneByOne(b require.TestingT, t testing.TB, db *gorm.DB, rdb redis.Scripter, all []saramax.Record[events.ReadEvent]) {
	for _, r := range all {
		now := time.Now().UnixMilli()
		err := db.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "biz_id"}, {Name: "biz"}},
			DoUpdates: clause.Assignments(map[string]any{
				"read_cnt": gorm.Expr("interactives.read_cnt + 1"), "utime": now,
			}),
		}).Create(&dao.Interactive{Biz: domain.BizArticle, BizID: r.Value.ArticleID, ReadCnt: 1, Ctime: now, Utime: now}).Error
		require.NoError(b, err)
		key := []string{fmt.Sprintf("interactive:article:%d", r.Value.ArticleID)}
		require.NoError(b, bump.Run(t.Context(), rdb, key).Err())
	}
}

func inBatches(b require.TestingT, t testing.TB, counter *events.ReadCounter, size int, all []saramax.Record[events.ReadEvent]) {
	for begin := 0; begin < len(all); begin += size {
		batch := all[begin:min(begin+size, len(all))]
		for _, v := range counter.Handle(t.Context(), batch) {
			require.Equal(b, saramax.ActionDone, v.Action(), v.Cause())
		}
	}
}

// BenchmarkReadCounter is events a second, as the metric events/s, on the database that
// the environment names: what one statement for each event does, and what batches do
// that also count each event only once. A batch of one is one by one with the same
// promise.
func BenchmarkReadCounter(b *testing.B) {
	b.Run("one by one", func(b *testing.B) {
		_, _, db := newCounter(b)
		rdb := testenv.Redis(b)
		all := readings(b.N)
		b.ReportAllocs()
		b.ResetTimer()
		oneByOne(b, b, db, rdb, all)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	for _, size := range []int{1, 50, 500, 2000} {
		b.Run(fmt.Sprintf("batch of %d", size), func(b *testing.B) {
			counter, _, _ := newCounter(b)
			all := readings(b.N)
			b.ReportAllocs()
			b.ResetTimer()
			inBatches(b, b, counter, size, all)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// The bar: on MySQL or MariaDB a batch counts twenty times as many events a second as
// one statement for each. The two take turns, so that what else the machine does
// meets both, and the medians count.
func TestBatchesCountTwentyTimesAsManyEvents(t *testing.T) {
	testenv.Long(t)
	testenv.RequireRealMySQL(t, "it is about what a commit costs there")
	const rounds, few, many = 9, 200, 5000
	counter, _, db := newCounter(t)
	_, _, naive := newCounter(t)
	rdb := testenv.Redis(t)
	all := readings(rounds * many)
	rate := func(n int, work func()) float64 {
		begin := time.Now()
		work()
		return float64(n) / time.Since(begin).Seconds()
	}
	var slow, fast []float64
	for round := range rounds {
		part := all[round*many : (round+1)*many]
		slow = append(slow, rate(few, func() { oneByOne(t, t, naive, rdb, part[:few]) }))
		fast = append(fast, rate(many, func() { inBatches(t, t, counter, 500, part) }))
	}
	slices.Sort(slow)
	slices.Sort(fast)
	t.Logf("one by one %.0f events/s, in batches of 500 %.0f events/s: %.1f times", slow[rounds/2], fast[rounds/2], fast[rounds/2]/slow[rounds/2])
	require.GreaterOrEqual(t, fast[rounds/2], 20*slow[rounds/2])
	var counted int64
	require.NoError(t, db.Model(&dao.Interactive{}).Select("SUM(read_cnt)").Scan(&counted).Error)
	require.EqualValues(t, len(all), counted, "and it counts right")
}
