package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/internal/embedded"
)

// KafkaConfig returns sarama's defaults with the protocol version that the
// embedded cluster and every broker of the last years speak.
func KafkaConfig() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	return cfg
}

// Kafka returns the brokers of a Kafka cluster: one of the test's own, or the
// real one, which all tests share: create topics with [Topic] and take [Name] for
// groups and transactional ids. Topics are not created by asking for them.
func Kafka(t testing.TB) []string {
	t.Helper()
	if addrs := os.Getenv(EnvKafka); addrs != "" {
		return strings.Split(addrs, ",")
	}
	return EmbeddedKafka(t, embedded.KafkaConfig{}).Addrs()
}

// EmbeddedKafka returns an in-process cluster whatever the environment names: for
// tests that restart it, or need more brokers than the real one has.
func EmbeddedKafka(t testing.TB, cfg embedded.KafkaConfig) *embedded.Kafka {
	t.Helper()
	cluster, err := embedded.StartKafka(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	return cluster
}

// Topic creates a topic that no other test uses, with one replica, waits until
// each partition has a leader, and returns its name. It is deleted with the test.
func Topic(t testing.TB, addrs []string, partitions int32) string {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(addrs, KafkaConfig())
	if err != nil {
		t.Fatalf("kafka %v: %v", addrs, err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	topic := Name(t)
	if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
	t.Cleanup(func() {
		// The cluster may be gone by now, with all its topics.
		_ = admin.DeleteTopic(topic)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := awaitLeaders(ctx, admin, topic, int(partitions)); err != nil {
		t.Fatal(err)
	}
	return topic
}

func awaitLeaders(ctx context.Context, admin sarama.ClusterAdmin, topic string, partitions int) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := checkLeaders(admin, topic, partitions)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topic %s has no leaders: %w", topic, errors.Join(err, ctx.Err()))
		case <-again.C:
		}
	}
}

func checkLeaders(admin sarama.ClusterAdmin, topic string, partitions int) error {
	described, err := admin.DescribeTopics([]string{topic})
	if err != nil {
		return err
	}
	if len(described) != 1 || len(described[0].Partitions) != partitions {
		return fmt.Errorf("not all of %d partitions are known", partitions)
	}
	for _, p := range described[0].Partitions {
		if p.Err != sarama.ErrNoError {
			return p.Err
		}
	}
	return nil
}
