package saramax_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

func counter(n *atomic.Int64) saramax.Work {
	return saramax.Each(func(context.Context, rawRecord) error { n.Add(1); return nil }, saramax.WithCodec(saramax.Raw()))
}

func TestNewGroupBeginsWithTheOldestRecord(t *testing.T) {
	k := newCluster(t, 1)
	k.produce(0, make([][]byte, 100)...)
	var n atomic.Int64
	c, err := saramax.NewConsumer(client(t, k.addrs), testenv.Name(t), []string{k.topic}, counter(&n))
	require.NoError(t, err)
	r := start(t, c)
	eventually(t, "what was there before", func() bool { return n.Load() == 100 })
	require.NoError(t, r.end())
}

func TestStartNewestIsPinnedWhereTheGroupFirstCame(t *testing.T) {
	k := newCluster(t, 1)
	k.produce(0, make([][]byte, 100)...)
	group := testenv.Name(t)
	var n atomic.Int64
	run := func() *running {
		c, err := saramax.NewConsumer(client(t, k.addrs), group, []string{k.topic}, counter(&n),
			saramax.WithStart(saramax.StartNewest()))
		require.NoError(t, err)
		r := start(t, c)
		eventually(t, "its partition", func() bool { return len(r.Status().Partitions) == 1 })
		return r
	}
	require.NoError(t, run().end())
	k.produce(0, make([][]byte, 7)...) // while nobody is there
	r := run()
	eventually(t, "what came meanwhile", func() bool { return n.Load() == 7 })
	require.NoError(t, r.end())
	require.EqualValues(t, 7, n.Load())
}

func TestStartAtATime(t *testing.T) {
	k := newCluster(t, 1)
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for i := range 10 {
		k.send(&sarama.ProducerMessage{Topic: k.topic, Value: sarama.StringEncoder("x"), Timestamp: at.Add(time.Duration(i) * time.Minute)})
	}
	var n atomic.Int64
	c, err := saramax.NewConsumer(client(t, k.addrs), testenv.Name(t), []string{k.topic}, counter(&n),
		saramax.WithStart(saramax.StartAt(at.Add(6*time.Minute))))
	require.NoError(t, err)
	r := start(t, c)
	eventually(t, "the last four", func() bool { return n.Load() == 4 })
	require.NoError(t, r.end())
	require.EqualValues(t, 4, n.Load())
}

func TestBroadcastIsAGroupForEachInstance(t *testing.T) {
	k := newCluster(t, 2)
	k.produce(0, make([][]byte, 10)...)
	k.produce(1, make([][]byte, 10)...)
	group := testenv.Name(t)
	var n [2]atomic.Int64
	for i, instance := range []string{"one", "two"} {
		c, err := saramax.NewConsumer(client(t, k.addrs), group, []string{k.topic}, counter(&n[i]), saramax.WithBroadcast(instance))
		require.NoError(t, err)
		require.Equal(t, group+"."+instance, c.Status().Group)
		start(t, c)
	}
	eventually(t, "all records at both", func() bool { return n[0].Load() == 20 && n[1].Load() == 20 })
}

func TestGroupsOfTwoPurposesEachSeeAll(t *testing.T) {
	k := newCluster(t, 2)
	var n [2]atomic.Int64
	for i, purpose := range []string{"counts", "history"} {
		c, err := saramax.NewConsumer(client(t, k.addrs), testenv.Name(t)+purpose, []string{k.topic}, counter(&n[i]))
		require.NoError(t, err)
		start(t, c)
	}
	k.produce(0, make([][]byte, 10)...)
	k.produce(1, make([][]byte, 10)...)
	eventually(t, "all records at both", func() bool { return n[0].Load() == 20 && n[1].Load() == 20 })
}

func TestRetentionThatOvertookTheGroupIsTold(t *testing.T) {
	k := newCluster(t, 1)
	k.produce(0, make([][]byte, 50)...)
	group := testenv.Name(t)
	cl := client(t, k.addrs)
	var n atomic.Int64
	c, err := saramax.NewConsumer(cl, group, []string{k.topic}, counter(&n))
	require.NoError(t, err)
	r := start(t, c)
	eventually(t, "50 records", func() bool { return n.Load() == 50 })
	require.NoError(t, r.end())

	k.produce(0, make([][]byte, 50)...)
	admin, err := sarama.NewClusterAdminFromClient(client(t, k.addrs))
	require.NoError(t, err)
	require.NoError(t, admin.DeleteRecords(k.topic, map[int32]int64{0: 80}))
	var events journal[saramax.Event]
	c, err = saramax.NewConsumer(cl, group, []string{k.topic}, counter(&n), saramax.OnEvent(func(e saramax.Event) { events.add(e) }))
	require.NoError(t, err)
	r = start(t, c)
	eventually(t, "what is left", func() bool { return n.Load() == 70 })
	require.NoError(t, r.end())
	var lost []saramax.Event
	for _, e := range events.list() {
		if e.Kind == saramax.EventLost {
			lost = append(lost, e)
		}
	}
	require.Len(t, lost, 1)
	require.EqualValues(t, 30, lost[0].Count)
	require.EqualValues(t, 80, lost[0].Offset)
}

func TestRunSurvivesARestartOfTheBroker(t *testing.T) {
	dir := t.TempDir()
	k := testenv.EmbeddedKafka(t, embedded.KafkaConfig{Dir: dir, Topics: []embedded.Topic{{Name: "orders", Partitions: 2}}})
	addrs := k.Addrs()
	c := &cluster{t: t, addrs: addrs, topic: "orders"}
	c.produce(0, make([][]byte, 10)...)
	var n, lines atomic.Int64
	consumer, err := saramax.NewConsumer(client(t, addrs), "group", []string{"orders"}, counter(&n),
		saramax.OnEvent(func(e saramax.Event) {
			if e.Kind == saramax.EventError {
				lines.Add(1)
			}
		}))
	require.NoError(t, err)
	r := start(t, consumer)
	eventually(t, "10 records", func() bool { return n.Load() == 10 })
	require.NoError(t, k.Close())
	eventually(t, "an error to be told", func() bool { return lines.Load() > 0 })
	testenv.EmbeddedKafka(t, embedded.KafkaConfig{Dir: dir, Ports: ports(t, addrs)})
	c.produce(1, make([][]byte, 10)...)
	eventually(t, "10 more", func() bool { return n.Load() >= 20 })
	require.NoError(t, r.end())
}

func TestRunEndsForWhatCannotGetBetter(t *testing.T) {
	k := newCluster(t, 1)
	var n atomic.Int64
	cl := client(t, k.addrs)
	c, err := saramax.NewConsumer(cl, testenv.Name(t), []string{k.topic}, counter(&n))
	require.NoError(t, err)
	require.NoError(t, cl.Close())
	require.ErrorIs(t, start(t, c).wait(), sarama.ErrClosedClient)
}

func TestRunIsNotReentrant(t *testing.T) {
	k := newCluster(t, 1)
	var n atomic.Int64
	c, err := saramax.NewConsumer(client(t, k.addrs), testenv.Name(t), []string{k.topic}, counter(&n))
	require.NoError(t, err)
	r := start(t, c)
	eventually(t, "its partition", func() bool { return len(r.Status().Partitions) == 1 })
	require.ErrorIs(t, c.Run(t.Context()), saramax.ErrRunning)
	require.NoError(t, r.end())
	again := start(t, c)
	eventually(t, "its partition again", func() bool { return len(again.Status().Partitions) == 1 })
	require.NoError(t, again.end())
}

func TestRunNamesWhatItAbandons(t *testing.T) {
	k := newCluster(t, 1)
	k.produce(0, make([][]byte, 10)...)
	release, begun := make(chan struct{}), make(chan struct{}, 1)
	cl := client(t, k.addrs)
	group := testenv.Name(t)
	c, err := saramax.NewConsumer(cl, group, []string{k.topic}, saramax.Each(func(_ context.Context, rec rawRecord) error {
		if rec.Offset == 4 {
			begun <- struct{}{}
			<-release
		}
		return nil
	}, saramax.WithCodec(saramax.Raw())), saramax.WithDrain(200*time.Millisecond))
	require.NoError(t, err)
	r := start(t, c)
	<-begun
	err = r.end()
	close(release)
	var abandoned *saramax.AbandonedError
	require.ErrorAs(t, err, &abandoned)
	require.Len(t, abandoned.Records, 1)
	require.EqualValues(t, 4, abandoned.Records[0].Offset)
	require.Contains(t, err.Error(), k.topic+"/0@4")
	require.EqualValues(t, 4, committed(t, cl, group, k.topic, 0))
}

func TestStuckLeaveEndsRun(t *testing.T) {
	k := newCluster(t, 1)
	k.produce(0, make([][]byte, 3)...)
	c, err := saramax.NewConsumer(client(t, k.addrs), testenv.Name(t), []string{k.topic},
		saramax.Each(func(ctx context.Context, _ rawRecord) error { <-ctx.Done(); return ctx.Err() }, saramax.WithCodec(saramax.Raw())),
		saramax.WithStuck(saramax.Stuck{After: 50 * time.Millisecond, Policy: saramax.StuckLeave}), saramax.WithDrain(300*time.Millisecond))
	require.NoError(t, err)
	require.ErrorIs(t, start(t, c).wait(), saramax.ErrStuck)
}

func TestNewConsumerNamesAllThatIsWrong(t *testing.T) {
	k := newCluster(t, 1)
	cl := client(t, k.addrs, func(cfg *sarama.Config) {
		cfg.Net.ReadTimeout = 5 * time.Second
		cfg.Consumer.Group.Heartbeat.Interval = 9 * time.Second
	})
	_, err := saramax.NewConsumer(cl, "", []string{"a b", "x", "x"}, saramax.Each[event](nil),
		saramax.WithBatch(-1, -1), saramax.WithDrain(time.Hour), saramax.WithRetry(saramax.RetryPolicy{Attempts: -2}),
		saramax.WithOrder(saramax.OrderPartition, 5), saramax.WithWindow(saramax.Window{Messages: 10}),
		saramax.WithBroadcast(""), saramax.WithRateLimit(nil, "x"))
	require.Error(t, err)
	for _, part := range []string{
		"group", `"a b"`, `"x" is named twice`, "handler is nil", "batch size -1", "linger", "Net.ReadTimeout 5s",
		"set at least 15s", "Heartbeat", "drain 1h", "0.8 times", "Attempts:-2", "concurrency 5", "broadcast", "rate limit",
	} {
		require.Contains(t, err.Error(), part)
	}
	_, err = saramax.NewConsumer(nil, "g", nil, nil)
	require.ErrorContains(t, err, "client is nil")
	require.ErrorContains(t, err, "work is nil")
	require.ErrorContains(t, err, "no topics")
	require.True(t, strings.HasPrefix(err.Error(), "saramax: "))
}
