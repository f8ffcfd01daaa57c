package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// TestAReplayIsShownBeforeItIsRun has a consumer fail, and brings its records back.
func TestAReplayIsShownBeforeItIsRun(t *testing.T) {
	addrs := testenv.Kafka(t)
	topic, group := testenv.Topic(t, addrs, 1), testenv.Name(t)
	cfg := testenv.KafkaConfig()
	cfg.Producer.Return.Successes = true
	cfg.Net.ReadTimeout = 90 * time.Second
	client, err := sarama.NewClient(addrs, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	producer, err := sarama.NewSyncProducerFromClient(client)
	require.NoError(t, err)
	t.Cleanup(func() { _ = producer.Close() })
	admin, err := sarama.NewClusterAdminFromClient(client)
	require.NoError(t, err)
	topics := saramax.FailureTopics{Group: group, Topics: []string{topic}, Replication: 1}
	require.NoError(t, topics.Create(admin))
	dlt := saramax.DeadLetterTopic(topic, group)
	t.Cleanup(func() { _ = admin.DeleteTopic(dlt) })
	require.Eventually(t, func() bool { return topics.Check(admin) == nil }, time.Minute, 20*time.Millisecond)

	for _, value := range []string{`1`, `2`, `no JSON`, `3`} {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)})
		require.NoError(t, err)
	}
	dead := make(chan struct{}, 4)
	c, err := saramax.NewConsumer(client, group, []string{topic}, saramax.Each(func(context.Context, saramax.Record[int]) error {
		return saramax.Permanent(errors.New("no"))
	}), saramax.WithDeadLetter(producer), saramax.OnEvent(func(e saramax.Event) {
		if e.Kind == saramax.EventRejected {
			dead <- struct{}{}
		}
	}))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for range 4 {
		<-dead
	}
	stop()
	require.NoError(t, <-ended)

	args := []string{"-brokers", strings.Join(addrs, ","), "-from", dlt, "-to", topic, "-rate", "1000", "-reasons", "permanent", "-window", "1ns"}
	newest := func() int64 {
		end, err := client.GetOffset(topic, 0, sarama.OffsetNewest)
		require.NoError(t, err)
		return end
	}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), args, &out))
	require.Contains(t, out.String(), "would replay 3 of 4 records")
	require.Contains(t, out.String(), "WARNING: 3 failed more than 1ns ago")
	require.EqualValues(t, 4, newest(), "nothing was published")

	out.Reset()
	require.NoError(t, run(t.Context(), append(args, "-run"), &out))
	require.Contains(t, out.String(), "replayed 3 of 4 records")
	require.Contains(t, out.String(), "permanent: 3")
	require.Contains(t, out.String(), "-start 0:4")
	require.EqualValues(t, 7, newest())

	out.Reset()
	require.NoError(t, run(t.Context(), append(args, "-run", "-start", "0:4"), &out))
	require.Contains(t, out.String(), "replayed 0 of 0 records")
}

func TestMistakesAreNamed(t *testing.T) {
	for want, args := range map[string][]string{
		"-brokers is required":          nil,
		`"bored" is none of`:            {"-brokers", "x", "-reasons", "bored"},
		"-since: parsing time":          {"-brokers", "x", "-since", "yesterday"},
		`-start: offset in "0"`:         {"-brokers", "x", "-start", "0"},
		`-start: partition in "a:1"`:    {"-brokers", "x", "-start", "a:1"},
		`without a flag (["run"])`:      {"-brokers", "x", "run"},
		"flag provided but not defined": {"-brokres", "x"},
	} {
		require.ErrorContains(t, run(t.Context(), args, new(bytes.Buffer)), want)
	}
}
