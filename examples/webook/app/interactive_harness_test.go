package app_test

import (
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// dropTopics removes what an app with this configuration made on brokers that many
// share.
func dropTopics(t *testing.T, cfg config.Kafka) {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(cfg.Addrs, testenv.KafkaConfig())
	require.NoError(t, err)
	defer admin.Close()
	topics, err := admin.ListTopics()
	require.NoError(t, err)
	for topic := range topics {
		if strings.HasPrefix(topic, cfg.Prefix) {
			require.NoError(t, admin.DeleteTopic(topic))
		}
	}
	groups, err := admin.ListConsumerGroups()
	require.NoError(t, err)
	for group := range groups {
		if strings.HasPrefix(group, cfg.Prefix) {
			require.NoError(t, admin.DeleteConsumerGroup(group))
		}
	}
}
