package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/events"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// dropTopics removes what an app with this configuration made on brokers that many
// share.
func dropTopics(t *testing.T, cfg config.Kafka) {
	t.Helper()
	k := ask(t, cfg)
	defer k.Close()
	topics, err := k.ListTopics()
	require.NoError(t, err)
	for topic := range topics {
		if strings.HasPrefix(topic, cfg.Prefix) {
			require.NoError(t, k.DeleteTopic(topic))
		}
	}
	groups, err := k.ListConsumerGroups()
	require.NoError(t, err)
	for group := range groups {
		if strings.HasPrefix(group, cfg.Prefix) {
			require.NoError(t, k.DeleteConsumerGroup(group))
		}
	}
}

// kafka is what a test asks the brokers beside the app.
type kafka struct {
	sarama.ClusterAdmin
	client sarama.Client
	names  events.Names
}

func ask(t *testing.T, cfg config.Kafka) kafka {
	t.Helper()
	client, err := sarama.NewClient(cfg.Addrs, testenv.KafkaConfig())
	require.NoError(t, err)
	admin, err := sarama.NewClusterAdminFromClient(client) // which closes the client
	require.NoError(t, err)
	return kafka{admin, client, events.Names{Prefix: cfg.Prefix}}
}

// onBrokers returns brokers that outlive the app, for cfg, and what asks them.
func onBrokers(t *testing.T, cfg *config.Config) kafka {
	t.Helper()
	if len(cfg.Kafka.Addrs) == 0 {
		cfg.Kafka = config.Kafka{Addrs: testenv.Kafka(t), Prefix: testenv.Name(t) + "-"}
	}
	k := ask(t, cfg.Kafka)
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// produce puts a value as it is into a topic.
func (k kafka) produce(t *testing.T, topic, key, value string, headers ...sarama.RecordHeader) {
	t.Helper()
	cfg := testenv.KafkaConfig()
	cfg.Producer.Return.Successes = true
	client, err := sarama.NewClient(addresses(k.client), cfg)
	require.NoError(t, err)
	defer client.Close()
	producer, err := sarama.NewSyncProducerFromClient(client)
	require.NoError(t, err)
	defer producer.Close()
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{
		Topic: k.names.Of(topic), Key: sarama.StringEncoder(key), Value: sarama.StringEncoder(value), Headers: headers,
	})
	require.NoError(t, err)
}

func addresses(client sarama.Client) (all []string) {
	for _, b := range client.Brokers() {
		all = append(all, b.Addr())
	}
	return all
}

// records is how many a topic has had.
func (k kafka) records(t *testing.T, topic string) (n int64) {
	t.Helper()
	topic = k.names.Of(topic)
	require.NoError(t, k.client.RefreshMetadata(topic))
	parts, err := k.client.Partitions(topic)
	require.NoError(t, err)
	for _, p := range parts {
		end, err := k.client.GetOffset(topic, p, sarama.OffsetNewest)
		require.NoError(t, err)
		n += end
	}
	return n
}

// committed is how many records of the topic a group is done with.
func (k kafka) committed(t *testing.T, group, topic string) (n int64) {
	t.Helper()
	topic = k.names.Of(topic)
	parts, err := k.client.Partitions(topic)
	require.NoError(t, err)
	found, err := k.ListConsumerGroupOffsets(k.names.Of(group), map[string][]int32{topic: parts})
	if errors.Is(err, sarama.ErrGroupIDNotFound) {
		return 0
	}
	require.NoError(t, err)
	for _, p := range parts {
		if block := found.GetBlock(topic, p); block != nil && block.Offset > 0 {
			n += block.Offset
		}
	}
	return n
}

func (i *instance) like(t *testing.T, token string, id int64, like bool) answer {
	t.Helper()
	return i.call(t, http.MethodPost, "/articles/pub/like", token, fmt.Sprintf(`{"id":%d,"like":%t}`, id, like))
}

func (i *instance) collect(t *testing.T, token string, id, cid int64) answer {
	t.Helper()
	return i.call(t, http.MethodPost, "/articles/pub/collect", token, fmt.Sprintf(`{"id":%d,"cid":%d}`, id, cid))
}

// shown is what an article shows of its readers.
type shown struct {
	likes, collects  int64
	liked, collected bool
}

func (i *instance) shown(t *testing.T, token string, id int64) shown {
	t.Helper()
	a := i.read(t, token, id).article(t)
	return shown{a.LikeCnt, a.CollectCnt, a.Liked, a.Collected}
}

// counted waits until an article shows as many readings or more, and returns how many.
// To look is to read, so it grows while it waits.
func (i *instance) counted(t *testing.T, id, least int64) (n int64) {
	t.Helper()
	eventually(t, func() bool {
		n = i.read(t, "", id).article(t).ReadCnt
		return n >= least
	}, fmt.Sprintf("%d readings are counted", least))
	return n
}
