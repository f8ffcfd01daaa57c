package embedded_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/embedded"
)

func startKafka(t *testing.T, cfg embedded.KafkaConfig) *embedded.Kafka {
	t.Helper()
	cluster, err := embedded.StartKafka(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	return cluster
}

func kafkaConfig() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Producer.Return.Successes = true
	return cfg
}

func send(t *testing.T, addrs []string, topic, value string) (partition int32, offset int64) {
	t.Helper()
	producer, err := sarama.NewSyncProducer(addrs, kafkaConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, producer.Close()) }()
	partition, offset, err = producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)})
	require.NoError(t, err)
	return partition, offset
}

func receive(t *testing.T, addrs []string, topic string, partition int32, offset int64) string {
	t.Helper()
	consumer, err := sarama.NewConsumer(addrs, kafkaConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, consumer.Close()) }()
	records, err := consumer.ConsumePartition(topic, partition, offset)
	require.NoError(t, err)
	defer func() { require.NoError(t, records.Close()) }()
	select {
	case record := <-records.Messages():
		return string(record.Value)
	case <-time.After(10 * time.Second):
		require.Fail(t, "no record")
		return ""
	}
}

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, ln.Close()) }()
	return ln.Addr().(*net.TCPAddr).Port
}

func TestKafkaKeepsRecordsOverARestartOnTheSamePort(t *testing.T) {
	cfg := embedded.KafkaConfig{
		Dir: t.TempDir(), Ports: []int{freePort(t)}, Topics: []embedded.Topic{{Name: "orders"}},
	}
	first := startKafka(t, cfg)
	partition, offset := send(t, first.Addrs(), "orders", "before")
	require.NoError(t, first.Close())

	cfg.Topics = append(cfg.Topics, embedded.Topic{Name: "later"}) // a new topic on old data
	second := startKafka(t, cfg)
	require.Equal(t, first.Addrs(), second.Addrs())
	require.Equal(t, "before", receive(t, second.Addrs(), "orders", partition, offset))
	send(t, second.Addrs(), "later", "value")
}

func TestKafkaTopicsHaveTheirPartitionsAndRetention(t *testing.T) {
	cluster := startKafka(t, embedded.KafkaConfig{Brokers: 3, Partitions: 2, Topics: []embedded.Topic{
		{Name: "short", Partitions: 5, Retention: time.Hour, RetentionBytes: 1 << 20}, {Name: "plain"},
	}})
	require.Len(t, cluster.Addrs(), 3)
	admin, err := sarama.NewClusterAdmin(cluster.Addrs(), kafkaConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close()) }()

	topics, err := admin.ListTopics()
	require.NoError(t, err)
	require.EqualValues(t, 5, topics["short"].NumPartitions)
	require.EqualValues(t, 2, topics["plain"].NumPartitions)
	require.Equal(t, "3600000", *topics["short"].ConfigEntries["retention.ms"])
	require.Equal(t, "1048576", *topics["short"].ConfigEntries["retention.bytes"])
	require.Equal(t, "-1", *topics["plain"].ConfigEntries["retention.ms"])
}

func TestKafkaCreatesUnknownTopicsOnlyWhenToldTo(t *testing.T) {
	for name, auto := range map[string]bool{"refused": false, "created": true} {
		t.Run(name, func(t *testing.T) {
			cluster := startKafka(t, embedded.KafkaConfig{AutoCreateTopics: auto})
			cfg := kafkaConfig()
			cfg.Metadata.Retry.Max = 0
			client, err := sarama.NewClient(cluster.Addrs(), cfg)
			require.NoError(t, err)
			defer func() { require.NoError(t, client.Close()) }()
			partitions, err := client.Partitions("asked")
			if auto {
				require.NoError(t, err)
				require.Len(t, partitions, 1)
			} else {
				require.ErrorIs(t, err, sarama.ErrUnknownTopicOrPartition)
			}
		})
	}
}

func TestKafkaNamesTheAddressThatIsTaken(t *testing.T) {
	cluster := startKafka(t, embedded.KafkaConfig{})
	_, port, err := net.SplitHostPort(cluster.Addrs()[0])
	require.NoError(t, err)
	taken, err := strconv.Atoi(port)
	require.NoError(t, err)
	_, err = embedded.StartKafka(embedded.KafkaConfig{Ports: []int{taken}})
	require.ErrorContains(t, err, cluster.Addrs()[0])
	require.ErrorContains(t, err, "address already in use")
}

func TestKafkaNamesWhatIsWrongWithItsConfig(t *testing.T) {
	_, err := embedded.StartKafka(embedded.KafkaConfig{
		Ports: []int{0}, Brokers: 2, Partitions: -1,
		Topics: []embedded.Topic{{Name: "two words", Partitions: -1, Retention: time.Microsecond, RetentionBytes: -1}},
	})
	for _, violation := range []string{
		"KafkaConfig.Ports[0] is 0, not a port",
		"KafkaConfig.Brokers is 2 but there are 1 Ports",
		"KafkaConfig.Partitions -1 is negative",
		`KafkaConfig.Topics[0].Name "two words" is not 1 to 249 of [a-zA-Z0-9._-]`,
		"KafkaConfig.Topics[0].Partitions -1 is negative",
		"KafkaConfig.Topics[0].Retention 1µs is neither 0 nor at least 1ms",
		"KafkaConfig.Topics[0].RetentionBytes -1 is negative",
	} {
		require.ErrorContains(t, err, violation)
	}
	_, err = embedded.StartKafka(embedded.KafkaConfig{Brokers: -1})
	require.ErrorContains(t, err, "KafkaConfig.Brokers -1 is negative")
}

func TestKafkaThatCannotStartLeavesNothingRunning(t *testing.T) {
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := embedded.StartKafka(embedded.KafkaConfig{Ports: []int{port}, Dir: file})
	require.ErrorContains(t, err, file)
	require.NoError(t, startKafka(t, embedded.KafkaConfig{Ports: []int{port}}).Close())
}
