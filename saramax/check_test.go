package saramax_test

import (
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/saramax"
)

// fields lists the settings that err complains of.
func fields(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var names []string
		for _, one := range joined.Unwrap() {
			names = append(names, fields(t, one)...)
		}
		return names
	}
	var violation *saramax.ConfigError
	require.ErrorAs(t, err, &violation)
	require.NotEmpty(t, violation.Problem)
	require.NotEmpty(t, violation.Remedy)
	require.Contains(t, err.Error(), violation.Remedy)
	return []string{violation.Field}
}

func TestDefaultsOfOurOwnPassAllChecks(t *testing.T) {
	cfg := saramax.NewConfig("svc")
	require.NoError(t, saramax.Check(cfg))
	require.NoError(t, saramax.CheckConsumer(cfg, saramax.ConsumerPlan{Drain: 45 * time.Second}))
	require.NoError(t, cfg.Validate())
	require.Equal(t, "svc", cfg.ClientID)
}

func TestDefaultsOfSaramaDoNot(t *testing.T) {
	require.Equal(t, []string{
		"Net.ReadTimeout", "Consumer.Offsets.Initial", "Consumer.Group.ResetInvalidOffsets", "Consumer.Return.Errors",
	}, fields(t, saramax.CheckConsumer(sarama.NewConfig(), saramax.ConsumerPlan{})))
	require.Equal(t, []string{
		"Producer.RequiredAcks", "Producer.Idempotent", "Net.MaxOpenRequests", "Producer.Return.Successes",
	}, fields(t, saramax.CheckProducer(sarama.NewConfig(), saramax.AllReplicas)))
}

func TestEachContradictionIsRefusedWithWhatToSet(t *testing.T) {
	consumer := func(plan saramax.ConsumerPlan) func(*sarama.Config) error {
		return func(cfg *sarama.Config) error { return saramax.CheckConsumer(cfg, plan) }
	}
	producer := func(acks saramax.Acks) func(*sarama.Config) error {
		return func(cfg *sarama.Config) error { return saramax.CheckProducer(cfg, acks) }
	}
	type plan = saramax.ConsumerPlan
	cases := []struct {
		name   string
		check  func(*sarama.Config) error
		change func(*sarama.Config)
		field  string
		remedy string
	}{
		{"joining outlasts reading", consumer(plan{}), func(c *sarama.Config) { c.Net.ReadTimeout = 64 * time.Second }, "Net.ReadTimeout", "set 1m5s or more"},
		{"rebalance outgrows reading", consumer(plan{}), func(c *sarama.Config) { c.Consumer.Group.Rebalance.Timeout = 2 * time.Minute }, "Net.ReadTimeout", "set 2m5s or more"},
		{"few heartbeats", consumer(plan{}), func(c *sarama.Config) { c.Consumer.Group.Heartbeat.Interval = 4 * time.Second }, "Consumer.Group.Heartbeat.Interval", "set 3.333333333s or less"},
		{"draining outlasts the rebalance", consumer(plan{Drain: 49 * time.Second}), func(*sarama.Config) {}, "Consumer.Group.Rebalance.Timeout", "set 1m1.25s or more, or drain for 48s or less"},
		{"buffers outgrow memory", consumer(plan{BufferBytes: 100 << 20}), func(*sarama.Config) {}, "ChannelBufferSize", "set 100 or less"},
		{"fetches smaller than a record", consumer(plan{RecordBytes: 2 << 20}), func(c *sarama.Config) { c.Consumer.Fetch.Max = 1 << 20 }, "Consumer.Fetch.Max", "set 0, which knows no bound"},
		{"idle looks dead", consumer(plan{}), func(c *sarama.Config) { c.Consumer.MaxWaitTime = 70 * time.Second }, "Net.ReadTimeout", "set 1m15s or more"},
		{"newest by accident", consumer(plan{}), func(c *sarama.Config) { c.Consumer.Offsets.Initial = sarama.OffsetNewest }, "Consumer.Offsets.Initial", "set OffsetOldest, or ask for the other by name"},
		{"oldest by accident", consumer(plan{Start: sarama.OffsetNewest}), func(*sarama.Config) {}, "Consumer.Offsets.Initial", "set OffsetNewest, or ask for the other by name"},
		{"silent resets", consumer(plan{}), func(c *sarama.Config) { c.Consumer.Group.ResetInvalidOffsets = true }, "Consumer.Group.ResetInvalidOffsets", "set false, and reset offsets as a decision"},
		{"unheard commit errors", consumer(plan{}), func(c *sarama.Config) { c.Consumer.Return.Errors = false }, "Consumer.Return.Errors", "set true, and drain the group's Errors"},
		{"closing flushes nothing", consumer(plan{}), func(c *sarama.Config) { c.Consumer.Offsets.AutoCommit.Enable = false }, "Consumer.Offsets.AutoCommit.Enable", "set true: only what is worked off gets marked"},

		{"one replica", producer(saramax.AllReplicas), func(c *sarama.Config) { c.Producer.RequiredAcks = sarama.WaitForLocal }, "Producer.RequiredAcks", "set -1, or name another durability"},
		{"retries write twice", producer(saramax.AllReplicas), func(c *sarama.Config) { c.Producer.Idempotent = false }, "Producer.Idempotent", "set true"},
		{"several open requests", producer(saramax.AllReplicas), func(c *sarama.Config) { c.Net.MaxOpenRequests = 5 }, "Net.MaxOpenRequests", "set 1"},
		{"no retry", producer(saramax.AllReplicas), func(c *sarama.Config) { c.Producer.Retry.Max = 0 }, "Producer.Retry.Max", "set 1 or more; NewConfig has 120"},
		{"broker outwaits the client", producer(saramax.AllReplicas), func(c *sarama.Config) { c.Producer.Timeout = 70 * time.Second }, "Net.ReadTimeout", "set 1m15s or more"},
		{"nothing is confirmed", producer(saramax.AllReplicas), func(c *sarama.Config) { c.Producer.Return.Successes = false }, "Producer.Return.Successes", "set true"},
		{"failures are unheard", producer(saramax.AllReplicas), func(c *sarama.Config) { c.Producer.Return.Errors = false }, "Producer.Return.Errors", "set true"},
		{"no headers", producer(saramax.AllReplicas), func(c *sarama.Config) { c.Version = sarama.V0_10_2_0 }, "Version", "set V0_11_0_0 or later"},
		{"beyond a request", producer(saramax.AllReplicas), func(c *sarama.Config) { c.Producer.MaxMessageBytes = int(sarama.MaxRequestSize) }, "Producer.MaxMessageBytes", "set less: what the brokers take"},
		{"batches wait for ever", producer(saramax.AllReplicas), func(c *sarama.Config) { c.Producer.Flush.Messages = 10 }, "Producer.Flush.Frequency", "set how long the first one may wait"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := saramax.NewConfig("svc")
			c.change(cfg)
			err := c.check(cfg)
			require.Equal(t, []string{c.field}, fields(t, err))
			require.ErrorContains(t, err, c.remedy)
		})
	}
}

func TestWhatIsAskedForByNameIsAccepted(t *testing.T) {
	cfg := saramax.NewConfig("svc")
	cfg.Consumer.Offsets.Initial = sarama.OffsetNewest
	require.NoError(t, saramax.CheckConsumer(cfg, saramax.ConsumerPlan{Start: sarama.OffsetNewest}))

	cfg = saramax.NewConfig("svc")
	cfg.Producer.RequiredAcks, cfg.Producer.Idempotent = sarama.WaitForLocal, false
	require.NoError(t, saramax.CheckProducer(cfg, saramax.LeaderOnly))
	require.Equal(t, []string{"Producer.RequiredAcks"}, fields(t, saramax.CheckProducer(cfg, saramax.AtMostOnce)))
	cfg.Producer.Idempotent = true
	require.Equal(t, []string{"Producer.Idempotent"}, fields(t, saramax.CheckProducer(cfg, saramax.LeaderOnly)))
}

func TestAllViolationsComeTogetherAndNilIsOne(t *testing.T) {
	require.Len(t, fields(t, saramax.Check(sarama.NewConfig())), 8)
	for _, err := range []error{saramax.Check(nil), saramax.CheckConsumer(nil, saramax.ConsumerPlan{}), saramax.CheckProducer(nil, saramax.AllReplicas)} {
		require.Equal(t, []string{"Config"}, fields(t, err))
	}
	var violation *saramax.ConfigError
	require.True(t, errors.As(saramax.Check(sarama.NewConfig()), &violation))
}

func TestRetriesPauseAtMostASecondAndNeverAlike(t *testing.T) {
	cfg := saramax.NewConfig("svc")
	seen := map[time.Duration]bool{}
	for attempt := 1; attempt <= cfg.Producer.Retry.Max; attempt++ {
		pause := cfg.Producer.Retry.BackoffFunc(attempt, cfg.Producer.Retry.Max)
		require.Positive(t, pause)
		require.LessOrEqual(t, pause, time.Second)
		if attempt > 5 {
			require.Greater(t, pause, 500*time.Millisecond-1)
		}
		seen[pause] = true
	}
	require.Greater(t, len(seen), 100, "jitter")
}
