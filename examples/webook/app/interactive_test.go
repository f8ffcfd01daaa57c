package app_test

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/events"
	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/saramax"
)

func TestALikeCountsOnceHoweverOftenItIsSent(t *testing.T) {
	i := start(t, testConfig(t))
	ann, bob := i.login(t, "ann@example.com").access(), i.login(t, "bob@example.com").access()
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	require.Equal(t, shown{}, i.shown(t, bob, id))
	for _, step := range []struct {
		token string
		like  bool
		want  shown // by bob
	}{
		{bob, true, shown{likes: 1, liked: true}},
		{bob, true, shown{likes: 1, liked: true}},
		{ann, true, shown{likes: 2, liked: true}},
		{bob, false, shown{likes: 1}},
		{bob, false, shown{likes: 1}},
		{ann, false, shown{}},
		{ann, false, shown{}},
		{bob, true, shown{likes: 1, liked: true}},
	} {
		require.Zero(t, i.like(t, step.token, id, step.like).Code)
		require.Equal(t, step.want, i.shown(t, bob, id))
	}
	require.Equal(t, shown{likes: 1}, i.shown(t, "", id), "a visitor sees the counts")
}

func TestWhatIsCollectedCountsOnceAndCanBeMovedAndTakenOut(t *testing.T) {
	i := start(t, testConfig(t))
	ann := i.login(t, "ann@example.com").access()
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	for _, cid := range []int64{0, 0, 3} {
		require.Zero(t, i.collect(t, ann, id, cid).Code)
		require.Equal(t, shown{collects: 1, collected: true}, i.shown(t, ann, id))
	}
	for range 2 {
		out := i.call(t, http.MethodPost, "/articles/pub/collect", ann, fmt.Sprintf(`{"id":%d,"collect":false}`, id))
		require.Zero(t, out.Code)
		require.Equal(t, shown{}, i.shown(t, ann, id))
	}
	require.Equal(t, 401001, i.collect(t, ann, id, -1).Code)
}

func TestWhatNobodyCanReadIsNotLiked(t *testing.T) {
	i := start(t, testConfig(t))
	ann, bob := i.login(t, "ann@example.com").access(), i.login(t, "bob@example.com").access()
	draft := i.edit(t, ann, 0, "Draft", "<p>text</p>").id(t)
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	require.Zero(t, i.like(t, bob, id, true).Code)
	require.Zero(t, i.withdraw(t, ann, id).Code)
	for _, id := range []int64{draft, id, 1 << 40, 0, -1} {
		unreadable(t, i.like(t, bob, id, true))
		unreadable(t, i.collect(t, bob, id, 0))
	}
	require.Zero(t, i.like(t, bob, id, false).Code, "a like can be taken back from what was withdrawn")
	require.Zero(t, i.publish(t, ann, id, "Title", "<p>text</p>").Code)
	require.Equal(t, shown{}, i.shown(t, bob, id))
}

func TestLikesAndCollectionsNeedALoginAndAWholeRequest(t *testing.T) {
	i := start(t, testConfig(t))
	ann := i.login(t, "ann@example.com").access()
	for _, path := range []string{"/articles/pub/like", "/articles/pub/collect"} {
		require.Equal(t, http.StatusUnauthorized, i.call(t, http.MethodPost, path, "", `{"id":1,"like":true}`).status)
		require.Equal(t, http.StatusUnauthorized, i.call(t, http.MethodPost, path, "null", `{"id":1,"like":true}`).status)
		for _, body := range []string{`{`, `[]`, `{"id":"one"}`, `{"id":1e99}`} {
			a := i.call(t, http.MethodPost, path, ann, body)
			require.Equal(t, http.StatusBadRequest, a.status, body)
			require.NotZero(t, a.Code)
		}
		require.Equal(t, http.StatusMethodNotAllowed, i.call(t, http.MethodPut, path, ann, `{"id":1}`).status)
	}
}

// Impatient readers on both instances of one service: in the end the counters are what
// they left behind.
func TestManyClicksAtOnceLeaveTheCountersRight(t *testing.T) {
	cfg := shared(t, testenv.EmbeddedRedis(t).Addr())
	one, two := start(t, cfg()), start(t, cfg())
	const people, clicks = 4, 12
	var tokens []string
	for n := range people {
		tokens = append(tokens, one.login(t, fmt.Sprintf("reader%d@example.com", n)).access())
	}
	id := one.publish(t, tokens[0], 0, "Title", "<p>text</p>").id(t)
	var all sync.WaitGroup
	for n, token := range tokens {
		for _, i := range []*instance{one, two} {
			all.Go(func() {
				for click := range clicks {
					if a := i.like(t, token, id, click%3 != n%3); a.Code != 0 {
						t.Error(a.raw)
					}
					if a := i.read(t, token, id); a.Code != 0 {
						t.Error(a.raw)
					}
				}
			})
		}
	}
	all.Wait()
	var likes int64
	for _, token := range tokens {
		if one.shown(t, token, id).liked {
			likes++
		}
	}
	require.Equal(t, likes, one.shown(t, "", id).likes)
	require.Equal(t, likes, two.shown(t, "", id).likes)
	for _, token := range tokens {
		require.Zero(t, two.like(t, token, id, false).Code)
	}
	require.Zero(t, one.shown(t, "", id).likes, "and never below zero")
}

func TestReadingsAreCounted(t *testing.T) {
	cfg := testConfig(t)
	k := onBrokers(t, &cfg)
	i := start(t, cfg)
	ann := i.login(t, "ann@example.com").access()
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	for range 20 {
		i.read(t, "", id)
	}
	require.Zero(t, i.read(t, ann, id).Code)
	unreadable(t, i.read(t, ann, 1<<40))
	eventually(t, func() bool { return k.committed(t, events.GroupInteractive, events.TopicRead) == 21 }, "one event for each reading, and none for what cannot be read")
	require.EqualValues(t, 21, i.read(t, "", id).article(t).ReadCnt)
}

// The group is lost, with all that it had done, and begins at the oldest event again.
func TestAReplayOfTheWholeTopicChangesNoCounter(t *testing.T) {
	cfg := testConfig(t)
	k := onBrokers(t, &cfg)
	if cfg.DB.Driver == "" {
		cfg.DB = sharedFile(t)
	}
	cfg.Session.AccessKey, cfg.Session.RefreshKey = logger.NewSecret(testenv.Name(t)+"-access-access-access"), logger.NewSecret(testenv.Name(t)+"-refresh-refresh-refresh")
	i := start(t, cfg)
	ann := i.login(t, "ann@example.com").access()
	var ids []int64
	for n := range 3 {
		id := i.publish(t, ann, 0, fmt.Sprint("Title ", n), "<p>text</p>").id(t)
		ids = append(ids, id)
		require.Zero(t, i.like(t, ann, id, true).Code)
		for range 5 + n {
			require.Zero(t, i.read(t, "", id).Code)
		}
	}
	// A producer of another kind: the other topic, and no id.
	k.produce(t, events.TopicReadOld, "", fmt.Sprintf(`{"Uid":1,"Aid":%d}`, ids[0]))
	const total = 5 + 6 + 7
	done := func(reads int64) func() bool {
		return func() bool {
			return k.committed(t, events.GroupInteractive, events.TopicRead) == reads &&
				k.committed(t, events.GroupInteractive, events.TopicReadOld) == 1
		}
	}
	eventually(t, done(total), "all is counted once")
	counts := func(i *instance) (all [][2]int64) {
		for _, id := range ids {
			a := i.read(t, "", id).article(t)
			all = append(all, [2]int64{a.ReadCnt, a.LikeCnt})
		}
		return all
	}
	before := counts(i)
	require.Equal(t, [][2]int64{{6, 1}, {6, 1}, {7, 1}}, before)
	eventually(t, done(total+3), "and so is this look at it")
	require.NoError(t, i.stop())

	require.NoError(t, k.DeleteConsumerGroup(k.names.Of(events.GroupInteractive)))
	require.Zero(t, k.committed(t, events.GroupInteractive, events.TopicRead))
	again := start(t, cfg)
	eventually(t, done(total+3), "all is consumed again")
	after := counts(again)
	for n := range before {
		before[n][0]++ // the look before the replay
	}
	require.Equal(t, before, after)
	_, metrics := get(t, again.MetricsURL()+"/metrics")
	require.Contains(t, metrics, fmt.Sprintf(`webook_idempotency_decisions_total{decision="repeat",outcome="skipped",scope="interactive.read",via="database"} %d`, total+3+1))
}

func TestAnEventThatIsWrongIsPutAsideAndHoldsUpNoOther(t *testing.T) {
	cfg := testConfig(t)
	k := onBrokers(t, &cfg)
	i := start(t, cfg)
	ann := i.login(t, "ann@example.com").access()
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	right := fmt.Sprintf(`{"Uid":7,"Aid":%d}`, id)
	named := sarama.RecordHeader{Key: []byte(events.HeaderEventID), Value: []byte("one")}
	const key = "the same partition for all"
	for _, value := range []string{`{`, `{"Uid":7,"Aid":0}`, `"text"`} {
		k.produce(t, events.TopicRead, key, value)
	}
	k.produce(t, events.TopicRead, key, right, named)
	k.produce(t, events.TopicRead, key, fmt.Sprintf(`{"Uid":8,"Aid":%d}`, id), named) // one id for two
	k.produce(t, events.TopicRead, key, right)
	dead := saramax.DeadLetterTopic(events.TopicRead, k.names.Of(events.GroupInteractive))
	eventually(t, func() bool { return k.records(t, dead) == 4 }, "what is wrong is put aside")
	eventually(t, func() bool { return k.committed(t, events.GroupInteractive, events.TopicRead) == 6 }, "and nothing waits")
	require.EqualValues(t, 2, i.read(t, "", id).article(t).ReadCnt)
}

// Redis dies and comes back empty. Articles are served with their counters all the
// time, and readings in between are counted.
func TestCountersOutliveAnOutageOfRedis(t *testing.T) {
	node := testenv.RestartableRedis(t)
	cfg := shared(t, node.Addr())()
	k := onBrokers(t, &cfg)
	i := start(t, cfg)
	ann := i.login(t, "ann@example.com").access()
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	require.Zero(t, i.like(t, ann, id, true).Code)
	require.Equal(t, shown{likes: 1, liked: true}, i.shown(t, ann, id))

	node.Stop()
	require.Equal(t, shown{likes: 1}, i.shown(t, "", id))
	require.Equal(t, shown{likes: 1, liked: true}, i.shown(t, ann, id))
	eventually(t, func() bool { return i.like(t, ann, id, true).status == http.StatusServiceUnavailable },
		"whether ann is still logged in nobody knows")
	eventually(t, func() bool { return k.committed(t, events.GroupInteractive, events.TopicRead) == 3 }, "readings count")
	require.EqualValues(t, 3, i.read(t, "", id).article(t).ReadCnt)

	node.StartEmpty()
	eventually(t, func() bool { return i.read(t, "", id).article(t).ReadCnt >= 4 }, "the cache fills again")
	eventually(t, func() bool {
		ann = i.call(t, http.MethodPost, "/users/login", "", credentials("ann@example.com")).access()
		return ann != ""
	}, "people log in again")
	require.Zero(t, i.like(t, ann, id, false).Code)
	require.Equal(t, shown{}, i.shown(t, ann, id))
}

// Without brokers an article is served as ever; who reads it is told of when they are
// back.
func TestArticlesAreServedWhileKafkaIsAway(t *testing.T) {
	dir := t.TempDir()
	node, err := embedded.StartKafka(embedded.KafkaConfig{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { _ = node.Close() })
	_, port, err := net.SplitHostPort(node.Addrs()[0])
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	cfg := testConfig(t)
	cfg.Kafka = config.Kafka{Addrs: node.Addrs()}
	i := start(t, cfg)
	ann := i.login(t, "ann@example.com").access()
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	i.counted(t, id, 1)

	require.NoError(t, node.Close())
	for range 5 {
		require.Zero(t, i.read(t, "", id).Code)
		require.Zero(t, i.like(t, ann, id, true).Code)
	}
	require.Equal(t, shown{likes: 1, liked: true}, i.shown(t, ann, id))
	before := i.read(t, "", id).article(t).ReadCnt

	back, err := embedded.StartKafka(embedded.KafkaConfig{Dir: dir, Ports: []int{number}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = back.Close() })
	eventually(t, func() bool { return i.read(t, "", id).article(t).ReadCnt >= before+6 }, "those who read meanwhile are counted")
}

// An app that stops while a batch fills counts it, or leaves it to the next one.
func TestReadingsOfTheLastMomentAreCountedOnceByThisAppOrTheNext(t *testing.T) {
	cfg := testConfig(t)
	k := onBrokers(t, &cfg)
	if cfg.DB.Driver == "" {
		cfg.DB = sharedFile(t)
	}
	last := cfg
	last.Interactive.Reads.Linger = 10 * time.Second // longer than the app lives
	i := start(t, last)
	ann := i.login(t, "ann@example.com").access()
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	for range 3 {
		i.read(t, "", id)
	}
	eventually(t, func() bool { return k.records(t, events.TopicRead) == 3 }, "the events are there")
	require.NoError(t, i.stop())
	next := start(t, cfg)
	eventually(t, func() bool { return k.committed(t, events.GroupInteractive, events.TopicRead) == 3 }, "all are consumed")
	require.EqualValues(t, 3, next.read(t, "", id).article(t).ReadCnt)
}
