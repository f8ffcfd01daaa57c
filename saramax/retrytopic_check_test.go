package saramax_test

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

func clusterAdmin(t testing.TB, addrs []string) sarama.ClusterAdmin {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(addrs, testenv.KafkaConfig())
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close() })
	return admin
}

// failureTopics creates what a group needs, and has it deleted with the test.
func failureTopics(t testing.TB, addrs []string, topics saramax.FailureTopics) {
	t.Helper()
	admin := clusterAdmin(t, addrs)
	topics.Replication = 1
	require.NoError(t, topics.Create(admin))
	t.Cleanup(func() {
		for _, source := range topics.Topics {
			for _, d := range topics.Delays {
				_ = admin.DeleteTopic(saramax.RetryTopic(source, topics.Group, d))
			}
			_ = admin.DeleteTopic(saramax.DeadLetterTopic(source, topics.Group))
			_ = admin.DeleteTopic(source + "." + topics.Group + ".blocked")
		}
	})
	require.Eventually(t, func() bool { return topics.Check(admin) == nil }, 30*time.Second, 20*time.Millisecond)
}

func TestTopicsThatWereCreatedPassTheCheck(t *testing.T) {
	addrs := testenv.Kafka(t)
	failureTopics(t, addrs, saramax.FailureTopics{
		Group: testenv.Name(t), Topics: []string{testenv.Topic(t, addrs, 3), testenv.Topic(t, addrs, 1)},
		Delays: []time.Duration{10 * time.Second, time.Hour},
	})
}

func TestMissingTopicsAreNamed(t *testing.T) {
	addrs := testenv.Kafka(t)
	source := testenv.Topic(t, addrs, 1)
	err := saramax.FailureTopics{Group: "g", Topics: []string{source}, Delays: []time.Duration{time.Minute}}.Check(clusterAdmin(t, addrs))
	require.ErrorIs(t, err, sarama.ErrUnknownTopicOrPartition)
	for _, name := range []string{source + ".g.retry.1m", source + ".g.dlt", source + ".g.blocked"} {
		require.ErrorContains(t, err, "topic "+name+" does not exist")
	}
}

func TestUnfitTopicsAreRefusedWithWhatToSet(t *testing.T) {
	const delay = time.Minute
	for name, tc := range map[string]struct {
		topic      func(source, group string) string
		partitions int32
		policy     string
		retention  string
		want       string
	}{
		"retry topic with fewer partitions": {retry(delay), 2, "delete", "-1", "has 2 partitions, and needs 3"},
		"retry topic with more partitions":  {retry(delay), 4, "delete", "-1", "has 4 partitions, and needs 3"},
		"retry topic that forgets too soon": {retry(delay), 3, "delete", "3600000", "set retention.ms to at least 86460000, or to -1"},
		"retry topic that is compacted":     {retry(delay), 3, "compact", "-1", "set cleanup.policy=delete"},
		"retry topic that is both":          {retry(delay), 3, "compact,delete", "-1", "set cleanup.policy=delete"},
		"dead letters that are compacted":   {saramax.DeadLetterTopic, 1, "compact", "-1", "set cleanup.policy=delete"},
		"dead letters forgotten too soon":   {saramax.DeadLetterTopic, 1, "delete", "86400000", "set retention.ms to at least 259200000"},
		"blocked keys in two partitions":    {blocked, 2, "compact", "-1", "has 2 partitions, and needs 1"},
		"blocked keys that are forgotten":   {blocked, 1, "delete", "604800000", "set cleanup.policy=compact"},
	} {
		t.Run(name, func(t *testing.T) {
			addrs := testenv.Kafka(t)
			admin := clusterAdmin(t, addrs)
			topics := saramax.FailureTopics{
				Group: "g", Topics: []string{testenv.Topic(t, addrs, 3)}, Delays: []time.Duration{delay}, Replication: 1,
			}
			unfit := tc.topic(topics.Topics[0], topics.Group)
			require.NoError(t, admin.CreateTopic(unfit, &sarama.TopicDetail{
				NumPartitions: tc.partitions, ReplicationFactor: 1,
				ConfigEntries: map[string]*string{"cleanup.policy": &tc.policy, "retention.ms": &tc.retention},
			}, false))
			require.NoError(t, topics.Create(admin), "what is there is left as it is")
			t.Cleanup(func() {
				for _, name := range []string{retry(delay)(topics.Topics[0], "g"), saramax.DeadLetterTopic(topics.Topics[0], "g"), blocked(topics.Topics[0], "g")} {
					_ = admin.DeleteTopic(name)
				}
			})
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				err := topics.Check(admin)
				require.ErrorContains(c, err, "topic "+unfit)
				require.ErrorContains(c, err, tc.want)
				require.NotContains(c, err.Error(), "\n", "there is no other violation")
			}, 30*time.Second, 20*time.Millisecond)
		})
	}
}

func retry(delay time.Duration) func(source, group string) string {
	return func(source, group string) string { return saramax.RetryTopic(source, group, delay) }
}

func blocked(source, group string) string { return source + "." + group + ".blocked" }
